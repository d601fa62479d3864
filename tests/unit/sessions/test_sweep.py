"""What has ended in the kernel ends in the store: by time at once, by silence a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from wardgate.gateway.enforcement import World
from wardgate.gateway.events import Bus
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.records import DEVICES, SESSIONS, Device, Session
from wardgate.gateway.sessions import Sessions
from wardgate.gateway.settings import Sessions as Limits
from wardgate.gateway.store import SqliteStore
from wardgate.runtime import clock
from wardgate.runtime.sessions import Session as KernelSession
from wardgate.runtime.sessions import SessionState

HOUR = clock.nanoseconds(3600)


class Kernel:
    """A tunnel: what the kernel has, by device's address, and how often all of it was read."""

    def __init__(self) -> None:
        self.states: dict[str, SessionState] = {}
        self.looks = 0

    def sessions(self) -> Mapping[str, KernelSession]:
        self.looks += 1
        return {address: self._of(address) for address in self.states}

    def session(self, device: Device) -> KernelSession:
        return self._of(device.addresses[0])

    def revoke(self, device: Device) -> None:
        self.states[device.addresses[0]] = SessionState.NONE

    def _of(self, address: str) -> KernelSession:
        return KernelSession("alice", (ip_address(address),), self.states[address], 0, None, None)


class Site:
    """Sessions of some devices, in the store, the world and the kernel."""

    def __init__(self, store: SqliteStore, idle: int | None) -> None:
        self.ledger = Ledger(store)
        self.world = World()
        self.kernel = Kernel()
        nothing: Any = type("Nothing", (), {"forget": lambda *_: None})()

        async def worker(work: Callable[..., Any], *arguments: Any) -> Any:
            return work(*arguments)

        self.sessions = Sessions(
            self.ledger, self.world, cast("Any", self.kernel), cast("Any", worker), Limits(3600, idle),
            Bus(), nothing, nothing,
        )  # fmt: skip

    async def begin(self, number: int, deadline: int) -> str:
        """A session of a new device; its id."""
        name, address = f"device{number}", f"10.9.0.{number}"
        key = "A" * 42 + "AEIM"[number % 4] + "="
        device = Device(name, "alice", name, key, (address,), None, None, False, 0)
        session = Session(name, "alice", "totp", 0, 0, 0, deadline, 0, "boot", "")

        async def work(change: Any) -> None:
            change.put(DEVICES, device, name)
            change.put(SESSIONS, session, name)

        await self.ledger.run("gateway", work)
        self.world.replace(await self.ledger.store.snapshot(""))
        self.kernel.states[address] = SessionState.AUTHORISED
        return name

    async def stored(self) -> set[str]:
        """Devices that have a session in the store."""
        return {session.device for session in await self.ledger.records(SESSIONS)}


def run(folder: Path, idle: int | None, work: Callable[[Site], Any]) -> None:
    async def inside() -> None:
        async with await SqliteStore.open(folder / "db") as store:
            await work(Site(store, idle))

    asyncio.run(inside())


def test_what_is_over_in_time_ends_without_a_look_at_all(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.begin(1, clock.now() + HOUR)
        await site.sessions.sweep()
        looks = site.kernel.looks
        over = await site.begin(2, clock.now() - 1)
        site.kernel.states["10.9.0.2"] = SessionState.EXPIRED
        for _ in range(3):
            await site.sessions.sweep()
        assert await site.stored() == {"device1"}
        assert site.kernel.looks == looks == 1
        assert over == "device2"

    run(tmp_path, None, work)


def test_a_session_that_the_kernel_still_has_goes_on(tmp_path: Path) -> None:
    """The kernel's deadline is a moment later than the store's."""

    async def work(site: Site) -> None:
        await site.begin(1, clock.now() - 1)
        await site.sessions.sweep()
        await site.sessions.sweep()
        assert await site.stored() == {"device1"}

    run(tmp_path, None, work)


def test_what_silence_or_somebody_ended_is_found_by_a_look_at_all(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for number in (1, 2, 3):
            await site.begin(number, clock.now() + HOUR)
        await site.sessions.sweep()
        site.kernel.states["10.9.0.1"] = SessionState.IDLE
        site.kernel.states["10.9.0.2"] = SessionState.NONE
        await site.sessions.sweep()
        assert len(await site.stored()) == 3
        await asyncio.sleep(1.1)
        await site.sessions.sweep()
        assert await site.stored() == {"device3"}

    run(tmp_path, 5, work)
