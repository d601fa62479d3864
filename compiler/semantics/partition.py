"""Cuts the packets that a policy can be asked about into finitely many sets that it treats alike.

A verdict depends on the remote address through the longest prefix that contains it, and on the service
through the rules of that prefix that match. Both are constant between the edges of the prefixes and of
the port ranges in question, so looking at one packet between any two edges looks at all packets.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from wardgate.compiler.language.model import (
    GROUP_MARK,
    ICMP,
    ICMPV6,
    MAX_PORT,
    PORT_PROTOCOLS,
    Action,
    Address,
    Everything,
    Policy,
    Ports,
    Prefix,
    Protocol,
    Rule,
    ServiceForm,
)
from wardgate.compiler.semantics.effective import user_classes
from wardgate.compiler.semantics.reference import VERDICTS, strictness, verdict_of
from wardgate.compiler.semantics.services import any_matches
from wardgate.runtime.layout.codes import Verdict

PROTOCOLS = 256


@dataclass(frozen=True, slots=True)
class Region:
    """Addresses `first` to `last`, for all of which `prefix` is the longest of the prefixes given."""

    first: Address
    last: Address
    prefix: Prefix | None


def regions(prefixes: Iterable[Prefix], within: Prefix) -> Iterator[Region]:
    """Cuts `within` into regions, in address order and without gaps. `prefixes` are distinct."""
    same = [prefix for prefix in prefixes if prefix.version == within.version]
    around = [prefix for prefix in same if _contains(prefix, within)]
    inside = [prefix for prefix in same if _contains(within, prefix) and prefix != within]
    # An enclosing prefix sorts before those in it, so a stack holds the prefixes that are open.
    inside.sort(key=lambda prefix: (int(prefix.network_address), prefix.prefixlen))
    outer = max(around, key=lambda prefix: prefix.prefixlen, default=None)
    make = IPv4Address if within.version == 4 else IPv6Address
    at = int(within.network_address)
    open_prefixes: list[Prefix] = []

    def up_to(last: int, prefix: Prefix | None) -> Iterator[Region]:
        nonlocal at
        if at <= last:
            yield Region(make(at), make(last), prefix)
            at = last + 1

    for prefix in inside:
        first = int(prefix.network_address)
        while open_prefixes and _last(open_prefixes[-1]) < first:
            closed = open_prefixes.pop()
            yield from up_to(_last(closed), closed)
        yield from up_to(first - 1, open_prefixes[-1] if open_prefixes else outer)
        open_prefixes.append(prefix)
    while open_prefixes:
        closed = open_prefixes.pop()
        yield from up_to(_last(closed), closed)
    yield from up_to(_last(within), outer)


def maximal(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """The prefixes that no other one contains; they cover the same addresses, each once."""
    found: list[Prefix] = []
    for prefix in sorted(set(prefixes), key=lambda p: (p.version, int(p.network_address), p.prefixlen)):
        if not found or not _contains(found[-1], prefix):
            found.append(prefix)
    return tuple(found)


def _contains(outer: Prefix, inner: Prefix) -> bool:
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


def _last(prefix: Prefix) -> int:
    return int(prefix.network_address) + prefix.num_addresses - 1


@dataclass(frozen=True, slots=True)
class Segment:
    """Services for which the same rules of a bucket match.

    For a protocol that has ports: the one in `protocols`, ports `low` to `high`. Else all of
    `protocols`, and None. `rule` decides them, None where no rule matches.
    """

    protocols: tuple[int, ...]
    low: int | None
    high: int | None
    verdict: Verdict
    rule: Rule | None


def segments(
    bucket: tuple[Rule, ...], version: int, asked: tuple[ServiceForm, ...] = (Everything(),)
) -> Iterator[Segment]:
    """Cuts the services that `asked` covers, towards an address of IP `version`, into segments."""
    for protocol in PORT_PROTOCOLS:
        yield from _port_segments(bucket, protocol, asked)
    yield from _portless_segments(bucket, version, asked)


def _port_segments(
    bucket: tuple[Rule, ...], protocol: int, asked: tuple[ServiceForm, ...]
) -> Iterator[Segment]:
    ranges = [(low, high, rule) for rule in bucket for low, high in _port_ranges(rule.services, protocol)]
    wanted = list(_port_ranges(asked, protocol))
    ranges.sort(key=lambda item: item[0])
    wanted.sort()
    edges = {low for low, _, _ in ranges} | {high + 1 for _, high, _ in ranges}
    edges |= {low for low, _ in wanted} | {high + 1 for _, high in wanted}
    ordered = sorted(edge for edge in edges if edge <= MAX_PORT)
    # Rules that are open at a port, by action, the one that would decide on top; closed ones are
    # dropped when they come up.
    rules = {rule.id: rule for rule in bucket}
    opened: dict[Action, list[_Opened]] = {action: [] for action in VERDICTS}
    next_range = next_wanted = 0
    wanted_to = -1
    for number, low in enumerate(ordered):
        high = ordered[number + 1] - 1 if number + 1 < len(ordered) else MAX_PORT
        while next_range < len(ranges) and ranges[next_range][0] == low:
            _, end, rule = ranges[next_range]
            heapq.heappush(opened[rule.action], (*strictness(rule), end))
            next_range += 1
        while next_wanted < len(wanted) and wanted[next_wanted][0] == low:
            wanted_to = max(wanted_to, wanted[next_wanted][1])
            next_wanted += 1
        if wanted_to < low:
            continue
        verdict, decider = _top(opened, low)
        yield Segment((protocol,), low, high, verdict, rules.get(decider))


_Opened = tuple[float, int, int]
"""How strict a rule is, which includes its id, and the port at which it ends."""


def _top(opened: dict[Action, list[_Opened]], port: int) -> tuple[Verdict, int]:
    """The verdict at `port` and the id of the rule that gives it, 0 for none."""
    for action, verdict in VERDICTS.items():
        heap = opened[action]
        while heap and heap[0][2] < port:
            heapq.heappop(heap)
        if heap:
            return verdict, heap[0][1]
    return Verdict.NONE, 0


def _port_ranges(forms: Iterable[ServiceForm], protocol: int) -> Iterator[tuple[int, int]]:
    for form in forms:
        if isinstance(form, Everything):
            yield 0, MAX_PORT
        elif isinstance(form, Ports) and protocol in form.protocols:
            yield form.low, form.high


def _portless_segments(
    bucket: tuple[Rule, ...], version: int, asked: tuple[ServiceForm, ...]
) -> Iterator[Segment]:
    forms = [*asked, *(form for rule in bucket for form in rule.services)]
    named = _named_protocols(forms)
    others = tuple(p for p in range(PROTOCOLS) if p not in named and p not in PORT_PROTOCOLS)
    for protocols in (*((number,) for number in sorted(named)), others):
        if not any_matches(asked, protocols[0], None, version):
            continue
        matching = [rule for rule in bucket if any_matches(rule.services, protocols[0], None, version)]
        verdict, rule = verdict_of(tuple(matching))
        yield Segment(protocols, None, None, verdict, rule)


def _named_protocols(forms: Iterable[ServiceForm]) -> set[int]:
    """Protocols without ports that `forms` can tell from the rest; ICMP's two always among them."""
    return {ICMP, ICMPV6} | {form.number for form in forms if isinstance(form, Protocol)}


