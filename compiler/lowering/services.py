"""Service classes: packets that no rule of the policy tells apart share one.

A packet's service is its protocol and, for the protocols with ports, its port. Every distinct service
form of the policy cuts the port ranges into intervals; intervals (and protocols) that exactly the
same forms cover share a class. One class more stands for a later fragment whose first was not seen.

Classes are numbered in the order of ports, so that a range of ports is a range of classes, but for the
few that most rules are about: these come first, so that what buckets say of them is on one page.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest

from wardgate.compiler.language.model import (
    ICMP,
    ICMPV6,
    MAX_PORT,
    PORT_PROTOCOLS,
    Everything,
    Icmp,
    Ports,
    Protocol,
    ServiceForm,
)

_SMALL_SIGNATURE = 64
"""Intervals that more forms than this cover are not compared with others: classes stay exact, and
hostile nesting of ranges cannot make the comparison quadratic."""

_FIRST = 63
"""Classes that are numbered by how many rules are about them: with class 0 a page of decisions."""

_NARROW = 3
"""Classes of a form that is about single services: at most those of a port in each protocol."""

Interval = tuple[int, int]
"""Service classes `first` to `last`, inclusive."""


@dataclass(frozen=True, slots=True)
class ServiceClasses:
    """`ports[k]` holds, for PORT_PROTOCOLS[k], (first port, class) in port order, from port 0;
    `protocols[n]` is the class of protocol n without ports (for those with ports: of port 0)."""

    count: int
    ports: tuple[tuple[tuple[int, int], ...], ...]
    protocols: tuple[int, ...]
    covered: Mapping[ServiceForm, tuple[Interval, ...]]

    @property
    def fragment_class(self) -> int:
        """The class behind all others: a later fragment of an unknown packet."""
        return self.count

    @property
    def width(self) -> int:
        """Columns of a row of decisions."""
        return self.count + 1

    @property
    def by_port(self) -> bool:
        """Whether any rule tells ports of a protocol apart."""
        return any(len(intervals) > 1 for intervals in self.ports)

    def intervals(self, form: ServiceForm, version: int) -> tuple[Interval, ...]:
        """Classes that `form` covers towards a remote of IP version `version`."""
        if isinstance(form, Everything):
            return ((0, self.count - 1),)
        return self.covered[_concrete(form, version)]


def _concrete(form: ServiceForm, version: int) -> ServiceForm:
    if isinstance(form, Icmp):
        return Protocol(ICMP if version == 4 else ICMPV6)
    return form


def service_classes(forms: Mapping[ServiceForm, int] | Iterable[ServiceForm]) -> ServiceClasses:
    """Classes for the service forms of a policy, in any order: as often as rules use them, or with how
    often these do."""
    uses: Counter[ServiceForm] = Counter()
    for form, count in Counter(forms).items():
        for one in {_concrete(form, version) for version in (4, 6)}:
            uses[one] += count
    ordered = sorted(
        (form for form in uses if isinstance(form, Ports)),
        key=lambda form: (form.low, form.high, sorted(form.protocols)),
    )
    named = sorted(form.number for form in uses if isinstance(form, Protocol))
    numbers: dict[object, int] = {}
    covering: dict[ServiceForm, set[int]] = {form: set() for form in ordered}

    ports = []
    for protocol in PORT_PROTOCOLS:
        opening: dict[int, list[Ports]] = {}
        closing: dict[int, list[Ports]] = {}
        for form in ordered:
            if protocol in form.protocols:
                opening.setdefault(form.low, []).append(form)
                closing.setdefault(form.high + 1, []).append(form)
        active: set[Ports] = set()
        intervals: list[tuple[int, int]] = []
        for start in sorted({0, *opening, *closing} - {MAX_PORT + 1}):
            active.difference_update(closing.get(start, ()))
            active.update(opening.get(start, ()))
            exact = len(active) <= _SMALL_SIGNATURE
            signature: object = frozenset(active) if exact else (protocol, start)
            number = numbers.setdefault(signature, len(numbers))
            if not intervals or intervals[-1][1] != number:
                intervals.append((start, number))
        ports.append(intervals)
        starts = [start for start, _ in intervals]
        classes = [number for _, number in intervals]
        for form in ordered:
            if protocol in form.protocols:
                first, last = bisect_left(starts, form.low), bisect_right(starts, form.high)
                covering[form].update(classes[first:last])

    nothing = frozenset[Ports]()
    protocols = []
    for number in range(256):
        if number in PORT_PROTOCOLS:
            protocols.append(ports[PORT_PROTOCOLS.index(number)][0][1])
        else:
            signature = number if number in named else nothing
            protocols.append(numbers.setdefault(signature, len(numbers)))
    covering |= {Protocol(number): {protocols[number]} for number in named}

    place = _places(len(numbers), covering, uses)
    return ServiceClasses(
        len(numbers),
        tuple(tuple((start, place[number]) for start, number in intervals) for intervals in ports),
        tuple(place[number] for number in protocols),
        {form: _intervals(place[number] for number in classes) for form, classes in covering.items()},
    )


def _places(
    count: int, covering: Mapping[ServiceForm, set[int]], uses: Mapping[ServiceForm, int]
) -> list[int]:
    """Where each of `count` classes stands: those that most rules are about before the others."""
    weights: Counter[int] = Counter()
    for form, classes in covering.items():
        if len(classes) <= _NARROW:
            for number in classes:
                weights[number] += uses[form]
    first = set(nsmallest(_FIRST, weights, key=lambda number: (-weights[number], number)))
    order = [*sorted(first), *(number for number in range(count) if number not in first)]
    place = [0] * count
    for position, number in enumerate(order):
        place[number] = position
    return place


def _intervals(classes: Iterable[int]) -> tuple[Interval, ...]:
    found: list[Interval] = []
    for number in sorted(classes):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
