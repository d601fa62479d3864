"""A login opens what it was decided by, or nothing: whatever happens between the decision and the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_tunnel import HOME, MemoryTunnel
from identities import ADMIN, Node, key, on_a_node
from wardgate.gateway.challenges import Proof
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.records import SESSIONS, Device
from wardgate.runtime.errors import WardgateError

PROOF = Proof("alice", "totp", 0)


def with_a_device(folder: Path, work: Callable[[MemoryTunnel, Device], Awaitable[None]]) -> None:
    """Do `work` with a tunnel, and alice's device in it."""

    async def run(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        made = MemoryTunnel(node)
        try:
            await made.follow()
            await work(made, device)
        finally:
            made.worker.close()

    on_a_node(folder, run)


async def is_closed(made: MemoryTunnel, device: Device) -> bool:
    """Whether there is no session anywhere, and nothing watches for one."""
    stored = await made.node.ledger.get(SESSIONS, device.id)
    return stored is None and not made.gate.granted and not made.detector.watched


def test_a_login_is_in_store_and_kernel_and_watched(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        session = await made.sessions.login(device, PROOF)
        assert session.endpoint == str(HOME)
        assert made.is_open(device)
        assert list(made.detector.watched) == [bytes.fromhex(_hex(device.public_key))]

    with_a_device(tmp_path, work)


def test_no_session_for_a_key_that_came_meanwhile(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        grant = made.tunnel.grant

        def late(*arguments: object) -> object:
            # As when the enforcer was faster: the device at this address is another's by now.
            made.tunnel.remove(device)
            made.tunnel.put(other, locked=False)
            return grant(*arguments)  # type: ignore[arg-type]

        other = await made.node.devices.replace_key(ADMIN, device.id, key(2))
        # What the login is decided by is older than that.
        await made.node.devices.replace_key(ADMIN, device.id, key(1))
        made.tunnel.grant = late  # type: ignore[method-assign,assignment]
        with pytest.raises(RefusedError, match="gone"):
            await made.sessions.login(device, PROOF)
        assert not made.gate.granted

    with_a_device(tmp_path, work)


def test_no_session_where_it_was_ended_before_the_kernel_had_it(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        grant = made.tunnel.grant

        def late(*arguments: object) -> object:
            # Locked and unlocked, as far as the kernel is concerned, before the grant.
            future = asyncio.run_coroutine_threadsafe(ended(), loop)
            future.result()
            return grant(*arguments)  # type: ignore[arg-type]

        async def ended() -> None:
            await made.node.users.lock(ADMIN, "alice")
            await made.node.users.unlock(ADMIN, "alice")

        loop = asyncio.get_running_loop()
        made.tunnel.grant = late  # type: ignore[method-assign,assignment]
        with pytest.raises(RefusedError, match="ended meanwhile"):
            await made.sessions.login(device, PROOF)
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_no_session_where_nobody_can_say_whether_it_moved(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        async def nothing() -> None:
            return

        async def fail() -> None:
            raise WardgateError("read WireGuard device", "wg0", "it is gone")

        made.asked = [nothing, fail]
        with pytest.raises(RefusedError, match="gone"):
            await made.sessions.login(device, PROOF)
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_what_is_compared_meanwhile_takes_nothing_from_a_login(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        begun: list[asyncio.Task[None]] = []
        run = made.node.ledger.run

        async def stored(*arguments: Any, **options: Any) -> Any:
            # Between store and kernel, which is when the two do not agree.
            result = await run(*arguments, **options)
            if not begun:
                begun.append(asyncio.create_task(made.sessions.reconcile()))
                await asyncio.sleep(0.05)
            return result

        made.node.ledger.run = stored  # type: ignore[method-assign]
        await made.sessions.login(device, PROOF)
        await begun[0]
        assert made.is_open(device)
        assert made.detector.watched
        assert await made.node.ledger.get(SESSIONS, device.id) is not None

    with_a_device(tmp_path, work)


def _hex(text: str) -> str:
    import base64

    return base64.b64decode(text).hex()
