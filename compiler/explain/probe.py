"""From a query to a packet, and from the program's event back to an answer.

What the engines that run an artefact's instructions have in common: a device for the user, the packet
that the query means, and the reading of what the program decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from wardgate.compiler.explain import packets
from wardgate.compiler.explain.answer import Answer, RuleReference
from wardgate.compiler.explain.placement import class_key, class_value, index_key, owner_place, owner_value
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language.model import Address, Prefix
from wardgate.runtime.layout import maps
from wardgate.runtime.layout.codes import Reason, Verdict
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import PROGRAM_EGRESS, PROGRAM_INGRESS, MapLayout
from wardgate.runtime.layout.records import CLASSES, DEVICE, Value

SLOT: Final = 1
SUBJECT: Final = 1
"""The device slot and subject id that a probe uses: an emulated gate has one device at a time."""

SESSION_NS: Final = 3_600 * 10**9
"""How far ahead the deadline of an authorised session lies."""

_SOON_NS: Final = 5 * 10**8
"""How much later than asked for a login is: the packet is judged a little after the probe is made, and by a
clock that is late by a tick at most. Ages and what rules give a login are whole seconds."""

_WORD: Final = 1 << 64

TC_PASS: Final = -1
"""What tc programs return to let a packet pass (TCX_NEXT)."""

_OUTSIDE: Final[tuple[Address, ...]] = (
    IPv4Address("198.18.0.1"),
    IPv4Address("198.18.0.2"),
    IPv6Address("2001:db8:ffff::1"),
    IPv6Address("2001:db8:ffff::2"),
)
"""Addresses for a device where the policy has no tunnel prefix to take one from (RFC 2544, RFC 3849)."""


class EngineError(Exception):
    """An engine cannot answer, or the program contradicts itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry to put into a map before the packet is judged."""

    layout: MapLayout
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """What to run for a query: a program, an IP packet, and the map entries that make its device.

    An artefact that does not use a map leaves it out; so must who puts the entries.
    """

    program: str
    packet: bytes
    entries: tuple[Entry, ...]


def device_address(tunnel: tuple[str, ...], remote: Address) -> Address:
    """An address for the device: of a tunnel prefix of the remote's family, but not the remote's."""
    for prefix in _prefixes(tunnel):
        if prefix.version != remote.version:
            continue
        for offset in range(1, min(prefix.num_addresses, 3)):
            if prefix[offset] != remote:
                return prefix[offset]
        if prefix[0] != remote:
            return prefix[0]
    return next(other for other in _OUTSIDE if other.version == remote.version and other != remote)


@lru_cache(maxsize=16)
def _prefixes(tunnel: tuple[str, ...]) -> tuple[Prefix, ...]:
    return tuple(ip_network(text) for text in tunnel)


def probe(manifest: Manifest, query: Query, now: int) -> Probe:
    """The packet that opens the query's service, from or towards a device of the query's user.

    `now` is CLOCK_BOOTTIME in nanoseconds.
    """
    asked = query.packet
    device = device_address(manifest.tunnel, asked.remote)
    deadline, login = 0, 0
    if query.authed:
        # Programs subtract: a login before the machine's start is a number that went below 0.
        login = (now + _SOON_NS - (query.login_age or 0) * 10**9) % _WORD or 1
        deadline = now + SESSION_NS
    entries = device_entries(manifest, device, query.user, deadline=deadline, login=login)
    if asked.inbound:
        packet = packets.opening(asked.remote, device, asked.protocol, asked.port)
        return Probe(PROGRAM_EGRESS, packet, entries)
    packet = packets.opening(device, asked.remote, asked.protocol, asked.port)
    return Probe(PROGRAM_INGRESS, packet, entries)


def device_entries(
    manifest: Manifest,
    address: Address,
    user: str,
    *,
    deadline: int,
    login: int,
    slot: int = SLOT,
    subject: int = SUBJECT,
    classes: bytes = bytes(CLASSES.size),
) -> tuple[Entry, ...]:
    """The entries of a device of `user` with this address, whose session ends at `deadline` (0: none), and
    whose last login was at `login` (0: none).

    `classes` is what the entry of `subject_class` has that `subject` is in.
    """
    policy_class = manifest.class_of(user)
    return (
        Entry(*owner_place(manifest, address), owner_value(slot, subject)),
        Entry(
            maps.DEVICES,
            index_key(slot),
            DEVICE.pack({"subject": subject, "deadline": deadline, "login": login}),
        ),
        Entry(
            maps.SUBJECT_CLASS,
            class_key(manifest, subject),
            class_value(manifest, subject, policy_class, classes),
        ),
    )


def read_answer(manifest: Manifest, query: Query, returned: int, events: list[dict[str, Value]]) -> Answer:
    """The answer in what a tc program returned and told; EngineError where these contradict."""
    if len(events) != 1:
        raise EngineError(f"the program told {len(events)} decisions about one packet, not one")
    event: Mapping[str, Value] = events[0]
    try:
        reason, verdict = Reason(int(event["reason"])), Verdict(int(event["verdict"]))
        bucket, rule = manifest.bucket(int(event["bucket"])), manifest.rule(int(event["rule"]))
    except (ValueError, IndexError) as error:
        raise EngineError(f"the program told what the manifest does not know: {error}") from None
    if (returned == TC_PASS) != (reason is Reason.PASS):
        raise EngineError(f"the program returned {returned} but gave the reason {reason.label!r}")
    source = RuleReference.of_source(rule) if rule else None
    return Answer(query, verdict, reason, bucket.prefix if bucket else None, source)
