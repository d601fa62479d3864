"""A gateway, running.

The order of a start is what keeps it closed: the tunnel's interface is there, but down; the gate is attached
and knows no device; devices and locks; peers; and then the interface comes up. Where there was a gateway
before, all of it goes on meanwhile, and is compared with the store.

When the process ends, killed or asked to, all of that stays as it is and goes on enforcing: only
`removal.take_down` takes it away.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from wardgate.gateway.challenges import Sealer, Totp
from wardgate.gateway.challenges.recovery import METHOD as RECOVERY
from wardgate.gateway.compiling.policies import Composed, Portal
from wardgate.gateway.compiling.stored import read_bundle
from wardgate.gateway.control.peers import Access
from wardgate.gateway.control.server import ControlServer
from wardgate.gateway.enforcement import Enforcer, PolicyKeeper, Problems, Source, Tunnel, Worker, World
from wardgate.gateway.enforcement.world import PREFIXES
from wardgate.gateway.events import Bus, Event
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.metrics import Counters
from wardgate.gateway.metrics.endpoint import MetricsServer
from wardgate.gateway.names import NameBook
from wardgate.gateway.network.forwarding import Forwarding
from wardgate.gateway.network.links import bring_down, find_link
from wardgate.gateway.network.masquerading import Masquerade, apply_masquerade, remove_masquerade
from wardgate.gateway.network.tunnel import TunnelNetwork
from wardgate.gateway.policies import Policies, StoredPolicies
from wardgate.gateway.roaming import Detector
from wardgate.gateway.service import preparing
from wardgate.gateway.service.adopting import guarded, make_gate, own_device
from wardgate.gateway.service.control import ServiceControl
from wardgate.gateway.service.desk import ServiceDesk
from wardgate.gateway.service.drops import DropReader, as_event, inside
from wardgate.gateway.service.health import Health, TunnelLostError
from wardgate.gateway.service.naming import keep_names
from wardgate.gateway.service.people import People
from wardgate.gateway.service.roams import detector_for, follow_roams, watch_detector
from wardgate.gateway.service.web import Web
from wardgate.gateway.sessions import Sessions
from wardgate.gateway.sessions.boot import boot_id
from wardgate.gateway.sessions.endpoints import Endpoints
from wardgate.gateway.settings import Settings
from wardgate.gateway.store import SqliteStore
from wardgate.gateway.wireguard import Endpoint, WireGuardDevice, open_device
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.events import DropEvent
from wardgate.runtime.layout.codes import Direction, Reason

T = TypeVar("T")

_log = logging.getLogger("wardgate.gateway.service")
ACTOR: Final = "gateway"
_LOGIN_HELPS: Final = (Reason.NEEDS_LOGIN, Reason.SESSION_EXPIRED, Reason.IDLE, Reason.LOGIN_TOO_OLD)
_SWEEP_S: Final = 1.0


class Gateway:
    """Made, started and stopped once. What is public is there after `start`."""

    desk: ServiceDesk
    detector: Detector
    enforcer: Enforcer
    keeper: PolicyKeeper
    ledger: Ledger
    people: People
    policies: Policies
    sealer: Sealer
    sessions: Sessions
    store: SqliteStore
    stored_policies: StoredPolicies
    tunnel: Tunnel
    wireguard: WireGuardDevice

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bus = Bus()
        self.counters = Counters((Totp.name, RECOVERY))
        self.problems = Problems(self.counters.failed)
        self.world = World()
        self._kernel = Worker("kernel")
        self._compiler = Worker("compiler")
        self._looker = Worker("wireguard")
        self._asker = Worker("names")
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()
        self._fault: BaseException | None = None

    async def start(self) -> None:
        """Return when the gateway serves. WardgateError, PolicyError and what else says why it cannot; what
        was made until then stays closed, and the next start goes on from there."""
        starting = asyncio.ensure_future(self._start())
        over = asyncio.ensure_future(self._over.wait())
        try:
            # Asked to end meanwhile, it does not begin to serve.
            await asyncio.wait({starting, over}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
            await asyncio.gather(starting, return_exceptions=self._over.is_set())
        except BaseException:
            await self.stop()
            raise
        finally:
            over.cancel()

    async def _start(self) -> None:
        settings = self.settings
        for check in await asyncio.to_thread(preparing.check, settings):
            _log.info("%s: %s", check.name, check.message)
        key = await asyncio.to_thread(preparing.read_private_key, settings.private_key)
        await asyncio.to_thread(own_device, settings, key)
        self.sealer = await asyncio.to_thread(Sealer.open, settings.sealing_key)
        self.store = await self._stack.enter_async_context(await SqliteStore.open(settings.database))
        self.ledger = Ledger(self.store)
        self._make_policies()
        await self._first_policy()
        self.world.replace(await self.store.snapshot(*PREFIXES))

        self.wireguard = await self._kernel(open_device, settings.interface)
        own = str(key.public_key())
        self.keeper.enforced = self._enforced
        self.keeper.announced = self._announced
        self.people = People(self.ledger, self.sealer, self.keeper, self.counters, settings, own)
        await self._kernel(self._prepare_network)
        await self.keeper.first(lambda artefact: make_gate(settings, artefact))
        await self._kernel(self.wireguard.configure, key, settings.port)
        if self.keeper.gate is None:
            raise AssertionError("a gate is made by `first`")
        self.tunnel = Tunnel(self.keeper.gate, self.wireguard, self.sealer.unseal)
        # Slot 0 is nobody's.
        self.people.devices.most = (await self._kernel(self.tunnel.gate.status)).slots - 1
        self.detector = await self._compiler(detector_for, settings, self.wireguard)
        self._stack.callback(self.detector.close)
        self.sessions = Sessions(
            self.ledger,
            self.world,
            self.tunnel,
            self._kernel,
            settings.sessions,
            self.bus,
            Endpoints(self.endpoints),
            self.detector,
            bound=settings.roaming.on_roam != "ignore",
        )
        self.enforcer = Enforcer(
            self.store,
            self.world,
            self.tunnel,
            self._kernel,
            self.problems,
            forget=self.sessions.forget,
            ended=self.sessions.ended,
            changed=lambda members, applied, revision: self.keeper.changed(
                revision, inputs=members, applied=applied
            ),
            reconciled=self.sessions.reconcile,
        )
        self.desk = ServiceDesk(self.people, self.sessions, self.world, self.bus)
        await self.enforcer.start()
        await self._kernel(self._open_network)
        self.ledger.settle = self._settled
        self._run("enforcement", self.enforcer.run())
        self._run("policy", self.keeper.run())
        self._run("roaming", follow_roams(self.detector, self.sessions, self.problems))
        self._run("detector", watch_detector(self.detector, self.problems))
        self._run("names", keep_names(self.names, self.keeper, self._asker, self.problems))
        self._run("sessions", self._every(_SWEEP_S, "sessions", self.sessions.sweep))
        health = Health(settings.interface, self.tunnel.gate, self._kernel)
        self._run("tunnel", self._every(_SWEEP_S, "tunnel", health.look))
        self._run("tokens", self._every(_SWEEP_S, "tokens", self._sweep_tokens))
        drops = DropReader(self.tunnel.gate, self._dropped, self.problems)
        self._stack.push_async_callback(drops.close)
        await self._stack.enter_async_context(Web(self.desk, settings))
        await self._open_control()
        _log.info("the gateway is open", extra={"interface": settings.interface})

    async def endpoints(self) -> Mapping[str, Endpoint | None]:
        """Where each peer is, by its public key in base64."""
        return await self._looker(self.tunnel.endpoints)

    async def in_kernel(self, work: Callable[[], T]) -> T:
        """What `work` returns, done in the thread of all changes to the kernel."""
        return await self._kernel(work)

    def end(self) -> None:
        """Have `wait` return."""
        self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether it was asked to end, or cannot go on: where that was during `start`, it never served."""
        return self._over.is_set()

    async def wait(self) -> None:
        """Return when `end` is called; raise where a part that must go on has ended."""
        await self._over.wait()
        if self._fault is not None:
            raise self._fault

    async def stop(self) -> None:
        """End the process's part: servers, watching, the store. The kernel goes on enforcing."""
        self._over.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()
        for worker in (self._kernel, self._compiler, self._looker, self._asker):
            worker.close()

    def _make_policies(self) -> None:
        settings = self.settings
        self.names = NameBook(
            settings.state / "names.json",
            boot=boot_id(),
            shortest=settings.names.shortest,
            grace=settings.names.grace,
            own=[address.ip for address in settings.addresses],
        )
        self._stack.callback(self.names.close)
        self.stored_policies = StoredPolicies(self.ledger)
        portal = Portal(tuple(address.ip for address in settings.addresses), settings.portal.port)
        self.keeper = PolicyKeeper(
            portal, self.names, self.world.members, self._load_policy, self._compiler, self.problems
        )
        self.policies = Policies(self.stored_policies, self.keeper, self._compiler)

    def _enforced(self, composed: Composed) -> None:
        """A policy came into force."""
        self.people.place(composed.policy.tunnel)

    def _announced(self, number: int) -> None:
        """A policy is in force and stored."""
        self.bus.publish(Event("policy", details={"number": str(number)}))

    async def _first_policy(self) -> None:
        """Store the policy of the settings, where there is none yet."""
        if (await self.stored_policies.applied()).number:
            return
        bundle = await self._compiler(read_bundle, self.settings.policy, resolver=self.names)
        await self.policies.first(ACTOR, bundle)

    async def _load_policy(self) -> Source:
        applied = await self.stored_policies.applied()
        policy, bundle = await self.stored_policies.get(applied.number)
        return Source(policy.number, bundle)

    def _prepare_network(self) -> None:
        """Addresses; and the interface down, unless a gate guards it."""
        settings = self.settings
        link = find_link(settings.interface)
        if link is not None and link.up and not guarded(settings.interface):
            _log.warning("%s was up without a gate: it is down now", settings.interface)
            bring_down(settings.interface)
        self._network = TunnelNetwork(
            settings.interface,
            settings.addresses,
            tuple(address.network for address in settings.addresses),
            settings.mtu,
        )
        self._network.prepare()

    def _open_network(self) -> None:
        settings = self.settings
        networks = tuple(address.network for address in settings.addresses)
        if settings.network.masquerade:
            apply_masquerade(Masquerade(settings.interface, networks, settings.network.exclude))
        else:
            remove_masquerade(settings.interface)
        if settings.network.forwarding == "enable":
            Forwarding(forwarding_file(settings)).enable(sorted({one.version for one in networks}))
        self._network.activate()

    async def _open_control(self) -> None:
        control, settings = ServiceControl(self), self.settings
        server = ControlServer(control, settings.control.socket, Access.of_group(settings.control.group))
        await server.start()
        self._stack.push_async_callback(server.stop)
        if settings.metrics is not None:
            address, port = settings.metrics
            metrics = MetricsServer(control.scraped, str(address), port)
            await metrics.start()
            self._stack.push_async_callback(metrics.stop)

    async def _settled(self, revision: int) -> None:
        await self.enforcer.settled(revision)
        await self.keeper.settled(revision)

    async def _sweep_tokens(self) -> None:
        """Remove tokens once they have expired: what is gone is not good again when the clock is put back."""
        if min(self.world.expiries.values(), default=math.inf) <= time.time():
            await self.people.tokens.sweep(ACTOR)

    def _dropped(self, event: DropEvent) -> None:
        """A packet was dropped: whoever it was of may want to know that a login helps."""
        if self._over.is_set():
            return
        device = self.world.at_address(inside(event))
        self.bus.publish(as_event(event, device))
        if device is None or event.reason not in _LOGIN_HELPS:
            return
        if event.reason is not Reason.NEEDS_LOGIN:
            self._run_once("look", self.sessions.look(device))
        details = {
            "destination": str(
                event.destination if event.direction is Direction.FROM_DEVICE else event.source
            ),
            "service": event.service,
            "rule": event.rule.text if event.rule else "",
            "reason": event.reason.label,
            "user": device.user,
            "name": device.name,
        }
        self.bus.publish(Event("needs-login", device.id, details))

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a part that never ends; if it does, the gateway does."""

        async def guarded() -> None:
            try:
                await work
                self._fault = RuntimeError(f"{name} ended")
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                unforeseen = None if isinstance(error, WardgateError) else error
                _log.critical("%s failed: %s", name, error, exc_info=unforeseen)
                self._fault = error
            self._over.set()

        self._tasks.append(asyncio.create_task(guarded(), name=name))

    def _run_once(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run something short, whose failure is a problem and no more."""

        async def guarded() -> None:
            try:
                await work
            except (WardgateError, OSError) as error:
                self.problems.raised(name, error)
            else:
                self.problems.mended(name)

        task = asyncio.create_task(guarded(), name=name)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _every(self, seconds: float, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except TunnelLostError:
                raise
            except (WardgateError, OSError) as error:
                self.problems.raised(name, error)
            else:
                self.problems.mended(name)


def forwarding_file(settings: Settings) -> Any:
    """Where the system's settings that were changed are remembered."""
    return settings.control.socket.parent / f"{settings.interface}.forwarding.json"
