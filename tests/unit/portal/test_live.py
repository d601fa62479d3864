"""A stream of events, without a server: when it ends, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from portal_desk import MemoryDesk, office
from wardgate.gateway.errors import NotFoundError
from wardgate.gateway.portal import NeedsLoginEvent, PortalEvent
from wardgate.gateway.portal.desk import SessionView
from wardgate.gateway.portal.live import event_stream

MOST = 200_000
EVENT = NeedsLoginEvent("10.1.2.3", "22/tcp", "lab", "")


class Busy(MemoryDesk):
    """A device to which something happens all the time."""

    closed = False

    async def events(self, device_id: str) -> AsyncIterator[PortalEvent]:
        try:
            while device_id:
                yield EVENT
        finally:
            self.closed = True


async def yes() -> bool:
    return True


def drawn(desk: MemoryDesk, still, ping_s: float, stream_s: float) -> list[bytes]:
    """All that a stream says, which ends by itself."""

    async def run() -> list[bytes]:
        device = desk.devices["10.9.0.2"]
        found = []
        async for part in event_stream(desk, device, still=still, ping_s=ping_s, stream_s=stream_s):
            found.append(part)
            assert len(found) < MOST, "it does not end"
        return found

    return asyncio.run(run())


def busy() -> Busy:
    desk = Busy()
    desk.devices = office().devices
    return desk


def test_whose_address_it_is_is_asked_however_much_happens() -> None:
    asked = []

    async def twice() -> bool:
        asked.append(None)
        return len(asked) < 3

    desk = busy()
    found = drawn(desk, twice, 0.001, 3600)
    assert len(asked) == 3
    assert found.count(b": still here\n\n") == 2
    assert any(b"10.1.2.3" in part for part in found)
    assert desk.closed


def test_it_ends_in_time_however_much_happens() -> None:
    desk = busy()
    drawn(desk, yes, 3600, 0.01)
    assert desk.closed


def test_a_device_that_is_removed_meanwhile_ends_it() -> None:
    class Gone(Busy):
        async def session(self, device_id: str) -> SessionView:
            raise NotFoundError("look up session", device_id, "there is no such device")

    desk = Gone()
    desk.devices = office().devices
    assert drawn(desk, yes, 3600, 3600) == []
