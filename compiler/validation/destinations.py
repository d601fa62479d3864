"""Longest prefixes and destination classes side by side: every pair that an address has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from wardgate.compiler.language.model import Address
from wardgate.compiler.validation.encoded import Encoded
from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.prefixes import BITS, NO_PREFIX, PrefixTree, Region
from wardgate.compiler.validation.routes4 import has_routes4, runs4
from wardgate.compiler.validation.routes6 import has_routes6, runs6

_ADDRESS: Mapping[int, Callable[[int], Address]] = {4: IPv4Address, 6: IPv6Address}


class Interval(NamedTuple):
    """Addresses `first` to `last` of IP `version`, as numbers."""

    version: int
    first: int
    last: int

    @property
    def addresses(self) -> tuple[Address, Address]:
        """The first and the last address."""
        kind = _ADDRESS[self.version]
        return kind(self.first), kind(self.last)


@dataclass(frozen=True, slots=True)
class Stretch:
    """`length` neighbours on the policy's side, from `first` on, which `column` and what follows encode."""

    first: int
    column: int
    length: int


@dataclass(frozen=True, slots=True)
class Destinations:
    """`intervals`: how many intervals all addresses were cut into; `pairs`: (node, destination class)
    to the first of those that have both. `stretches` are all pairs again, neighbours together."""

    intervals: int
    pairs: Mapping[tuple[int, int], Interval]
    stretches: Sequence[Stretch]


def decode_destinations(encoded: Encoded, tree: PrefixTree) -> Destinations:
    """All addresses of both IP versions, by what the policy and the tables make of them."""
    pairs: dict[tuple[int, int], Interval] = {}
    count = 0
    for version, there, runs in ((4, has_routes4(encoded), runs4), (6, has_routes6(encoded), runs6)):
        regions = tree.regions(version)
        if not there:
            # Programs without the tables know no rule for this version: they drop all its packets.
            named = next((node for _, node in regions if node != NO_PREFIX), None)
            if named is not None:
                raise ValidationError(
                    "the tables", f"nothing of IPv{version}", f"has rules for {tree.prefixes[named - 1]}"
                )
            count += 1
            continue
        for interval, node, number in _overlaps(version, regions, runs(encoded)):
            count += 1
            pairs.setdefault((node, number), interval)
    return Destinations(count, pairs, stretches(sorted(pairs)))


def _overlaps(
    version: int, regions: Sequence[Region], runs: Iterable[tuple[int, int]]
) -> Iterable[tuple[Interval, int, int]]:
    """Each interval between two edges of either side, with its node and its destination class."""
    end = 1 << BITS[version]
    regions = [*regions, (end, NO_PREFIX)]
    position = 0
    previous: tuple[int, int] | None = None
    for run in (*_merged(runs), (end, NO_PREFIX)):
        if previous is not None:
            first, number = previous
            while first < run[0]:
                after = min(run[0], regions[position + 1][0])
                yield Interval(version, first, after - 1), regions[position][1], number
                first = after
                position += regions[position + 1][0] == after
        previous = run


def _merged(runs: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    previous: int | None = None
    for first, number in runs:
        if number != previous:
            yield first, number
            previous = number


def stretches(pairs: Iterable[tuple[int, int]]) -> list[Stretch]:
    """(item, column) pairs, in order of items, with those together that both go up by one."""
    found: list[Stretch] = []
    first = column = length = 0
    for item, own_column in pairs:
        if length and item == first + length and own_column == column + length:
            length += 1
            continue
        if length:
            found.append(Stretch(first, column, length))
        first, column, length = item, own_column, 1
    if length:
        found.append(Stretch(first, column, length))
    return found
