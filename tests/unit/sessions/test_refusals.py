"""Who gets no session, and which sessions do not go on after a start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from gateway_tunnel import AWAY, PROOF, MemoryTunnel, is_closed, with_a_device
from identities import ADMIN, Node, key
from wardgate.gateway.challenges import Proof
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import SESSIONS, Device
from wardgate.gateway.wireguard import PublicKey

MEANWHILE: dict[str, Callable[[Node, Device], Awaitable[object]]] = {
    "locked user": lambda node, _: node.users.lock(ADMIN, "alice"),
    "locked device": lambda node, device: node.devices.lock(ADMIN, device.id),
    "removed user": lambda node, _: node.users.remove(ADMIN, "alice"),
    "removed device": lambda node, device: node.devices.remove(ADMIN, device.id),
    "another key": lambda node, device: node.devices.replace_key(ADMIN, device.id, key(2)),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_the_store_says_counts_though_the_kernel_does_not_know_it_yet(tmp_path: Path, what: str) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        await MEANWHILE[what](made.node, device)
        with pytest.raises(RefusedError):
            await made.sessions.login(device, PROOF)
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


def test_nobody_logs_in_at_another_users_device(tmp_path: Path) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        with pytest.raises(RefusedError, match="another user's"):
            await made.sessions.login(device, Proof("bob", "totp", 0))
        assert await is_closed(made, device)

    with_a_device(tmp_path, work)


@pytest.mark.parametrize("what", ["nothing", "restarted", "moved", "over in the kernel", "not in the store"])
def test_after_a_start_only_what_store_and_kernel_agree_on_goes_on(tmp_path: Path, what: str) -> None:
    async def work(made: MemoryTunnel, device: Device) -> None:
        await made.sessions.login(device, PROOF)
        if what == "restarted":
            made.sessions._boot = "another boot"
        elif what == "moved":
            made.wireguard.at[PublicKey.parse(device.public_key)] = AWAY
        elif what == "over in the kernel":
            made.gate.granted.clear()
        elif what == "not in the store":

            async def forget(change: Change) -> None:
                change.delete(SESSIONS, device.id)

            await made.node.ledger.run("gateway", forget)
        await made.sessions.reconcile()
        assert made.is_open(device) is (what == "nothing")
        assert await is_closed(made, device) is (what != "nothing")

    with_a_device(tmp_path, work)
