"""What the portal and the enrolment page can do, by the gateway's parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from wardgate.gateway.enforcement import World
from wardgate.gateway.errors import NotFoundError
from wardgate.gateway.events import Bus, Event
from wardgate.gateway.identity import ClientConfiguration, Enrolled
from wardgate.gateway.portal.desk import (
    Challenges,
    Enrolment,
    NeedsLoginEvent,
    PortalEvent,
    Proof,
    SessionEvent,
    SessionView,
)
from wardgate.gateway.records import Device, Session
from wardgate.gateway.service.counting import CountedEnrolment
from wardgate.gateway.service.people import People
from wardgate.gateway.sessions import Sessions
from wardgate.runtime.layout.codes import Reason


class ServiceDesk:
    """See portal.desk.Desk, which this is."""

    def __init__(self, people: People, sessions: Sessions, world: World, bus: Bus) -> None:
        self.challenges: Challenges = people.challenges
        self.enrolment: Enrolment = _ToldEnrolment(people.enrolment, bus)
        self._configurations = people.configurations
        self._sessions = sessions
        self._world = world
        self._bus = bus

    async def device_at(self, address: str) -> Device | None:
        """See Desk."""
        device = self._world.at_address(address)
        # A user's lock is one of all devices.
        return None if device is None else replace(device, locked=self._world.locked(device))

    async def login(self, device: Device, proof: Proof) -> Session:
        """See Desk."""
        return await self._sessions.login(device, proof)

    async def logout(self, device: Device) -> None:
        """See Desk."""
        await self._sessions.end(f"user:{device.user}", device.id, "logged out")

    async def session(self, device_id: str) -> SessionView:
        """See Desk."""
        device = self._world.devices.get(device_id)
        found = await self._sessions.state(device) if device else None
        if device is None or found is None:
            raise NotFoundError("look up session", device_id, "there is no such device", "enrol it again")
        record = self._world.sessions.get(device_id)
        return SessionView(
            state=found.state.value,
            remaining_s=int(found.remaining),
            idle_s=None if found.idle_limit is None else int(found.idle_limit),
            login_age_s=int(found.login_age or 0),
            method=record.method if record else "",
        )

    async def events(self, device_id: str) -> AsyncIterator[PortalEvent]:
        """See Desk."""
        with self._bus.listening(device_id) as events:
            async for event in events:
                if isinstance(event, Event) and (told := _told(event)) is not None:
                    yield told

    async def configuration(self, device: Device) -> ClientConfiguration:
        """See Desk."""
        return self._configurations.of(device)


class _ToldEnrolment:
    """Enrolment, of which whoever listens is told."""

    def __init__(self, enrolment: CountedEnrolment, bus: Bus) -> None:
        self._enrolment = enrolment
        self._bus = bus

    async def enrol(self, token_text: str, device_name: str, public_key: str) -> Enrolled:
        """See Enrolment."""
        enrolled = await self._enrolment.enrol(token_text, device_name, public_key)
        device = enrolled.device
        self._bus.publish(Event("enrolled", device.id, {"user": device.user, "name": device.name}))
        return enrolled


def _told(event: Event) -> PortalEvent | None:
    """An event as the portal tells it; None where it does not."""
    details = event.details
    if event.kind == "login":
        return SessionEvent("began")
    if event.kind == "renewal":
        return SessionEvent("renewed")
    if event.kind in ("logout", "session-ended"):
        return SessionEvent("ended", details.get("reason", ""))
    if event.kind == "roam":
        return SessionEvent("ended", "the device moved to another network")
    if event.kind == "needs-login":
        # That a login is needed is what the event says already.
        reason = "" if details["reason"] == Reason.NEEDS_LOGIN.label else details["reason"]
        return NeedsLoginEvent(details["destination"], details["service"], details["rule"], reason)
    return None