@dataclass(frozen=True, slots=True)
class Representatives:
    """Enough to ask a policy about, in one direction: every combination of one of each.

    One user of each class, and one whom the policy doesn't mention; the addresses at and next to the
    edges of every prefix; the services, as protocol and port, at and next to every edge of a range.
    """

    users: tuple[str, ...]
    remotes: tuple[Address, ...]
    services: tuple[tuple[int, int | None], ...]


def representatives(policy: Policy, *, inbound: bool = False) -> Representatives:
    """The representatives of `policy`; see the class."""
    classes = user_classes(policy)
    users = [unmentioned_user(policy), *(found.users[0] for found in classes.classes if found.users)]
    rules = [rule for rule in policy.rules if rule.inbound is inbound]
    prefixes = {prefix for rule in rules for prefix in rule.destinations}
    forms = {form for rule in rules for form in rule.services}
    return Representatives(tuple(users), _edge_addresses(prefixes), _edge_services(forms))


def _edge_addresses(prefixes: Collection[Prefix]) -> tuple[Address, ...]:
    # From the documentation ranges (RFC 5737, RFC 3849): also a policy without prefixes is asked.
    found = {ip_address("192.0.2.1"), ip_address("2001:db8::1")}
    for prefix in prefixes:
        make = IPv4Address if prefix.version == 4 else IPv6Address
        first, last = int(prefix.network_address), _last(prefix)
        near = {first - 1, first, last, last + 1}
        found |= {make(number) for number in near if 0 <= number < 1 << prefix.max_prefixlen}
    return tuple(sorted(found, key=lambda address: (address.version, int(address))))


def _edge_services(forms: Collection[ServiceForm]) -> tuple[tuple[int, int | None], ...]:
    named = _named_protocols(forms)
    found: list[tuple[int, int | None]] = []
    for protocol in PORT_PROTOCOLS:
        edges = {0, MAX_PORT}
        for low, high in _port_ranges(forms, protocol):
            edges |= {low - 1, low, high, high + 1}
        found += [(protocol, port) for port in sorted(edges) if 0 <= port <= MAX_PORT]
    other = next((p for p in reversed(range(PROTOCOLS)) if p not in named and p not in PORT_PROTOCOLS), None)
    found += [(number, None) for number in sorted(named)]
    if other is not None:
        found.append((other, None))
    return tuple(found)


def unmentioned_user(policy: Policy) -> str:
    """A user's name that the policy doesn't mention, nor its tests and assertions."""
    taken = {*policy.users, *(test.user for test in policy.tests)}
    taken |= {assertion.subject for assertion in policy.assertions}
    taken |= {group.removeprefix(GROUP_MARK) for group in policy.groups}
    number = 1
    name = "anyone-else"
    while name in taken:
        number += 1
        name = f"anyone-else-{number}"
    return name
