"""All services, cut into sets that every view in question treats alike, and sets of them in words.

A service is a protocol with a port, or a protocol without. Towards IPv6, the numbers of ICMP and ICMPv6 trade
places here, so that `icmp` is one service, whatever the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from wardgate.compiler.analysis.view import View
from wardgate.compiler.language.model import (
    EXTENSION_HEADERS,
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
from wardgate.compiler.language.services import PROTOCOL_NAMES
from wardgate.compiler.lowering.ragged import Integers
from wardgate.compiler.semantics.services import any_matches

_OTHER_ICMP = ICMPV6
_PORTLESS = tuple(number for number in range(256) if number not in PORT_PROTOCOLS)
_NAMES = {number: name for name, number in PROTOCOL_NAMES.items()}

Mask = npt.NDArray[np.bool_]
"""Of each atom, whether it is meant."""


def actual(number: int, version: int) -> int:
    """The protocol number in a packet towards an address of IP `version`, of a number of this space."""
    if version == 6 and number in (ICMP, ICMPV6):
        return ICMP + ICMPV6 - number
    return number


@dataclass(frozen=True, slots=True)
class Piece:
    """Ports `low` to `high` of a protocol that has them, or (None) a protocol that has none."""

    protocol: int
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, eq=False)
class ServiceSpace:
    """The sets, the *atoms*, by number: `pieces` of each. `classes[view][version]` has the service class that
    each atom has there; `asked[version]`: whether the services that were asked about cover it."""

    pieces: Sequence[Sequence[Piece]]
    classes: Sequence[Mapping[int, Integers]]
    asked: Mapping[int, Mask]

    @property
    def count(self) -> int:
        """How many atoms there are."""
        return len(self.pieces)

    def best(self, mask: Mask, version: int) -> int:
        """Of the atoms in `mask`, the one whose example is the most usual."""
        atoms = np.flatnonzero(mask)
        return int(atoms[np.argmin(self._ranks[version][atoms])])

    @cached_property
    def _ranks(self) -> Mapping[int, Integers]:
        """The place of each atom in the order of how usual their examples are, by IP version."""
        found = {}
        for version in (4, 6):
            odd = [min(_oddness(piece, version) for piece in pieces) for pieces in self.pieces]
            ranks = np.zeros(len(odd), np.int64)
            ranks[sorted(range(len(odd)), key=odd.__getitem__)] = np.arange(len(odd))
            found[version] = ranks
        return found

    @cached_property
    def _with_ports(self) -> Sequence[tuple[int, Integers, Integers, Integers]]:
        """For each protocol that has ports: its pieces' atoms, first ports and last ports, in port order."""
        found = []
        for protocol in PORT_PROTOCOLS:
            mine = sorted(
                (piece.low, piece.high, atom)
                for atom, pieces in enumerate(self.pieces)
                for piece in pieces
                if piece.protocol == protocol and piece.low is not None and piece.high is not None
            )
            low, high, atoms = np.array(mine, np.int64).T
            found.append((protocol, atoms, low, high))
        return found

    @cached_property
    def _without_ports(self) -> tuple[Integers, Integers]:
        """The protocols that have none, and the atom of each."""
        found = [
            (p.protocol, atom) for atom, pieces in enumerate(self.pieces) for p in pieces if p.low is None
        ]
        protocols, atoms = np.array(found, np.int64).T
        return protocols, atoms

    def portless(self, mask: Mask) -> set[int]:
        """The protocols without ports in these atoms."""
        protocols, atoms = self._without_ports
        return set(protocols[mask[atoms]].tolist())

    def ports(self, mask: Mask) -> Mapping[int, list[tuple[int, int]]]:
        """The ranges of ports in these atoms, in order and apart, by protocol; none is empty."""
        found = {}
        for protocol, atoms, low, high in self._with_ports:
            chosen = mask[atoms]
            first, last = low[chosen], high[chosen]
            if len(first):
                begins = np.append(True, first[1:] != last[:-1] + 1)
                ends = np.append(begins[1:], True)
                found[protocol] = list(zip(first[begins].tolist(), last[ends].tolist(), strict=True))
        return found

    def example(self, atom: int, version: int) -> tuple[int, int | None]:
        """A service in the atom, as protocol and port towards an address of IP `version`: one that packets
        can have, if there is one."""
        piece = min(self.pieces[atom], key=lambda one: _oddness(one, version))
        if piece.low is None:
            return actual(piece.protocol, version), None
        return piece.protocol, max(piece.low, min(1, piece.high or 0))


def _oddness(piece: Piece, version: int) -> tuple[bool, bool, int, int]:
    bare = piece.low is None
    extension = bare and version == 6 and piece.protocol in EXTENSION_HEADERS
    return (
        bare,
        extension or piece.high == 0,
        PORT_PROTOCOLS.index(piece.protocol) if not bare else 0,
        (piece.low or 0 if not bare else piece.protocol),
    )


