"""A gateway in memory behind the control API: its parts as operations.Control has them, small and obvious.

As a program, `python gateway_fakes.py SOCKET [GROUP]`, it serves one until it is asked to end; a line on
stdout says when it listens. SIGHUP makes it forget everything, and say so.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wardgate.compiler.language import parse_policy_text
from wardgate.gateway.challenges.state import MethodState, UserState
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.plans import Plan, StalePlanError, confirm, planned
from wardgate.gateway.compiling.policies import Composed
from wardgate.gateway.control.peers import Access
from wardgate.gateway.control.server import ControlServer
from wardgate.gateway.control.trail import Trail
from wardgate.gateway.control.views import (
    DeviceSession,
    Gate,
    Interface,
    PolicyInForce,
    Problem,
    Roaming,
    Status,
)
from wardgate.gateway.errors import BusyError, ExistsError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.metrics import Counters, Metrics, Supplies, stored
from wardgate.gateway.records import Device, Policy, Token, User
from wardgate.gateway.store import SqliteStore
from wardgate.runtime.pins import LockError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}")
NOW = 1_700_000_000
SECRET = "wg_tok-1_this-is-the-secret-part"  # noqa: S105 - a test's
ENROLMENT = "https://vpn.example.org/enrol"
NOTHING = Bundle("none.yaml", {"none.yaml": "version: 1\n"})
KEYS = [f"{letter * 43}=" for letter in "ABCDEFGHIJ"]


class FakeUsers:
    """Users in a dictionary, each change told to the ledger."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.known: dict[str, User] = {}

    async def add(self, actor: str, name: str, groups: Sequence[str] = ()) -> User:
        if NAME.fullmatch(name) is None:
            raise InvalidError("add user", name, "it is no user's name", "use letters and digits")
        if name in self.known:
            raise ExistsError("add user", name, "there is one", "choose another name")
        return await self._put(actor, "added user", User(name, tuple(groups), False, NOW))

    async def remove(self, actor: str, name: str) -> None:
        await self.get(name)
        del self.known[name]
        await self.gateway.tell(actor, "removed user", name)

    async def join(self, actor: str, name: str, group: str) -> User:
        user = await self.get(name)
        if not group.startswith("group:"):
            raise InvalidError("join group", group, "it is no group", "write group:NAME")
        return await self._put(actor, "joined group", replace(user, groups=(*user.groups, group)))

    async def leave(self, actor: str, name: str, group: str) -> User:
        user = await self.get(name)
        if group not in user.groups:
            raise RefusedError("leave group", group, "the policy makes them a member", "change the policy")
        groups = tuple(one for one in user.groups if one != group)
        return await self._put(actor, "left group", replace(user, groups=groups))

    async def lock(self, actor: str, name: str) -> User:
        return await self._put(actor, "locked user", replace(await self.get(name), locked=True))

    async def unlock(self, actor: str, name: str) -> User:
        return await self._put(actor, "unlocked user", replace(await self.get(name), locked=False))

    async def get(self, name: str) -> User:
        if name == "broken":
            raise RuntimeError("the secret is s3cret")
        if name == "busy":
            raise BusyError("show user", name, "too much at once", "try again")
        if name == "held":
            raise LockError("lock gate", "wg0", "process 7 holds it", "wait until it is done")
        if name not in self.known:
            raise NotFoundError("show user", name, "there is no such user", "see wardgate gateway users list")
        return self.known[name]

    async def list(self) -> Sequence[User]:
        return [self.known[name] for name in sorted(self.known)]

    async def _put(self, actor: str, action: str, user: User) -> User:
        self.known[user.name] = user
        await self.gateway.tell(actor, action, user.name)
        return user


