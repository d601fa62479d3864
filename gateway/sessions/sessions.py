"""Sessions begin with a login, and end by themselves, by their user, by an administrator, or by roaming.

The order is what makes this safe. A session is in the store before the kernel has it, and gone from the
kernel when the change that took it from the store is in force. After a crash those sessions go on that both
have (see `reconcile`), so a crash can end a session, and never begin one.

A session belongs to the place where its device is when WireGuard is asked, once, after the login came. The
device may move before the kernel has the session, and no moment is left out all the same: the detector is
told that place before the grant, and from then on judges by it, and not by where the peer is at the moment.
A detector that looks compares it with WireGuard's answer in a look that begins later. One that sees packets
ends the session with the first from elsewhere; it does not see a peer that sent one before it was watched,
and none since, to which others' packets would go: so where these peers are is asked once more (`strays`),
for all of them together, and no login waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from wardgate.gateway.enforcement.threads import Worker
from wardgate.gateway.enforcement.tunnel import Tunnel
from wardgate.gateway.enforcement.world import World
from wardgate.gateway.errors import GatewayError, NotFoundError, RefusedError
from wardgate.gateway.events import Bus, Event
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import DEVICES, SESSIONS, USERS, Device, Session
from wardgate.gateway.roaming import Detector, Roamed, Watched
from wardgate.gateway.roaming.anchors import plain
from wardgate.gateway.sessions.boot import boot_id
from wardgate.gateway.sessions.endpoints import Endpoints
from wardgate.gateway.sessions.turns import Turns
from wardgate.gateway.settings import Sessions as Limits
from wardgate.gateway.wireguard import Endpoint, PublicKey
from wardgate.runtime import clock
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.sessions import Session as KernelSession
from wardgate.runtime.sessions import SessionState

_log = logging.getLogger("wardgate.gateway.sessions")
_GONE: Final = {
    SessionState.NONE: "ended in the kernel",
    SessionState.EXPIRED: "expired",
    SessionState.IDLE: "idle for too long",
    SessionState.LOCKED: "locked",
}


_LONGEST_PAUSE_S: Final = 60.0


class Proof(Protocol):
    """What a login is for; see challenges.Proof."""

    @property
    def user(self) -> str: ...
    @property
    def method(self) -> str: ...


class Sessions:
    """The sessions of a gateway. `detector` watches for roaming."""

    def __init__(
        self,
        ledger: Ledger,
        world: World,
        tunnel: Tunnel,
        worker: Worker,
        limits: Limits,
        bus: Bus,
        endpoints: Endpoints,
        detector: Detector,
        *,
        bound: bool = True,
    ) -> None:
        """`bound`: a session is for the endpoint that it was granted to; without, roaming is ignored."""
        self.roams = 0
        """Sessions that roaming ended since the start."""
        self._detector = detector
        self._bound = bound
        self._ledger = ledger
        self._world = world
        self._tunnel = tunnel
        self._worker = worker
        self._limits = limits
        self._bus = bus
        self._endpoints = endpoints
        self._boot = boot_id()
        self._look = 0
        self._dropped: set[str] = set()
        """Devices whose session was ended here, of which the store will tell yet."""
        # A login and the end of a session do not overlap: what comes later would be undone by the earlier.
        self._turns = Turns()
        self._unseen: dict[bytes, Endpoint | None] = {}
        self._granted = asyncio.Event()

    async def login(self, device: Device, proof: Proof) -> Session:
        """Begin the device's session, or renew it without a cut. RefusedError where it is locked, gone, or
        not of the user who has logged in."""
        async with self._turns.of(device.id):
            endpoint = await self._endpoints.of(device.public_key)
            renewed = device.id in self._world.sessions
            now = clock.now()

            async def work(change: Change) -> Session:
                found = await change.get(DEVICES, device.id)
                user = await change.get(USERS, device.user)
                before = await change.get(SESSIONS, device.id)
                _check(found, device, proof)
                if user is None or user.locked or device.locked or (found is not None and found.locked):
                    raise RefusedError("log in", device.user, "it is locked", "ask an administrator")
                session = Session(
                    device=device.id,
                    user=device.user,
                    method=proof.method,
                    began=before.began if before and before.boot == self._boot else change.at,
                    last_login=change.at,
                    login=now,
                    deadline=now + clock.nanoseconds(self._limits.lifetime),
                    idle_limit=clock.nanoseconds(self._limits.idle) if self._limits.idle else 0,
                    boot=self._boot,
                    endpoint=str(endpoint) if endpoint else "",
                )
                change.put(SESSIONS, session, device.id)
                self._dropped.discard(device.id)
                change.tell(
                    "logged in", device.id, user=device.user, method=proof.method, endpoint=session.endpoint
                )
                return session

            # In force is what the kernel is told below, in this task.
            session = await self._ledger.run(f"user:{device.user}", work, settled=False)
            try:
                await self._grant(device, endpoint)
                await self._confirm(device, session)
            except BaseException as error:
                # Nobody was told of this session, so there is none. Where the store fails too, it ends when
                # it is seen that the kernel has none.
                await self._end_in_kernel(device)
                await self._drop(device.id, "gateway", f"the login failed: {_cause(error)}")
                if isinstance(error, WardgateError) and not isinstance(error, GatewayError):
                    raise RefusedError("log in", device.user, error.cause, "try again") from error
                raise
            self._bus.publish(_event("renewal" if renewed else "login", device, method=proof.method))
            return session

    async def end(self, actor: str, device_id: str, reason: str = "ended") -> None:
        """End a device's session, at once. NotFoundError where it has none."""
        device = self._world.devices.get(device_id)
        if device is None and device_id not in self._world.sessions:
            raise NotFoundError(
                "end session", device_id, "there is no such device", "`devices list` shows them"
            )
        async with self._turns.of(device_id):
            if device is not None:
                await self._end_in_kernel(device)
            if not await self._drop(device_id, actor, reason):
                raise NotFoundError(
                    "end session", device_id, "the device has none", "`sessions list` shows them"
                )
        if device is not None:
            kind = "logout" if actor == f"user:{device.user}" else "session-ended"
            self._bus.publish(_event(kind, device, reason=reason))

    async def strays(self) -> list[Roamed]:
        """Peers that had moved before the detector watched their new sessions, and which it is not told of:
        by a dump that begins after the grants that it is about. It waits until there are any. Errors of the
        dump, which then is to be made again."""
        await self._granted.wait()
        self._granted.clear()
        unseen, self._unseen = self._unseen, {}
        try:
            places = await self._endpoints.all()
        except BaseException:
            self._unseen = {**unseen, **self._unseen}
            self._granted.set()
            raise
        at = clock.now()
        return [
            Roamed(key, endpoint, place, False, "login", at)
            for key, endpoint in unseen.items()
            if (place := places.get(str(PublicKey(key)))) is not None and place != endpoint
        ]

    async def roamed(self, change: Roamed) -> None:
        """End the session of a peer that sends from elsewhere, if it is the one that was granted for where
        the peer was before. Where the store does not say, it ends."""
        device = self._world.with_key(str(PublicKey(change.public_key)))
        if device is None:
            return
        where = "nowhere" if change.new is None else str(Endpoint(*change.new))
        async with self._turns.of(device.id):
            # Of the store: what is known of it here may be older than a login from elsewhere.
            try:
                session = await self._ledger.get(SESSIONS, device.id)
            except (WardgateError, OSError):
                await self._end_in_kernel(device)
                raise
            if session is None or plain(_place(session)) != plain(change.old):
                return
            await self._end_in_kernel(device)
            await self._drop(device.id, "gateway", f"moved from {session.endpoint or 'nowhere'} to {where}")
        details = {"old": session.endpoint, "new": where, "detected_by": change.detected_by}
        self.roams += 1
        self._bus.publish(_event("roam", device, **details))

    async def state(self, device: Device) -> KernelSession | None:
        """A device's session as the kernel has it; None where the kernel does not know the device."""
        return await self._worker(self._tunnel.session, device)

    async def states(self) -> Sequence[tuple[Device, KernelSession | None]]:
        """Of all devices."""
        found = await self._worker(self._tunnel.sessions)
        return [(device, found.get(device.addresses[0])) for device in self._world.devices.values()]

    async def sweep(self) -> None:
        """End in the store what has ended in the kernel: sessions whose time is over at each call, and the
        others, which their devices' silence or somebody by hand may have ended, once in a while. Whose
        packet is dropped is looked at besides."""
        sessions, now = self._world.sessions, clock.now()
        if now < self._look:
            over = [one.device for one in sessions.values() if one.deadline <= now]
        elif sessions:
            self._look = now + clock.nanoseconds(_pause(self._limits.idle))
            found = await self._worker(self._tunnel.sessions)
            over = [one.device for one in sessions.values() if not _is_good(one, self._world, found)]
        else:
            return
        for name in over:
            if not self._turns.is_taken(name):
                await self._sweep_one(name, self._world.devices.get(name))

    async def look(self, device: Device) -> None:
        """The same of one device, of which a packet was dropped."""
        if device.id in self._world.sessions and not self._turns.is_taken(device.id):
            await self._sweep_one(device.id, device)

    async def _sweep_one(self, device_id: str, device: Device | None) -> None:
        async with self._turns.of(device_id):
            # Asked again, since there may have been a login meanwhile.
            found = None if device is None else await self.state(device)
            if found is not None and found.state is SessionState.AUTHORISED:
                return
            reason = "the device is gone" if found is None else _GONE[found.state]
            if device is not None:
                await self._end_in_kernel(device)
            dropped = await self._drop(device_id, "gateway", reason)
        if dropped and device is not None:
            self._bus.publish(_event("session-ended", device, reason=reason))

    async def reconcile(self) -> None:
        """After a start: let those sessions go on that store and kernel both have, of peers that have not
        moved since, and end all others in both. Logins wait meanwhile."""
        async with self._turns.of_all():
            found = await self._worker(self._tunnel.sessions)
            endpoints = await self._worker(self._tunnel.endpoints)
            # Of the store itself: what is known of it here may be older than the last login.
            sessions = {one.device: one for one in await self._ledger.records(SESSIONS)}
            watched: dict[bytes, Watched] = {}
            for device in list(self._world.devices.values()):
                kernel, session = found.get(device.addresses[0]), sessions.pop(device.id, None)
                authorised = kernel is not None and kernel.state is SessionState.AUTHORISED
                place = endpoints.get(device.public_key) if self._bound else None
                reason = _why_over(session, self._boot, place, authorised=authorised)
                if session is not None and not reason:
                    key = PublicKey.parse(device.public_key).data
                    watched[key] = await self._watched(device, _place(session))
                    continue
                if authorised:
                    await self._worker(self._tunnel.revoke, device)
                if session is not None:
                    await self._drop(device.id, "gateway", reason)
            for left in sessions.keys() - self._world.devices.keys():
                await self._drop(left, "gateway", "the device is gone")
            self._detector.reset(watched)

    async def ended(self, device: Device) -> None:
        """Called where a device's session is gone from the store, which a lock does, another key, or another
        node: end it in the kernel, unless another began since. Whoever looks at the portal is told, unless
        that is done already."""
        async with self._turns.of(device.id):
            if await self._ledger.get(SESSIONS, device.id) is not None:
                return
            await self._end_in_kernel(device)
        if device.id in self._dropped:
            self._dropped.discard(device.id)
            return
        reason = "locked" if self._world.locked(device) else "an administrator ended it"
        self._bus.publish(_event("session-ended", device, reason=reason))

    def forget(self, device: Device) -> None:
        """Called when the kernel has no session of this device any more."""
        key = PublicKey.parse(device.public_key).data
        self._detector.forget(key)
        self._unseen.pop(key, None)

    async def _grant(self, device: Device, endpoint: Endpoint | None) -> None:
        key = PublicKey.parse(device.public_key).data
        self._detector.watch(key, await self._watched(device, endpoint))
        await self._worker(self._tunnel.grant, device, self._limits.lifetime, self._limits.idle)
        if not self._detector.looks:
            self._unseen[key] = endpoint
            self._granted.set()

    async def _watched(self, device: Device, endpoint: Endpoint | None) -> Watched:
        slot = await self._worker(self._tunnel.slot, device)
        return Watched(slot, endpoint)

    async def _confirm(self, device: Device, session: Session) -> None:
        """RefusedError where what the login was decided by was over before the kernel had it."""
        if await self._ledger.get(SESSIONS, device.id) != session:
            raise RefusedError("log in", device.user, "the session was ended meanwhile", "log in again")

    async def _end_in_kernel(self, device: Device) -> None:
        await self._worker(self._tunnel.revoke, device)
        self.forget(device)

    async def _drop(self, device_id: str, actor: str, reason: str) -> bool:
        """Take a session out of the store; whether there was one."""

        async def work(change: Change) -> bool:
            session = await change.get(SESSIONS, device_id)
            if session is None:
                return False
            change.delete(SESSIONS, device_id)
            self._dropped.add(device_id)
            change.tell("ended session", device_id, user=session.user, reason=reason)
            return True

        return await self._ledger.run(actor, work, settled=False)