def service_space(views: Sequence[View], asked: Sequence[ServiceForm] = (Everything(),)) -> ServiceSpace:
    """The atoms that these views, and whether a service is `asked` about, tell apart."""
    found: dict[tuple[int, ...], list[Piece]] = {}
    for protocol in PORT_PROTOCOLS:
        runs = [view.services.ports[protocol] for view in views]
        runs.append(_asked_runs(protocol, asked))
        for low, high, numbers in _overlaid(runs):
            *classes, covered = numbers
            key = (*(number for number in classes for _ in (4, 6)), covered, covered)
            found.setdefault(key, []).append(Piece(protocol, low, high))
    for protocol in _PORTLESS:
        numbers_of = [
            view.services.protocols[actual(protocol, version)] for view in views for version in (4, 6)
        ]
        covers = [any_matches(asked, actual(protocol, version), None, version) for version in (4, 6)]
        found.setdefault((*numbers_of, *map(int, covers)), []).append(Piece(protocol))
    keys = np.array(list(found), np.int64).reshape(len(found), -1)
    return ServiceSpace(
        list(found.values()),
        [{4: keys[:, 2 * place], 6: keys[:, 2 * place + 1]} for place in range(len(views))],
        {4: keys[:, -2] == 1, 6: keys[:, -1] == 1},
    )


def _asked_runs(protocol: int, asked: Sequence[ServiceForm]) -> list[tuple[int, int]]:
    """(first port, 1 or 0) in port order, from port 0."""
    edges = {0}
    for form in asked:
        if isinstance(form, Ports) and protocol in form.protocols:
            edges |= {form.low, form.high + 1}
    covered = ((low, int(any_matches(asked, protocol, low, 4))) for low in sorted(edges) if low <= MAX_PORT)
    return list(covered)


def _overlaid(
    runs: Sequence[Sequence[tuple[int, int]]],
) -> Iterable[tuple[int, int, list[int]]]:
    """(first port, last port, number in each of `runs`) between any two edges."""
    edges = sorted({low for one in runs for low, _ in one})
    places = [-1] * len(runs)
    for edge, after in zip(edges, [*edges[1:], MAX_PORT + 1], strict=True):
        for which, one in enumerate(runs):
            if places[which] + 1 < len(one) and one[places[which] + 1][0] == edge:
                places[which] += 1
        yield edge, after - 1, [one[place][1] for one, place in zip(runs, places, strict=True)]


@dataclass(frozen=True, slots=True)
class Services:
    """A set of services: those of `forms`, or with `everything` all but those."""

    everything: bool
    forms: tuple[ServiceForm, ...]

    def covers(self, protocol: int, port: int | None, version: int) -> bool:
        """Whether a service towards an address of IP `version` is of the set."""
        return any_matches(self.forms, protocol, port, version) is not self.everything

    @property
    def words(self) -> list[str]:
        """The forms, in the words of the language."""
        return [word_of(form) for form in self.forms]

    def __str__(self) -> str:
        if not self.everything:
            return " ".join(self.words)
        return f"every service except {' '.join(self.words)}" if self.forms else "every service"


def word_of(form: ServiceForm) -> str:
    """A form in the word of the language for it."""
    match form:
        case Ports(protocols, low, high):
            name = "any" if len(protocols) == len(PORT_PROTOCOLS) else "".join(_NAMES[n] for n in protocols)
            if (low, high) == (0, MAX_PORT):
                return name
            return f"{low}/{name}" if low == high else f"{low}-{high}/{name}"
        case Protocol(number):
            return f"proto/{number}"
        case Icmp():
            return "icmp"
        case Everything():
            return "every service"


def is_of_one_version(space: ServiceSpace, mask: Mask) -> bool:
    """Whether these atoms are other services for IPv4 than for IPv6, in the words of the language."""
    bare = space.portless(mask)
    return (_OTHER_ICMP in bare) is not _is_most(bare)


def describe_services(space: ServiceSpace, mask: Mask, version: int) -> Services:
    """The services of the atoms in `mask`, towards addresses of IP `version`; or of both where
    `is_of_one_version` is false."""
    everything = _is_most(space.portless(mask))
    chosen = ~mask if everything else mask
    forms: list[ServiceForm] = list(_port_forms(space.ports(chosen)))
    bare = space.portless(chosen)
    if ICMP in bare:
        forms.append(Icmp())
    forms += [Protocol(number) for number in sorted(actual(n, version) for n in bare - {ICMP})]
    return Services(everything, tuple(forms))


def _is_most(bare: set[int]) -> bool:
    """Whether these protocols are better told by those that are missing."""
    return len(bare) > len(_PORTLESS) // 2


def _port_forms(ranges: Mapping[int, list[tuple[int, int]]]) -> Iterable[ServiceForm]:
    shared: set[tuple[int, int]] = set()
    if len(ranges) == len(PORT_PROTOCOLS):
        shared = set.intersection(*map(set, ranges.values())) - {(0, MAX_PORT)}
    for low, high in sorted(shared):
        yield Ports(frozenset(PORT_PROTOCOLS), low, high)
    for protocol, mine in ranges.items():
        for low, high in mine:
            if (low, high) not in shared:
                yield Ports(frozenset({protocol}), low, high)