class FakeDevices:
    """Devices in a dictionary, by id."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.known: dict[str, Device] = {}

    async def add(
        self,
        actor: str,
        user: str,
        name: str,
        public_key: str,
        *,
        addresses: Sequence[str] = (),
        preshared: bool = True,
        keepalive: int | None = None,
    ) -> Device:
        await self.gateway.users.get(user)
        if any(device.public_key == public_key for device in self.known.values()):
            raise ExistsError("add device", f"{user}/{name}", "its key is taken", "make another pair")
        number = len(self.known) + 1
        device = Device(
            f"dev-{number}",
            user,
            name,
            public_key,
            tuple(addresses) or (f"10.9.0.{number + 1}", f"fd09::{number + 1}"),
            "c2VhbGVk" if preshared else None,
            keepalive,
            False,
            NOW,
        )
        return await self._put(actor, "added device", device)

    async def rename(self, actor: str, device: str, name: str) -> Device:
        return await self._put(actor, "renamed device", replace(self._get(device), name=name))

    async def replace_key(self, actor: str, device: str, public_key: str) -> Device:
        return await self._put(actor, "replaced key", replace(self._get(device), public_key=public_key))

    async def lock(self, actor: str, device: str) -> Device:
        return await self._put(actor, "locked device", replace(self._get(device), locked=True))

    async def unlock(self, actor: str, device: str) -> Device:
        return await self._put(actor, "unlocked device", replace(self._get(device), locked=False))

    async def remove(self, actor: str, device: str) -> None:
        del self.known[self._get(device).id]
        await self.gateway.tell(actor, "removed device", device)

    async def find(self, text: str) -> Device:
        for one in self.known.values():
            if text in (one.id, f"{one.user}/{one.name}", *one.addresses, one.public_key):
                return one
        raise NotFoundError("find device", text, "there is none", "see wardgate gateway devices list")

    async def list(self, user: str | None = None) -> Sequence[Device]:
        return [device for device in self.known.values() if user in (None, device.user)]

    def _get(self, device: str) -> Device:
        if device not in self.known:
            raise NotFoundError("find device", device, "there is none", "see wardgate gateway devices list")
        return self.known[device]

    async def _put(self, actor: str, action: str, device: Device) -> Device:
        self.known[device.id] = device
        await self.gateway.tell(actor, action, device.id)
        return device


class FakeTokens:
    """Tokens in a dictionary, by id."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.known: dict[str, Token] = {}

    async def issue(
        self,
        actor: str,
        user: str,
        *,
        uses: int = 1,
        lifetime_s: int,
        groups: Sequence[str] = (),
        addresses: Sequence[str] = (),
        replaces: str | None = None,
    ) -> tuple[Token, str]:
        name = f"tok-{len(self.known) + 1}"
        expires = NOW + lifetime_s
        token = Token(
            name, "d" * 64, user, tuple(groups), tuple(addresses), replaces, uses, expires, NOW, actor
        )
        self.known[name] = token
        await self.gateway.tell(actor, "issued token", name)
        return token, SECRET

    async def revoke(self, actor: str, token: str) -> None:
        if self.known.pop(token, None) is None:
            raise NotFoundError("revoke token", token, "there is none", "see wardgate gateway tokens list")
        await self.gateway.tell(actor, "revoked token", token)

    async def list(self) -> Sequence[Token]:
        return list(self.known.values())


class FakeChallenges:
    """Every user has TOTP."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway

    async def reset(self, actor: str, user: str) -> None:
        await self.gateway.users.get(user)
        await self.gateway.tell(actor, "reset second factors", user)

    async def unlock(self, actor: str, user: str) -> None:
        await self.gateway.users.get(user)
        await self.gateway.tell(actor, "unlocked logins", user)

    async def state(self, user: str) -> UserState:
        await self.gateway.users.get(user)
        return UserState(user, (MethodState("totp", "authenticator app", True, NOW),), 8, 0, 0, ())


class FakeSessions:
    """The first device has a session."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.ended: set[str] = set()

    async def list(self) -> Sequence[DeviceSession]:
        found = []
        for number, device in enumerate(await self.gateway.devices.list()):
            if number or device.id in self.ended:
                found.append(DeviceSession(device, "none", None, None, None, "", ""))
            else:
                found.append(
                    DeviceSession(device, "authorised", 599.5, 300.0, 0.5, "totp", "192.0.2.7:51820")
                )
        return found

    async def end(self, actor: str, device: str) -> None:
        if device in self.ended or device not in self.gateway.devices.known:
            raise NotFoundError("end session", device, "it has none", "see wardgate gateway sessions list")
        self.ended.add(device)
        await self.gateway.tell(actor, "ended session", device)


