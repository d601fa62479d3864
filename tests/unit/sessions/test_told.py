"""Whoever looks at the portal is told of each end of a session, once, whoever ended it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway_tunnel import MemoryTunnel
from identities import ADMIN, Node, key, on_a_node
from wardgate.gateway.challenges import Proof
from wardgate.gateway.enforcement import Enforcer, Problems
from wardgate.gateway.events import Event, Lost
from wardgate.gateway.records import Device

PROOF = Proof("alice", "totp", 0)


class Following:
    """A tunnel that follows the store, and what was told of a device."""

    def __init__(self, node: Node) -> None:
        self.made = MemoryTunnel(node)
        self.told: list[tuple[str, str]] = []

        async def nothing() -> None:
            return

        sessions = self.made.sessions
        self.enforcer = Enforcer(
            node.ledger.store,
            self.made.world,
            self.made.tunnel,
            self.made.worker,
            Problems(),
            forget=sessions.forget,
            ended=sessions.ended,
            changed=lambda *_: None,
            reconciled=nothing,
        )
        node.ledger.settle = self.enforcer.settled

    async def listen(self, device: str) -> None:
        with self.made.sessions._bus.listening(device) as events:
            async for event in events:
                assert not isinstance(event, Lost)
                self.told.append((event.kind, event.details.get("reason", "")))

    async def hears(self, *wanted: tuple[str, str]) -> None:
        """That this, and nothing else, was told since the last time."""
        # What is behind it is told after it.
        end = Event("end", self.device.id)
        self.made.sessions._bus.publish(end)
        while ("end", "") not in self.told:
            await asyncio.sleep(0)
        assert self.told == [*wanted, ("end", "")]
        self.told.clear()

    async def begin(self, device: Device) -> list[asyncio.Task[None]]:
        self.device = device
        await self.enforcer.start()
        return [asyncio.create_task(self.enforcer.run()), asyncio.create_task(self.listen(device.id))]


def test_each_end_of_a_session_is_told_once(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        following = Following(node)
        made, sessions = following.made, following.made.sessions
        tasks = await following.begin(device)
        await asyncio.sleep(0)
        try:
            await sessions.login(device, PROOF)
            await following.hears(("login", ""))
            await node.users.lock(ADMIN, "alice")
            assert not made.is_open(device)
            await following.hears(("session-ended", "locked"))

            await node.users.unlock(ADMIN, "alice")
            for _ in range(2):
                await sessions.login(device, PROOF)
                await sessions.end("user:alice", device.id, "logged out")
                await following.hears(("login", ""), ("logout", "logged out"))
                # That the store tells of it, too, has been waited for.
                await node.devices.rename(ADMIN, device.id, "desk")
                await node.devices.rename(ADMIN, device.id, "laptop")
                await following.hears()

            await sessions.login(device, PROOF)
            await node.devices.lock(ADMIN, device.id)
            await following.hears(("login", ""), ("session-ended", "locked"))
            await node.devices.unlock(ADMIN, device.id)
            await sessions.login(device, PROOF)
            await node.devices.replace_key(ADMIN, device.id, key(2))
            await following.hears(("login", ""), ("session-ended", "an administrator ended it"))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            made.worker.close()

    on_a_node(tmp_path, work)
