"""All services that a policy tells apart: what `explain` asks about where no service is given."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wardgate.compiler.language.model import MAX_PORT, PORT_PROTOCOLS, Rule
from wardgate.runtime.layout.manifest import Manifest, Table

_NAMES = dict(zip(PORT_PROTOCOLS, ("tcp", "udp", "sctp"), strict=True))
_PAGE = 256
_FORMATS = {1: "B", 2: "H", 4: "I"}

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class ServiceClasses:
    """Which packets share a service class. `ports[k]` has, for PORT_PROTOCOLS[k], (first port, class)
    in port order from port 0; `protocols[n]` is the class of protocol n."""

    ports: tuple[tuple[tuple[int, int], ...], ...]
    protocols: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Services of one class that stand together: ports `low` to `high` of a protocol; None: without."""

    number: int
    protocol: int
    low: int | None
    high: int | None


def of_rules(rules: Iterable[Rule]) -> ServiceClasses:
    """Classes by the services of these rules, those of a bucket."""
    from wardgate.compiler.lowering.services import service_classes

    found = service_classes({form for rule in rules for form in rule.services})
    return ServiceClasses(found.ports, found.protocols)


def of_artefact(manifest: Manifest, section: Callable[[str], bytes]) -> ServiceClasses:
    """Classes of the whole policy, read from the artefact's tables (compiler/lowering/services.py);
    `section` gives the bytes of a section by its name."""
    tables = {table.name: table for table in manifest.tables}

    def read(name: str) -> Sequence[int]:
        table: Table = tables[name]
        data = section(table.section)[: table.element * table.count]
        return struct.unpack(f"<{table.count}{_FORMATS[table.element]}", data)

    protocols = tuple(read("protocols")[:256])
    if "ports_directory" not in tables:
        return ServiceClasses(tuple(((0, protocols[p]),) for p in PORT_PROTOCOLS), protocols)
    directory, pages = read("ports_directory"), read("ports_pages")
    ports = []
    for k in range(len(PORT_PROTOCOLS)):
        runs: list[tuple[int, int]] = []
        for page in range(_PAGE):
            start = directory[k * _PAGE + page] * _PAGE
            for offset, number in enumerate(pages[start : start + _PAGE]):
                if not runs or runs[-1][1] != number:
                    runs.append((page * _PAGE + offset, number))
        ports.append(tuple(runs))
    return ServiceClasses(tuple(ports), protocols)


def spans(classes: ServiceClasses) -> Iterator[Span]:
    """Every service once: the ports in order, then the protocols without ports."""
    for protocol, runs in zip(PORT_PROTOCOLS, classes.ports, strict=True):
        ends = [start - 1 for start, _ in runs[1:]] + [MAX_PORT]
        for (start, number), end in zip(runs, ends, strict=True):
            yield Span(number, protocol, start, end)
    for protocol, number in enumerate(classes.protocols):
        if protocol not in PORT_PROTOCOLS:
            yield Span(number, protocol, None, None)


def representative(span: Span) -> str:
    """A concrete service in the span, as a query takes it."""
    return f"proto/{span.protocol}" if span.low is None else f"{span.low}/{_NAMES[span.protocol]}"


def group(answers: Iterable[tuple[Span, A]], icmp: int) -> list[tuple[A, list[str]]]:
    """Services with equal answers, in words, by answer in order of first appearance.

    `icmp` is the protocol that the word `icmp` means for the remote's IP version.
    """
    found: dict[A, list[Span]] = {}
    for span, answer in answers:
        found.setdefault(answer, []).append(span)
    everything = len(found) == 1
    return [(answer, ["any"] if everything else _words(mine, icmp)) for answer, mine in found.items()]


def _words(mine: Sequence[Span], icmp: int) -> list[str]:
    words = []
    merged: list[tuple[int, int, int]] = []
    for span in mine:
        if span.low is None or span.high is None:
            continue
        if merged and merged[-1][0] == span.protocol and merged[-1][2] + 1 == span.low:
            merged[-1] = (span.protocol, merged[-1][1], span.high)
        else:
            merged.append((span.protocol, span.low, span.high))
    for protocol, low, high in merged:
        name = _NAMES[protocol]
        if (low, high) == (0, MAX_PORT):
            words.append(name)
        else:
            words.append(f"{low}/{name}" if low == high else f"{low}-{high}/{name}")
    bare = {span.protocol for span in mine if span.low is None}
    if icmp in bare:
        words.append("icmp")
        bare.discard(icmp)
    if len(bare) > len(_UNCOMMON) // 2:
        without = [f" {number}" for number in sorted(_UNCOMMON - bare - {icmp})]
        words.append(f"other protocols{' except' * bool(without)}{''.join(without)}")
    else:
        words += [f"proto/{number}" for number in sorted(bare)]
    return words


_UNCOMMON = frozenset(range(256)) - frozenset(PORT_PROTOCOLS)