class FakePolicies:
    """Policies in a list; real plans of them."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.known: list[tuple[Policy, Bundle, Composed]] = []
        self.current = 0
        self.failure: Exception | None = None
        """What `history` raises."""

    async def show(self, number: int | None = None) -> PolicyInForce:
        wanted = self.current if number is None else number
        if not 1 <= wanted <= len(self.known):
            raise NotFoundError("show policy", str(wanted or ""), "there is none", "apply one")
        policy, bundle, _ = self.known[wanted - 1]
        return PolicyInForce(policy, bundle.files, wanted == self.current)

    async def history(self) -> Sequence[Policy]:
        if self.failure is not None:
            raise self.failure
        return [policy for policy, _, _ in self.known]

    async def plan(self, bundle: Bundle) -> Plan:
        return (await self._plan(bundle))[0]

    async def apply(self, actor: str, bundle: Bundle, plan_digest: str) -> Policy:
        plan, loaded = await self._plan(bundle)
        confirm(plan, plan_digest)
        assert loaded is not None
        number = len(self.known) + 1
        policy = Policy(number, bundle.main, tuple(bundle.files), 1, bundle.digest, NOW, actor)
        self.known.append((policy, bundle, loaded))
        self.current = number
        await self.gateway.tell(actor, "applied policy", str(number))
        return policy

    async def rollback(self, actor: str, number: int) -> Policy:
        if number != self.current:
            raise StalePlanError(str(number), f"policy {self.current} is in force")
        if number == 1:
            raise NotFoundError("roll back", "policy 1", "there is none before", "apply one")
        self.current -= 1
        await self.gateway.tell(actor, "rolled back policy", str(self.current))
        return self.known[self.current - 1][0]

    async def _plan(self, bundle: Bundle) -> tuple[Plan, Composed | None]:
        old = self.known[self.current - 1][2] if self.current else composed(NOTHING)
        return await asyncio.to_thread(planned, self.current, old, bundle, lambda: composed(bundle))


def composed(bundle: Bundle) -> Composed:
    """The policy of a bundle, as it is."""
    loaded = parse_policy_text(bundle.files[bundle.main], bundle.main, bundle.files)
    return Composed(loaded.policy, loaded)


class FakeGateway:
    """All of them; the audit log is a real one."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.users = FakeUsers(self)
        self.devices = FakeDevices(self)
        self.tokens = FakeTokens(self)
        self.challenges = FakeChallenges(self)
        self.sessions = FakeSessions(self)
        self.policies = FakePolicies(self)
        self.audit = Trail(ledger)
        self.enforcing = True
        self.enrolment_page = ENROLMENT
        self._metrics = Metrics(Counters(("totp",)), Supplies(store=lambda: stored(ledger)))
        self._queues: set[asyncio.Queue[Mapping[str, Any]]] = set()

    async def tell(self, actor: str, action: str, target: str) -> None:
        """A line of the audit log, and an event."""

        async def work(change: Change) -> None:
            change.tell(action, target)

        await self.ledger.run(actor, work)
        for queue in self._queues:
            queue.put_nowait(
                {"event": action, "time": "2023-11-14T22:13:20Z", "actor": actor, "target": target}
            )

    @property
    def listeners(self) -> int:
        """How many follow the events."""
        return len(self._queues)

    async def configuration(self, device: Device) -> str:
        return f"[Interface]\nAddress = {', '.join(device.addresses)}\n\n[Peer]\nAllowedIPs = 10.0.0.0/8\n"

    async def status(self) -> Status:
        sessions = await self.sessions.list()
        return Status(
            "0.1.0",
            os.getpid(),
            NOW,
            "sqlite",
            7,
            Interface("wg0", "kernel", KEYS[-1], 51_820, ("10.9.0.1/24",), 1420, len(sessions)),
            Gate("wg0", self.enforcing, "tc", 3, self.policies.current, "ab" * 32, 120, 4),
            Roaming("underlay", "challenge", {"fentry": "the kernel has no BTF of wireguard"}),
            "http://10.9.0.1/",
            self.enrolment_page,
            len(self.users.known),
            len(sessions),
            len(self.tokens.known),
            {"authorised": sum(one.state == "authorised" for one in sessions)},
            () if self.enforcing else (Problem("gate", "wg0 is gone", "wardgate gateway start", NOW),),
        )

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield {"event": "listening", "time": "2023-11-14T22:13:20Z"}
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)

    async def metrics(self) -> str:
        return await self._metrics.text()


class Switch:
    """The gateway that is current: an API takes longer to make than a test to run."""

    gateway: FakeGateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


async def serve(path: Path, group: int | None) -> None:
    """Serve a fake gateway at `path` until SIGTERM."""
    loop, switch, ended, stores = asyncio.get_running_loop(), Switch(), asyncio.Event(), []

    async def begin() -> None:
        store = await SqliteStore.open(path.with_suffix(f".{len(stores)}.db"))
        stores.append(store)
        switch.gateway = FakeGateway(Ledger(store))

    async def begin_again() -> None:
        await begin()
        print("forgot", flush=True)

    await begin()
    server = ControlServer(switch, path, Access(group))
    await server.start()
    tasks: list[asyncio.Task[None]] = []
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: tasks.append(asyncio.create_task(begin_again())))
    print("listening", flush=True)
    await ended.wait()
    await server.stop()
    for store in stores:
        await store.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None))
