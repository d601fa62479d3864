"""What is read when somebody scrapes, and how it is got. Nothing of it costs anything until then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from wardgate.gateway.ledger import Ledger
from wardgate.gateway.records import APPLIED, DEVICES, TOKENS, USERS
from wardgate.runtime.status import GateStatus


@dataclass(frozen=True, slots=True)
class Network:
    """The WireGuard device: how many peers it has, and bytes from and to all of them."""

    peers: int
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Roams:
    """Of a detector, since the gateway started: sessions that ended by it, dumps of all peers, and packets
    that it could not compare."""

    roams: int
    dumps: int
    missed: int


@dataclass(frozen=True, slots=True)
class Stored:
    """How much is in the store."""

    revision: int
    users: int
    devices: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Supplies:
    """Where a scrape gets its values. `gate`, `network` and `roams` (by detector) may wait for the kernel,
    and are called in a thread; what raises is left out of that scrape, which says so. None: there is no
    such part now."""

    gate: Callable[[], GateStatus | None] = lambda: None
    network: Callable[[], Network | None] = lambda: None
    roams: Callable[[], Mapping[str, Roams]] = dict
    store: Callable[[], Awaitable[Stored]] | None = None


async def stored(ledger: Ledger) -> Stored:
    """Of a ledger's store; entries are counted, not read."""
    counts = [await ledger.store.count(kind.prefix) for kind in (USERS, DEVICES, TOKENS)]
    return Stored((await ledger.store.snapshot(APPLIED.prefix)).revision, *counts)
