"""A login opens what it was decided by, or nothing: whatever happens between the decision and the kernel."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from gateway_tunnel import AWAY, HOME, PROOF, MemoryTunnel, is_closed, with_a_device
from identities import ADMIN, key
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.records import SESSIONS, Device
from wardgate.gateway.roaming import Roamed
from wardgate.gateway.store import StoreError
from wardgate.gateway.wireguard import Endpoint, PublicKey
from wardgate.runtime.errors import WardgateError


def test_a_login_is_in_store_and_kernel_and_watched(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        session = await made.sessions.login(device, PROOF)
        assert session.endpoint == str(HOME)
        assert made.is_open(device)
        assert list(made.detector.watched) == [bytes.fromhex(_hex(device.public_key))]

    with_a_device(tmp_path, work)


def test_what_the_kernel_does_not_take_is_not_stored_either(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        made.gate.lock(device.addresses[0])
        with pytest.raises(RefusedError, match="locked"):
            await made.sessions.login(device, PROOF)
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_a_session_is_stored_and_watched_before_it_is_granted(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        grant, loop = made.tunnel.grant, asyncio.get_running_loop()
        seen: list[object] = []

        def granted(*arguments: object) -> object:
            stored = asyncio.run_coroutine_threadsafe(
                made.node.ledger.get(SESSIONS, device.id), loop
            ).result()
            seen.append((stored is not None, [one.endpoint for one in made.detector.watched.values()]))
            return grant(*arguments)  # type: ignore[arg-type]

        made.tunnel.grant = granted  # type: ignore[method-assign,assignment]
        await made.sessions.login(device, PROOF)
        assert seen == [(True, [HOME])]

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


def test_no_session_where_nobody_can_say_where_it_is(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        made.asked = [gone]
        with pytest.raises(WardgateError, match="gone"):
            await made.sessions.login(device, PROOF)
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


async def gone() -> None:
    raise WardgateError("read WireGuard device", "wg0", "it is gone")


MOVES = ("in the dump", "before the session is stored", "before it is watched", "before it is granted")


@pytest.mark.parametrize("moment", MOVES)
def test_a_peer_that_moves_in_a_login_and_then_is_silent_is_found(tmp_path: Path, moment: str) -> None:
    """A detector that sees packets is told nothing of it: it sent its last one before it was watched."""

    async def work(made: MemoryTunnel, device: Device) -> None:
        public = PublicKey.parse(device.public_key)

        def move(when: str) -> None:
            if when == moment:
                made.wireguard.at[public] = AWAY

        answer, run = made.tunnel.endpoints, made.node.ledger.run
        watch, grant = made.detector.watch, made.tunnel.grant

        def endpoints() -> Any:
            found = answer()
            move("in the dump")
            return found

        async def stored(*arguments: Any, **options: Any) -> Any:
            move("before the session is stored")
            return await run(*arguments, **options)

        def watched(*arguments: Any) -> None:
            move("before it is watched")
            watch(*arguments)

        def granted(*arguments: Any) -> Any:
            move("before it is granted")
            return grant(*arguments)

        made.tunnel.endpoints = endpoints  # type: ignore[method-assign]
        made.node.ledger.run = stored  # type: ignore[method-assign]
        made.detector.watch = watched  # type: ignore[method-assign]
        made.tunnel.grant = granted  # type: ignore[method-assign]
        session = await made.sessions.login(device, PROOF)
        assert session.endpoint == str(HOME)
        (stray,) = await made.sessions.strays()
        assert (stray.public_key, stray.old, stray.new) == (public.data, HOME, AWAY)
        await made.sessions.roamed(stray)
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_a_login_waits_for_one_dump_and_another_serves_all_that_were_granted(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        other = await made.node.devices.add(ADMIN, "alice", "tablet", key(2))
        await made.follow()
        dumps: list[int] = []

        async def count() -> None:
            dumps.append(1)

        made.asked = [count] * 9
        for one in (device, other):
            await made.sessions.login(one, PROOF)
        assert len(dumps) == 2
        assert await made.sessions.strays() == []
        assert len(dumps) == 3
        # And nobody is left to ask about.
        waiting = asyncio.ensure_future(made.sessions.strays())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        assert made.is_open(device)
        assert made.is_open(other)

    with_a_device(tmp_path, work)


def test_who_was_granted_is_asked_about_again_where_that_failed(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        await made.sessions.login(device, PROOF)
        made.wireguard.at[PublicKey.parse(device.public_key)] = AWAY
        made.asked = [gone]
        with pytest.raises(WardgateError):
            await made.sessions.strays()
        assert [one.new for one in await made.sessions.strays()] == [AWAY]

    with_a_device(tmp_path, work)


def test_a_detector_that_looks_needs_no_other_dump(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        made.detector.looks = True
        await made.sessions.login(device, PROOF)
        waiting = asyncio.ensure_future(made.sessions.strays())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()

    with_a_device(tmp_path, work)


def roam(device: Device, old: Endpoint | None, new: Endpoint) -> Roamed:
    return Roamed(PublicKey.parse(device.public_key).data, old, new, False, "polling", 0)


def test_a_move_ends_the_session_of_where_the_peer_was_and_no_later_one(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        await made.sessions.login(device, PROOF)
        await made.sessions.roamed(roam(device, AWAY, HOME))
        await made.sessions.roamed(roam(device, None, AWAY))
        assert made.is_open(device)
        await made.sessions.roamed(roam(device, HOME, AWAY))
        assert await is_closed(made, device)
        assert made.sessions.roams == 1

    with_a_device(tmp_path, work)


def test_a_session_of_nobody_knows_where_ends_with_the_first_place(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        made.wireguard.at[PublicKey.parse(device.public_key)] = None
        await made.sessions.login(device, PROOF)
        assert made.is_open(device)
        await made.sessions.roamed(roam(device, None, HOME))
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_a_move_ends_a_session_in_the_kernel_where_the_store_says_nothing(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        await made.sessions.login(device, PROOF)
        get = made.node.ledger.get

        async def fail(*_: Any) -> Any:
            raise StoreError("the disk is gone")

        made.node.ledger.get = fail  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await made.sessions.roamed(roam(device, HOME, AWAY))
        assert not made.gate.granted
        # Tried again, it ends in the store too.
        made.node.ledger.get = get  # type: ignore[method-assign]
        await made.sessions.roamed(roam(device, HOME, AWAY))
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_a_session_that_is_gone_from_the_store_ends_unless_another_began(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        begun = asyncio.Event()

        async def dump() -> None:
            begun.set()
            await asyncio.sleep(0.01)

        # The enforcer comes to the end of an earlier session in the midst of a login.
        made.asked = [dump]
        login = asyncio.create_task(made.sessions.login(device, PROOF))
        await begun.wait()
        await made.sessions.ended(device)
        session = await login
        assert made.is_open(device)
        assert made.detector.watched

        async def take(change: Any) -> None:
            change.delete(SESSIONS, device.id)
            change.tell("ended session", device.id)

        assert session.device == device.id
        await made.node.ledger.run(ADMIN, take)
        await made.sessions.ended(device)
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_no_login_comes_between_the_look_for_a_session_and_its_end(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        get, logins = made.node.ledger.get, list[asyncio.Task[Any]]()

        async def slow(*arguments: Any) -> Any:
            found = await get(*arguments)
            if not logins:
                logins.append(asyncio.create_task(made.sessions.login(device, PROOF)))
                await asyncio.sleep(0.1)
            return found

        made.node.ledger.get = slow  # type: ignore[method-assign]
        await made.sessions.ended(device)
        await logins[0]
        assert made.is_open(device)
        assert made.detector.watched

    with_a_device(tmp_path, work)


def test_a_session_goes_on_that_store_and_kernel_have_where_it_was(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        session = await made.sessions.login(device, PROOF)
        made.detector.watched.clear()
        await made.sessions.reconcile()
        assert made.is_open(device)
        assert await made.node.ledger.get(SESSIONS, device.id) == session
        assert [one.endpoint for one in made.detector.watched.values()] == [HOME]

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
