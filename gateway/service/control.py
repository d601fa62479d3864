"""What the control API can do, by the gateway's parts."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from wardgate.gateway.control.trail import Trail
from wardgate.gateway.control.views import DeviceSession, Gate, Interface, Problem, Roaming, Status
from wardgate.gateway.events import Event, Lost
from wardgate.gateway.metrics import Counters, Metrics, Network, Roams, Supplies, stored
from wardgate.gateway.records import Device
from wardgate.gateway.sessions import Sessions
from wardgate.gateway.settings.pages import enrolment_page, portal_page
from wardgate.runtime.sessions import SessionState

if TYPE_CHECKING:
    from wardgate.gateway.service.gateway import Gateway


class ListedSessions:
    """See control.operations.Sessions, which this is."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._sessions: Sessions = gateway.sessions

    async def list(self) -> Sequence[DeviceSession]:
        """See control.operations.Sessions."""
        endpoints = await self._gateway.endpoints()
        records = self._gateway.world.sessions
        found = []
        for device, session in await self._sessions.states():
            record = records.get(device.id)
            authorised = session is not None and session.state is SessionState.AUTHORISED
            found.append(
                DeviceSession(
                    device=device,
                    state=session.state.value if session else SessionState.NONE.value,
                    remaining=session.remaining if session and authorised else None,
                    idle_limit=session.idle_limit if session else None,
                    login_age=session.login_age if session and authorised else None,
                    method=record.method if record else "",
                    endpoint=str(endpoints.get(device.public_key) or ""),
                )
            )
        return found

    async def end(self, actor: str, device: str) -> None:
        """See control.operations.Sessions."""
        await self._sessions.end(actor, device, "an administrator ended it")


class ServiceControl:
    """See control.operations.Control, which this is."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._started = int(time.time())
        self.users = gateway.people.users
        self.devices = gateway.people.devices
        self.tokens = gateway.people.tokens
        self.challenges = gateway.people.challenges
        self.sessions = ListedSessions(gateway)
        self.policies = gateway.policies
        self.audit = Trail(gateway.ledger)
        self.enrolment_page = enrolment_page(gateway.settings)
        self._metrics = metrics_of(gateway)

    @property
    def scraped(self) -> Metrics:
        """What Prometheus is told."""
        return self._metrics

    async def configuration(self, device: Device) -> str:
        """See control.operations.Control."""
        return self._gateway.people.configurations.of(device).text(None)

    async def status(self) -> Status:
        """See control.operations.Control."""
        gateway, settings = self._gateway, self._gateway.settings
        state = await gateway.in_kernel(gateway.wireguard.state)
        peers = await gateway.endpoints()
        gate = await gateway.in_kernel(gateway.tunnel.gate.status)
        counts = await stored(gateway.ledger)
        detector = gateway.detector.status()
        return Status(
            version=version("wardgate"),
            pid=os.getpid(),
            started=self._started,
            store=str(settings.database),
            revision=counts.revision,
            interface=Interface(
                name=settings.interface,
                implementation=gateway.wireguard.kind.value,
                public_key=str(state.public_key),
                listen_port=state.listen_port,
                addresses=tuple(map(str, settings.addresses)),
                mtu=settings.mtu,
                peers=len(peers),
            ),
            gate=Gate(
                name=gate.name,
                enforcing=gate.enforcing,
                hook=gate.hook,
                generation=gate.generation,
                policy=gateway.keeper.number,
                digest=gate.digest,
                passed=gate.passed.packets,
                dropped=gate.dropped.packets,
            ),
            roaming=Roaming(
                detector=detector.detector,
                on_roam=detector.on_roam.value,
                refused={one.detector: one.cause for one in detector.refused},
            ),
            portal=portal_page(settings),
            enrolment=self.enrolment_page,
            users=counts.users,
            devices=counts.devices,
            tokens=counts.tokens,
            sessions=dict(Counter({state.value: n for state, n in gate.sessions.items() if n})),
            problems=tuple(
                Problem(one.part, one.cause, one.remedy, one.since) for one in gateway.problems.now()
            ),
        )

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """See control.operations.Control."""
        with self._gateway.bus.listening() as events:
            async for event in events:
                yield _document(event)

    async def metrics(self) -> str:
        """See control.operations.Control."""
        return await self._metrics.text()


def metrics_of(gateway: Gateway) -> Metrics:
    """What Prometheus is told of a gateway."""

    def network() -> Network:
        peers = gateway.wireguard.peers().values()
        return Network(len(peers), sum(one.received for one in peers), sum(one.sent for one in peers))

    def roams() -> Mapping[str, Roams]:
        status = gateway.detector.status()
        return {status.detector: Roams(gateway.sessions.roams, status.dumps, status.missed_packets)}

    async def counted() -> Any:
        return await stored(gateway.ledger)

    counters: Counters = gateway.counters
    return Metrics(counters, Supplies(gateway.tunnel.gate.status, network, roams, counted))


def _document(event: Event | Lost) -> Mapping[str, Any]:
    if isinstance(event, Lost):
        return {"event": "lost", "time": datetime.now(UTC).isoformat(), "count": event.count}
    moment = datetime.fromtimestamp(event.time, UTC).isoformat()
    device = {"device": event.device} if event.device else {}
    return {"event": event.kind, "time": moment, **device, **event.details}
