"""Service classes: packets that no rule of the policy tells apart share one.

A packet's service is its protocol and, for the protocols with ports, its port. Every distinct service
form of the policy cuts the port ranges into intervals; intervals (and protocols) that exactly the
same forms cover share a class. One class more stands for a later fragment whose first was not seen.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
from wardgate.compiler.lowering.tables import TableData, narrowest, table

_SMALL_SIGNATURE = 64
"""Intervals that more forms than this cover are not compared with others: classes stay exact, and
hostile nesting of ranges cannot make the comparison quadratic."""

PORT_PAGE_BITS = 8

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


def service_classes(forms: Iterable[ServiceForm]) -> ServiceClasses:
    """Classes for the service forms of a policy, in any order."""
    concrete = {_concrete(form, version) for form in forms for version in (4, 6)}
    ordered = sorted(
        (form for form in concrete if isinstance(form, Ports)),
        key=lambda form: (form.low, form.high, sorted(form.protocols)),
    )
    named = {form.number for form in concrete if isinstance(form, Protocol)}
    numbers: dict[object, int] = {}
    covering: dict[Ports, set[int]] = {form: set() for form in ordered}

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
        ports.append(tuple(intervals))
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

    covered: dict[ServiceForm, tuple[Interval, ...]] = {
        form: _intervals(classes) for form, classes in covering.items()
    }
    for number in named:
        covered[Protocol(number)] = ((protocols[number], protocols[number]),)
    return ServiceClasses(len(numbers), tuple(ports), tuple(protocols), covered)


def _intervals(classes: set[int]) -> tuple[Interval, ...]:
    found: list[Interval] = []
    for number in sorted(classes):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def service_tables(services: ServiceClasses) -> list[TableData]:
    """`protocols`, and where ports matter `ports_directory` and `ports_pages`.

    The class of (PORT_PROTOCOLS[k], port) is `pages[directory[k * 256 + port // 256] * 256 + port % 256]`.
    """
    element = narrowest(services.count)
    tables = [table("protocols", element, services.protocols, "protocol to service class")]
    if not services.by_port:
        return tables
    size = 1 << PORT_PAGE_BITS
    pages: dict[bytes, int] = {}
    directory: list[int] = []
    flat = array("H" if element == 2 else "I")
    for intervals in services.ports:
        row = array(flat.typecode)
        for index, (start, number) in enumerate(intervals):
            end = intervals[index + 1][0] if index + 1 < len(intervals) else MAX_PORT + 1
            row.extend(array(flat.typecode, [number]) * (end - start))
        for start in range(0, MAX_PORT + 1, size):
            page = row[start : start + size]
            key = page.tobytes()
            if key not in pages:
                pages[key] = len(pages)
                flat.extend(page)
            directory.append(pages[key])
    tables.append(table("ports_directory", narrowest(len(pages)), directory, "port to page of classes"))
    tables.append(table("ports_pages", element, flat, "port in its page to service class"))
    return tables
