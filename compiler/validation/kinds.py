"""The policy's side of services: kinds of packets that its rules tell apart, and which a form covers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
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
from wardgate.compiler.validation.services import DecodedServices

Range = tuple[int, int]
"""Kinds `first` to `end`, exclusive."""

_MOST_OPEN = 64
"""Where more port ranges than this overlap, intervals are not compared with each other to be found
equal: the proof then takes more comparisons, and finding the kinds does not become quadratic."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Services that no rule tells apart, and the service class that the tables give them. Others may be
    of the same kind: `low` to `high` of `protocol` are the first; without ports both are None."""

    protocol: int
    low: int | None
    high: int | None
    service_class: int


@dataclass(frozen=True, slots=True)
class _Interval:
    kind: Kind
    signature: object


class ServiceKinds:
    """The kinds of all packets. `intervals`: how many intervals of ports, and protocols without ports,
    there are."""

    def __init__(self, forms: Iterable[ServiceForm], decoded: DecodedServices) -> None:
        distinct = set(forms)
        cut = {number: list(_port_intervals(number, distinct, decoded)) for number in PORT_PROTOCOLS}
        merging = all(item.signature is not None for items in cut.values() for item in items)
        named = {form.number for form in distinct if isinstance(form, Protocol)}
        if Icmp() in distinct:
            named |= {ICMP, ICMPV6}
        nothing: frozenset[ServiceForm] = frozenset()
        for number, service_class in decoded.protocols.items():
            signature = number if number in named else nothing
            cut[number] = [_Interval(Kind(number, None, None, service_class), signature)]

        kinds: list[Kind] = []
        numbers: dict[object, int] = {}
        met: dict[int, list[int]] = {}
        for protocol, items in cut.items():
            of_protocol = met[protocol] = []
            for item in items:
                key = (item.signature, item.kind.service_class) if merging else len(kinds)
                number = numbers.setdefault(key, len(kinds))
                if number == len(kinds):
                    kinds.append(item.kind)
                of_protocol.append(number)
        # In the order of their classes, rows of kinds are rows of the tables, as far as that can be.
        order = sorted(range(len(kinds)), key=lambda number: kinds[number].service_class)
        place = {number: position for position, number in enumerate(order)}
        self.kinds: Sequence[Kind] = [kinds[number] for number in order]
        self._starts = {protocol: [item.kind.low or 0 for item in items] for protocol, items in cut.items()}
        self._kinds_of = {protocol: [place[number] for number in found] for protocol, found in met.items()}
        self.intervals = sum(len(items) for items in cut.values())
        self._covered: dict[tuple[ServiceForm, int], list[Range]] = {}

    def covered(self, form: ServiceForm, version: int) -> Sequence[Range]:
        """The kinds that `form` covers towards a remote of IP version `version`."""
        key = (form, version)
        found = self._covered.get(key)
        if found is None:
            found = self._covered[key] = _ranges(self._kinds_covered(form, version))
        return found

    def _kinds_covered(self, form: ServiceForm, version: int) -> set[int]:
        match form:
            case Everything():
                return set(range(len(self.kinds)))
            case Ports(protocols, low, high):
                found: set[int] = set()
                for protocol in protocols:
                    starts = self._starts[protocol]
                    first, end = bisect_left(starts, low), bisect_right(starts, high)
                    found.update(self._kinds_of[protocol][first:end])
                return found
            case Protocol(number):
                return set(self._kinds_of[number])
            case Icmp():
                return set(self._kinds_of[ICMP if version == 4 else ICMPV6])


def _port_intervals(
    protocol: int, forms: AbstractSet[ServiceForm], decoded: DecodedServices
) -> Iterator[_Interval]:
    """The ports of `protocol`, cut where a form or a service class begins or ends. An interval's
    signature is the forms that cover it; None where these are too many."""
    opening: dict[int, list[Ports]] = {}
    closing: dict[int, list[Ports]] = {}
    for form in forms:
        if isinstance(form, Ports) and protocol in form.protocols:
            opening.setdefault(form.low, []).append(form)
            closing.setdefault(form.high + 1, []).append(form)
    classes = dict(decoded.ports[protocol])
    edges = sorted({0, *opening, *closing, *classes} - {MAX_PORT + 1})
    # A form that names the protocol without ports covers all of them.
    active: set[ServiceForm] = set()
    if Protocol(protocol) in forms:
        active.add(Protocol(protocol))
    service_class = 0
    for low, after in zip(edges, [*edges[1:], MAX_PORT + 1], strict=True):
        active.difference_update(closing.get(low, ()))
        active.update(opening.get(low, ()))
        service_class = classes.get(low, service_class)
        signature = frozenset(active) if len(active) <= _MOST_OPEN else None
        yield _Interval(Kind(protocol, low, after - 1, service_class), signature)


def _ranges(numbers: set[int]) -> list[Range]:
    found: list[Range] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found
