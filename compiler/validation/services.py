"""Protocols and ports to service classes, as `service_of` of lookup.h finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import MAX_PORT, PORT_PROTOCOLS
from wardgate.compiler.validation.encoded import Encoded, Spans

PROTOCOLS = 256
_PAGE = 1 << 8
_PAGES_A_PROTOCOL = (MAX_PORT + 1) // _PAGE


@dataclass(frozen=True, slots=True)
class DecodedServices:
    """`ports`: of each protocol with ports, (first port, service class) in port order from port 0;
    `protocols`: the class of every other protocol."""

    ports: Mapping[int, Sequence[tuple[int, int]]]
    protocols: Mapping[int, int]


def decode_services(encoded: Encoded) -> DecodedServices:
    """The service class of every packet. OutOfBoundsError where one leads out of a table."""
    table = encoded.table("protocols")
    table.check_has(PROTOCOLS, "the last protocol")
    classes: list[int] = table.values[:PROTOCOLS].tolist()
    others = {number: classes[number] for number in range(PROTOCOLS) if number not in PORT_PROTOCOLS}
    if "ports_directory" not in encoded.tables:
        # Then programs look at the protocol alone.
        return DecodedServices({number: [(0, classes[number])] for number in PORT_PROTOCOLS}, others)
    directory, pages = encoded.table("ports_directory"), encoded.table("ports_pages")
    directory.check_has(len(PORT_PROTOCOLS) * _PAGES_A_PROTOCOL, "the last port")
    numbers: list[int] = directory.values.tolist()
    spans = Spans(pages)
    ports = {}
    for row, protocol in enumerate(PORT_PROTOCOLS):
        found: list[tuple[int, int]] = []
        for index in range(_PAGES_A_PROTOCOL):
            start = numbers[row * _PAGES_A_PROTOCOL + index] * _PAGE
            pages.check_has(start + _PAGE, f"port {index * _PAGE} of protocol {protocol}")
            for first, _, service_class in spans.within(start, start + _PAGE):
                if not found or found[-1][1] != service_class:
                    found.append((index * _PAGE + first - start, service_class))
        ports[protocol] = found
    return DecodedServices(ports, others)
