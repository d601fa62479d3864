"""Users and devices on one or more nodes over one store, with a clock that tests move."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from wardgate.gateway.identity import (
    ClientConfiguration,
    Devices,
    Enrolment,
    KeyPair,
    Pools,
    Tokens,
    Users,
    public_key_of,
)
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import AUDIT_HEAD, SESSIONS, Device, Session
from wardgate.gateway.store import Batch, Entry, Snapshot, SqliteStore, Store, Transaction

T = TypeVar("T")

ADMIN = "uid:0 (root)"
TUNNEL = ("10.9.0.0/16", "fd09::/64")
OWN_ADDRESSES = ("10.9.0.1", "fd09::1")
GROUPS = ("group:admins", "group:contractors")
BEGIN = 1_000
NOT_VALID = "enrol device: the token is not valid, or was used, or has expired; ask for another token"
"""What is said of whatever is wrong with a token."""


def pair(number: int) -> KeyPair:
    """The same pair each time; numbers below 0 are the gateway's."""
    private = base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()
    return KeyPair(private, public_key_of(private))


def key(number: int) -> str:
    """Its public key."""
    return pair(number).public


GATEWAY_KEY = key(-1)


PRESHARED = base64.b64encode(bytes(range(32))).decode()
CONFIGURATION = ClientConfiguration(
    device="alice/laptop",
    public_key=key(0),
    addresses=("10.9.0.2", "fd09::2"),
    gateway_key=GATEWAY_KEY,
    preshared_key=PRESHARED,
    endpoint="vpn.example.com:51820",
    allowed_ips=("10.0.0.0/8", "fd00:1::/48"),
    login_url="http://10.9.0.1/",
    dns=("10.0.0.53", "fd00:1::53", "corp.example.com"),
    mtu=1420,
    keepalive=25,
)


def seal(secret: bytes, context: str) -> str:
    """Marks a secret instead of hiding it, so that tests see where it went."""
    mask = hashlib.sha256(context.encode()).digest()
    return base64.b64encode(bytes(a ^ b for a, b in zip(secret, mask, strict=True))).decode()


def unseal(sealed: str, context: str) -> bytes:
    """The inverse, for the same context."""
    return base64.b64decode(seal(base64.b64decode(sealed), context))


@dataclass
class Clock:
    """Unix time, as a ledger asks for it."""

    at: float = BEGIN

    def __call__(self) -> float:
        return self.at


@dataclass
class Node:
    """What one gateway has of identity/. `groups` may be changed, as by another policy."""

    ledger: Ledger
    users: Users
    devices: Devices
    tokens: Tokens
    enrolment: Enrolment
    groups: set[str]
    clock: Clock


def node_on(
    store: Store, clock: Clock, tunnel: tuple[str, ...] = TUNNEL, own: tuple[str, ...] = OWN_ADDRESSES
) -> Node:
    """A node over a store."""
    ledger, groups = Ledger(store, clock), set(GROUPS)
    users = Users(ledger, lambda: groups)
    devices = Devices(ledger, users, Pools.of(tunnel, own), own_keys={GATEWAY_KEY}, seal=seal)
    tokens = Tokens(ledger, users, devices)
    return Node(ledger, users, devices, tokens, Enrolment(ledger, users, devices, tokens), groups, clock)


def on_a_node(folder: Path, work: Callable[[Node], Awaitable[T]]) -> T:
    """What `work` makes of a node with an empty store."""

    async def run() -> T:
        async with await SqliteStore.open(folder / "store") as store:
            return await work(node_on(store, Clock()))

    return asyncio.run(run())


async def held(node: Node) -> dict[str, str]:
    """All that is stored but the audit log: text by key."""
    snapshot = await node.ledger.store.snapshot("")
    return {
        entry.key: entry.value.decode()
        for entry in snapshot.entries
        if not entry.key.startswith(("audit/", "audit-head/"))
    }


async def _call(work: Callable[[], Awaitable[object]]) -> None:
    await work()


@dataclass
class WatchedStore:
    """A store that counts what is asked of it, and lets somebody else in when a change has been decided."""

    inner: Store
    meanwhile: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    """Each is called once."""
    snapshots: int = 0
    gets: int = 0
    commits: list[Transaction] = field(default_factory=list)

    async def get(self, key: str) -> Entry | None:
        self.gets += 1
        # The head of the audit log is what a ledger reads last: what else changes now, only the change's own
        # conditions can tell.
        if key == AUDIT_HEAD.key("head") and self.meanwhile:
            # As another process would: it is not within this one's change.
            await asyncio.create_task(_call(self.meanwhile.pop(0)), context=contextvars.Context())
        return await self.inner.get(key)

    async def snapshot(self, *prefixes: str) -> Snapshot:
        self.snapshots += 1
        return await self.inner.snapshot(*prefixes)

    async def page(self, prefix: str, after: str, most: int) -> tuple[Entry, ...]:
        return await self.inner.page(prefix, after, most)

    async def count(self, prefix: str) -> int:
        return await self.inner.count(prefix)

    async def commit(self, transaction: Transaction) -> int:
        revision = await self.inner.commit(transaction)
        self.commits.append(transaction)
        return revision

    def watch(self, prefix: str, after: int) -> AbstractAsyncContextManager[AsyncIterator[Batch]]:
        return self.inner.watch(prefix, after)

    async def compact(self, revision: int) -> None:
        await self.inner.compact(revision)

    async def close(self) -> None:
        await self.inner.close()


async def log_in(node: Node, *devices: Device) -> None:
    """Give devices sessions."""
    for first in range(0, len(devices), 100):

        async def work(change: Change, first: int = first) -> None:
            for device in devices[first : first + 100]:
                session = Session(device.id, device.user, "totp", 1, 1, 1, 2, 0, "boot", "")
                change.put(SESSIONS, session, device.id)

        await node.ledger.run("gateway", work)
