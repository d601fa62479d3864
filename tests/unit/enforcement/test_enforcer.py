"""What is stored comes into force change by change; where the kernel refuses, all of it is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_tunnel import MemoryTunnel
from identities import ADMIN, Node, key, on_a_node
from wardgate.gateway.challenges import Proof
from wardgate.gateway.enforcement import Enforcer, NotEnforcedError, Problems, enforcer
from wardgate.gateway.records import DEVICES, SESSIONS
from wardgate.runtime.errors import WardgateError

PROOF = Proof("alice", "totp", 0)


class Following:
    """A tunnel whose enforcer follows the store, and what it has told."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.made = MemoryTunnel(node)
        self.told: list[str] = []
        self.problems = Problems()
        made = self.made

        async def ended(device: Any) -> None:
            self.told.append(f"ended {device.name}")
            await made.sessions.ended(device)

        async def reconciled() -> None:
            self.told.append("reconciled")
            await made.sessions.reconcile()

        def forget(device: Any) -> None:
            self.told.append(f"forgot {device.name}")
            made.sessions.forget(device)

        self.enforcer = Enforcer(
            node.ledger.store, made.world, made.tunnel, made.worker, self.problems,
            forget=forget, ended=ended, reconciled=reconciled, changed=lambda *_: None,
        )  # fmt: skip

    async def settled(self) -> None:
        """Wait until all that is stored is in force."""
        await self.enforcer.settled((await self.node.ledger.store.snapshot("")).revision)


def follow(folder: Path, work: Callable[[Following], Awaitable[None]]) -> None:
    """Do `work` with a laptop and a tablet of alice's, who has logged in on both."""

    async def run(node: Node) -> None:
        for number, name in enumerate(("laptop", "tablet"), 1):
            await node.devices.add(ADMIN, "alice", name, key(number))
        following = Following(node)
        await following.enforcer.start()
        task = asyncio.create_task(following.enforcer.run())
        try:
            for device in following.made.world.devices.values():
                await following.made.sessions.login(device, PROOF)
            await following.settled()
            following.told.clear()
            await work(following)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            following.made.worker.close()

    on_a_node(folder, run)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcer, "_WAITS", (0.0,))


def test_a_lock_and_its_end_come_into_force(tmp_path: Path) -> None:
    async def work(following: Following) -> None:
        gate = following.made.gate
        await following.node.users.lock(ADMIN, "alice")
        await following.settled()
        assert len(gate.locked) == 2
        assert not gate.granted
        assert not following.made.detector.watched
        await following.node.users.unlock(ADMIN, "alice")
        await following.settled()
        assert not gate.locked
        assert not gate.granted

    follow(tmp_path, work)


def test_sessions_that_are_gone_from_the_store_end(tmp_path: Path) -> None:
    async def work(following: Following) -> None:
        async def take(change: Any) -> None:
            change.tell("ended all", "")
            for device in await change.records(DEVICES):
                change.delete(SESSIONS, device.id)

        await following.node.ledger.run(ADMIN, take)
        await following.settled()
        assert sorted(following.told) == ["ended laptop", "ended tablet"]
        assert not following.made.gate.granted
        assert not following.made.detector.watched

    follow(tmp_path, work)


def test_a_device_that_is_gone_is_forgotten_and_the_other_goes_on(tmp_path: Path) -> None:
    async def work(following: Following) -> None:
        made = following.made
        laptop, tablet = made.world.devices.values()
        await following.node.devices.remove(ADMIN, laptop.id)
        await following.settled()
        assert following.told == [f"forgot {laptop.name}"]
        assert [str(one) for one in made.wireguard.at] == [tablet.public_key]
        assert made.is_open(tablet)
        assert len(made.detector.watched) == 1

    follow(tmp_path, work)


def test_another_key_takes_the_access_of_the_one_before_first(tmp_path: Path) -> None:
    async def work(following: Following) -> None:
        made, seen = following.made, []
        one, other = made.world.devices.values()

        def told(_: Any) -> None:
            seen.append((len(made.gate.granted), {str(peer) for peer in made.wireguard.at}))

        made.wireguard.told = told
        await following.node.devices.replace_key(ADMIN, one.id, key(3))
        await following.settled()
        assert seen == [(1, {other.public_key})]
        assert {str(peer) for peer in made.wireguard.at} == {other.public_key, key(3)}

    follow(tmp_path, work)


@pytest.mark.parametrize("error", [WardgateError("add", "peer", "it is full"), OSError(28, "no space")])
def test_what_the_kernel_refuses_is_told_and_all_is_tried_again(tmp_path: Path, error: Exception) -> None:
    async def work(following: Following) -> None:
        made, add, refuse = following.made, following.made.wireguard.add, asyncio.Event()

        def adds(peers: Any) -> None:
            if not refuse.is_set():
                raise error
            add(peers)

        made.wireguard.add = adds  # type: ignore[method-assign]
        made.wireguard.reconcile = adds  # type: ignore[method-assign]
        await following.node.devices.add(ADMIN, "alice", "phone", key(4))
        with pytest.raises(NotEnforcedError, match="not in force"):
            await following.settled()
        assert [one.part for one in following.problems.now()] == ["enforcement"]
        refuse.set()
        while following.problems.now():
            await asyncio.sleep(0.01)
        await following.settled()
        assert key(4) in {str(one) for one in made.wireguard.at}
        assert "reconciled" in following.told

    follow(tmp_path, work)
