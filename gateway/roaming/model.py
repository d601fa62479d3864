"""What detectors of roaming have in common: what they are told, and what they tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

Endpoint = tuple[IPv4Address | IPv6Address, int]
"""Where a peer sends from: address and UDP port."""

Dump = Callable[[], Mapping[bytes, Endpoint | None]]
"""Asks WireGuard for the endpoint of every peer, by public key (32 bytes); None: it has none yet. It may
block: detectors call it in a thread. A peer that has the same object as in the dump before did not move."""


class OnRoam(Enum):
    """What follows a change of a peer's endpoint."""

    CHALLENGE = "challenge"
    """The session ends."""
    HANDSHAKE = "handshake"
    """It ends where the new endpoint also needed a new handshake. Only the kernel can tell: detectors outside
    of it end the session at any change."""
    IGNORE = "ignore"
    """Nothing: endpoints are not watched."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A session that ends when its device's endpoint changes: `slot` is the device's in the gate, `endpoint`
    where it was when the session was granted; None: not known, so that the first one is a change."""

    slot: int
    endpoint: Endpoint | None


@dataclass(frozen=True, slots=True)
class Roamed:
    """A peer sent from elsewhere than its session was granted for.

    `cleared`: the session has ended already; else whoever gets this ends it. `at` in ns of CLOCK_BOOTTIME.
    """

    public_key: bytes
    old: Endpoint | None
    new: Endpoint | None
    cleared: bool
    detected_by: str
    at: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A better detector that is not in use, and why."""

    detector: str
    cause: str


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """For people and their programs.

    `watched` sessions; `asked`: what looked like a move on the underlay; `dumps` and `dump_seconds` since the
    start; `failures` in a row of asking WireGuard, the last one in words. `carriers` are the interfaces on
    which the underlay is watched, `uncovered` those on which it cannot be, and why. `lost_events`: sessions
    that the kernel ended without saying so; `missed_packets`: what it did not compare (decision 055).
    """

    detector: str
    on_roam: OnRoam
    watched: int
    refused: tuple[Refused, ...] = ()
    dumps: int = 0
    dump_seconds: float = 0.0
    failures: int = 0
    failure: str = ""
    asked: int = 0
    lost_events: int = 0
    missed_packets: int = 0
    carriers: tuple[str, ...] = ()
    uncovered: Mapping[str, str] = field(default_factory=dict)


class Detector(Protocol):
    """Tells when a session's device sends from another endpoint.

    Its methods are for one thread, that of the event loop; none of them waits. A session is watched before
    it is granted, and forgotten after it was revoked and before its slot is given to another device.
    `refused`: better detectors, and why they are not in use. `looks`: it asks WireGuard by itself, and so
    finds also who moved before the session was watched and has sent nothing since; one that sees packets
    alone is not told of that.
    """

    refused: tuple[Refused, ...]
    looks: bool

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        """Watch these sessions, by public key, and no others: at the start."""

    def watch(self, public_key: bytes, session: Watched) -> None:
        """Watch a session, in place of the peer's session before."""

    def expect(self, public_key: bytes, endpoint: Endpoint) -> None:
        """Take this endpoint of a watched peer too: it is about to be set by configuration."""

    def forget(self, public_key: bytes) -> None:
        """Watch the peer no longer; nothing happens where it is not watched."""

    def changes(self) -> AsyncIterator[Roamed]:
        """Every change from now on, and those in the kernel since nobody listened. One iterator at a time."""

    def status(self) -> DetectorStatus:
        """What it is doing."""

    def close(self) -> None:
        """Stop. What ends sessions by itself goes on without this process: `remove` takes it away."""
