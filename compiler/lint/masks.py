"""Sets of services as integers: bit `n` is service class `n` (see `lowering.services`).

Rules are compared by millions, and what a rule covers, or what is left of it, is then one operation.
"""

from __future__ import annotations

from collections.abc import Iterable

from wardgate.compiler.language.model import (
    EXTENSION_HEADERS,
    ICMP,
    ICMPV6,
    MAX_PORT,
    PORT_PROTOCOLS,
    Rule,
    ServiceForm,
)
from wardgate.compiler.lowering.services import ServiceClasses, service_classes

Mask = int
"""A set of service classes."""

_PROTOCOLS = 256


class ServiceMasks:
    """The service classes of some rules, and masks of them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._classes = service_classes([form for rule in rules for form in rule.services])
        self._known: dict[tuple[tuple[ServiceForm, ...], int], Mask] = {}
        self._packets = {version: _packets(self._classes, version) for version in (4, 6)}

    def of(self, services: tuple[ServiceForm, ...], version: int) -> Mask:
        """What `services`, which are those of a rule, cover towards an address of IP `version`."""
        key = (services, version)
        mask = self._known.get(key)
        if mask is None:
            mask = 0
            for form in services:
                for first, last in self._classes.intervals(form, version):
                    mask |= (1 << last + 1) - (1 << first)
            self._known[key] = mask
        return mask

    def one_of(self, mask: Mask, version: int) -> tuple[int, int | None]:
        """IP protocol and port of a packet in `mask`, which is not empty; one with a port that can be
        asked about (1 and above) where there is one."""
        packets = self._packets[version]
        rest = mask
        while rest:
            number = (rest & -rest).bit_length() - 1
            if packets[number][1] != 0:
                return packets[number]
            rest &= rest - 1
        return packets[(mask & -mask).bit_length() - 1]


def _packets(classes: ServiceClasses, version: int) -> list[tuple[int, int | None]]:
    """A packet of each class towards an address of IP `version`."""
    found: dict[int, tuple[int, int | None]] = {}
    icmp = ICMP if version == 4 else ICMPV6
    portless = [number for number in range(_PROTOCOLS) if number not in PORT_PROTOCOLS]
    # ICMP is what people know; extension headers are nothing that they could send.
    portless.sort(key=lambda number: (number != icmp, version == 6 and number in EXTENSION_HEADERS, number))
    for number in portless:
        found.setdefault(classes.protocols[number], (number, None))
    for protocol, intervals in zip(PORT_PROTOCOLS, classes.ports, strict=True):
        ends = [start - 1 for start, _ in intervals[1:]] + [MAX_PORT]
        for (start, number), end in zip(intervals, ends, strict=True):
            port = 1 if start == 0 and end > 0 else start
            known = found.get(number)
            if known is None or (known[1] == 0 and port > 0):
                found[number] = (protocol, port)
    return [found[number] for number in range(classes.count)]
