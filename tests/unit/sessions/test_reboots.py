"""What lets a session go on after a start: the same boot of the machine, and a kernel that has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_tunnel import MemoryTunnel
from identities import ADMIN, Node, key, on_a_node
from wardgate.gateway.challenges import Proof
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import AUDIT, SESSIONS, Device

PROOF = Proof("alice", "totp", 0)
HOURS = 3_600


def with_a_session(folder: Path, work: Callable[[Node, MemoryTunnel, Device], Awaitable[None]]) -> None:
    """Do `work` with a device that has a session, in store and kernel."""

    async def run(node: Node) -> None:
        node.clock.at = 1_800_000_000
        device = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        made = MemoryTunnel(node)
        try:
            await made.follow()
            await made.sessions.login(device, PROOF)
            await made.follow()
            await work(node, made, device)
        finally:
            made.worker.close()

    on_a_node(folder, run)


async def of_another_boot(node: Node, device: Device) -> None:
    """Have the store be one that was copied here, or is older than the last reboot."""

    async def work(change: Change) -> None:
        session = await change.get(SESSIONS, device.id)
        assert session is not None
        change.put(SESSIONS, replace(session, boot="another"), device.id)

    await node.ledger.run("gateway", work)


@pytest.mark.parametrize("same_boot", [True, False])
@pytest.mark.parametrize("pins", ["survived", "vanished"])
@pytest.mark.parametrize("stored", [True, False])
def test_a_session_goes_on_where_all_say_so(tmp_path: Path, same_boot: bool, pins: str, stored: bool) -> None:
    async def work(node: Node, made: MemoryTunnel, device: Device) -> None:
        if not same_boot:
            await of_another_boot(node, device)
        if not stored:
            await made.sessions._drop(device.id, "gateway", "restored from a backup, say")
        if pins == "vanished":
            made.gate.granted.clear()
        await made.follow()
        await made.sessions.reconcile()
        goes_on = same_boot and stored and pins == "survived"
        assert made.is_open(device) == goes_on
        assert (await node.ledger.get(SESSIONS, device.id) is not None) == goes_on
        assert bool(made.detector.watched) == goes_on
        reasons = {entry.details.get("reason") for entry in await node.ledger.records(AUDIT)}
        assert ("the machine was restarted" in reasons) == (stored and not same_boot)

    with_a_session(tmp_path, work)


def test_a_store_that_came_to_another_machine_brings_no_session_along(tmp_path: Path) -> None:
    """There WireGuard knows nobody, and the gate is new."""

    async def work(node: Node, made: MemoryTunnel, device: Device) -> None:
        await of_another_boot(node, device)
        made.gate.__init__()  # type: ignore[misc]
        made.wireguard.at.clear()
        await made.follow()
        await made.sessions.reconcile()
        assert not made.is_open(device)
        assert await node.ledger.records(SESSIONS) == []
        assert not made.detector.watched

    with_a_session(tmp_path, work)


@pytest.mark.parametrize("step", [-400 * 24 * HOURS, -5 * HOURS, -1, 1, 5 * HOURS, 400 * 24 * HOURS])
def test_no_clock_that_is_set_ends_or_prolongs_a_session(tmp_path: Path, step: int) -> None:
    async def work(node: Node, made: MemoryTunnel, device: Device) -> None:
        before = await node.ledger.get(SESSIONS, device.id)
        assert before is not None
        node.clock.at += step
        await made.sessions.sweep()
        await made.sessions.reconcile()
        assert made.is_open(device)
        assert await node.ledger.get(SESSIONS, device.id) == before
        # A renewal is as long as any, and its time of day is the clock's.
        renewed = await made.sessions.login(device, PROOF)
        assert renewed.deadline - renewed.login == before.deadline - before.login
        assert renewed.login >= before.login
        assert renewed.last_login == before.last_login + step
        # What the kernel has ended is over.
        made.gate.granted.clear()
        await made.sessions.look(device)
        assert await node.ledger.records(SESSIONS) == []

    with_a_session(tmp_path, work)