def _pause(idle: int | None) -> float:
    """Seconds between looks at all sessions: short beside the silence that ends one."""
    return _LONGEST_PAUSE_S if idle is None else min(max(idle / 10, 1.0), _LONGEST_PAUSE_S)


def _is_good(session: Session, world: World, found: Mapping[str, KernelSession]) -> bool:
    """Whether the kernel has the session, too; `found` are its, by address."""
    device = world.devices.get(session.device)
    kernel = found.get(device.addresses[0]) if device else None
    return kernel is not None and kernel.state is SessionState.AUTHORISED


def _place(session: Session) -> Endpoint | None:
    """Where it was granted."""
    return Endpoint.parse(session.endpoint) if session.endpoint else None


def _check(found: Device | None, device: Device, proof: Proof) -> None:
    if found is None or found.public_key != device.public_key:
        raise RefusedError("log in", device.user, "the device is gone", "enrol it again")
    if proof.user != device.user:
        raise RefusedError("log in", device.user, "the device is another user's", "log in as its user")


def _why_over(session: Session | None, boot: str, endpoint: Endpoint | None, *, authorised: bool) -> str:
    """Why a session does not go on after a start; empty where it does."""
    if session is None:
        return "not in the store"
    if session.boot != boot:
        return "the machine was restarted"
    if not authorised:
        return "over in the kernel"
    if session.endpoint and endpoint is not None and str(endpoint) != session.endpoint:
        return f"moved from {session.endpoint} to {endpoint}"
    return ""


def _cause(error: BaseException) -> str:
    return error.cause if isinstance(error, WardgateError) else type(error).__name__


def _event(kind: str, device: Device, **details: str) -> Event:
    return Event(kind, device.id, {"user": device.user, "name": device.name, **details})
