"""All services, cut into sets that every view in question treats alike, and sets of them in words.

A service is a protocol with a port, or a protocol without. Towards IPv6, the numbers of ICMP and ICMPv6 trade
places here, so that `icmp` is one service, whatever the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.compiler.analysis.view import View
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
from wardgate.compiler.language.services import PROTOCOL_NAMES
from wardgate.compiler.lowering.ragged import Integers
from wardgate.compiler.semantics.services import any_matches

_OTHER_ICMP = ICMPV6
_PORTLESS = tuple(number for number in range(256) if number not in PORT_PROTOCOLS)
_EXTENSIONS = frozenset({0, 43, 44, 60})
"""Next headers that are no protocol of an IPv6 packet (RFC 8200, section 4)."""
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

    def best(self, atoms: Sequence[int], version: int) -> int:
        """Of some atoms, the one whose example is the most usual."""
        return min(atoms, key=lambda atom: min(_oddness(piece, version) for piece in self.pieces[atom]))

    def example(self, atom: int, version: int) -> tuple[int, int | None]:
        """A service in the atom, as protocol and port towards an address of IP `version`: one that packets
        can have, if there is one."""
        piece = min(self.pieces[atom], key=lambda one: _oddness(one, version))
        if piece.low is None:
            return actual(piece.protocol, version), None
        return piece.protocol, max(piece.low, min(1, piece.high or 0))


def _oddness(piece: Piece, version: int) -> tuple[bool, bool, int, int]:
    bare = piece.low is None
    extension = bare and version == 6 and piece.protocol in _EXTENSIONS
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
    bare = _bare(space, mask)
    generic = len(bare) > len(_PORTLESS) // 2
    return (_OTHER_ICMP in bare) is not generic


def describe_services(space: ServiceSpace, mask: Mask, version: int) -> Services:
    """The services of the atoms in `mask`, towards addresses of IP `version`; or of both where
    `is_of_one_version` is false."""
    everything = len(_bare(space, mask)) > len(_PORTLESS) // 2
    chosen = ~mask if everything else mask
    forms: list[ServiceForm] = list(_port_forms(space, chosen))
    bare = _bare(space, chosen)
    if ICMP in bare:
        forms.append(Icmp())
    forms += [Protocol(number) for number in sorted(actual(n, version) for n in bare - {ICMP})]
    return Services(everything, tuple(forms))


def _bare(space: ServiceSpace, mask: Mask) -> set[int]:
    return {
        piece.protocol
        for atom in np.flatnonzero(mask).tolist()
        for piece in space.pieces[atom]
        if piece.low is None
    }


def _port_forms(space: ServiceSpace, mask: Mask) -> Iterable[ServiceForm]:
    ranges: dict[int, list[tuple[int, int]]] = {}
    pieces = (piece for atom in np.flatnonzero(mask).tolist() for piece in space.pieces[atom])
    for piece in sorted(
        (p for p in pieces if p.low is not None), key=lambda p: (PORT_PROTOCOLS.index(p.protocol), p.low)
    ):
        assert piece.low is not None  # noqa: S101 - those that are None were left out
        assert piece.high is not None  # noqa: S101
        mine = ranges.setdefault(piece.protocol, [])
        if mine and mine[-1][1] + 1 == piece.low:
            mine[-1] = (mine[-1][0], piece.high)
        else:
            mine.append((piece.low, piece.high))
    whole = [protocol for protocol in ranges if ranges[protocol] == [(0, MAX_PORT)]]
    shared = set.intersection(*map(set, ranges.values())) if len(ranges) == len(PORT_PROTOCOLS) else set()
    if len(whole) == len(PORT_PROTOCOLS):
        shared = set()
    for low, high in sorted(shared):
        yield Ports(frozenset(PORT_PROTOCOLS), low, high)
    for protocol, mine in ranges.items():
        for low, high in mine:
            if (low, high) not in shared:
                yield Ports(frozenset({protocol}), low, high)
