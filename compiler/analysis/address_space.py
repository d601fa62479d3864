"""All addresses, cut into sets that every view in question treats alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

import numpy as np
from wardgate.compiler.analysis.view import View
from wardgate.compiler.language.model import Address, Prefix
from wardgate.compiler.lowering.ragged import Integers

BITS = {4: 32, 6: 128}

Interval = tuple[int, int]
"""Addresses `first` to `last`, as numbers."""

_MAPPED = ip_network("::ffff:0:0/96")
"""IPv4 addresses as IPv6 ones (RFC 4291, section 2.5.5.2), which no question may be about."""
_MAPPED_FIRST, _MAPPED_LAST = int(_MAPPED.network_address), int(_MAPPED.broadcast_address)


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """The sets, the *cells*, by number: `intervals` of each, in address order, and its IP `version`, which is
    in `versions` too. Those of version 4 come first. `classes[view]` has the destination class of each cell.
    """

    intervals: Sequence[Sequence[Interval]]
    version: Sequence[int]
    versions: Integers
    classes: Sequence[Integers]

    @property
    def count(self) -> int:
        """How many intervals there are in all."""
        return sum(map(len, self.intervals))


def address_space(views: Sequence[View], within: Sequence[Prefix] | None = None) -> AddressSpace:
    """The cells that these views tell apart, of the addresses in `within`, whose prefixes do not overlap;
    None: of all."""
    found: dict[tuple[int, ...], list[Interval]] = {}
    for version in (4, 6):
        end = 1 << BITS[version]
        wanted = [(0, end)] if within is None else _wanted(within, version)
        for first, after, numbers in _overlaid([view.runs[version] for view in views], wanted, end):
            mine = found.setdefault((version, *numbers), [])
            if mine and mine[-1][1] + 1 == first:
                mine[-1] = (mine[-1][0], after - 1)
            else:
                mine.append((first, after - 1))
    keys = np.array(list(found), np.int64).reshape(len(found), len(views) + 1)
    return AddressSpace(
        list(found.values()),
        keys[:, 0].tolist(),
        keys[:, 0],
        [keys[:, 1 + place] for place in range(len(views))],
    )


def _wanted(within: Sequence[Prefix], version: int) -> list[tuple[int, int]]:
    mine = [prefix for prefix in within if prefix.version == version]
    return sorted((int(p.network_address), int(p.network_address) + p.num_addresses) for p in mine)


def _overlaid(
    runs: Sequence[Sequence[tuple[int, int]]], wanted: Sequence[tuple[int, int]], end: int
) -> Iterable[tuple[int, int, list[int]]]:
    """(first address, the one after the last, number in each of `runs`) between any two edges in `wanted`."""
    edges = {first for one in runs for first, _ in one} | {edge for pair in wanted for edge in pair}
    ordered = sorted(edge for edge in edges if edge < end)
    places = [-1] * len(runs)
    inside = 0
    for first, after in zip(ordered, [*ordered[1:], end], strict=True):
        for which, one in enumerate(runs):
            if places[which] + 1 < len(one) and one[places[which] + 1][0] == first:
                places[which] += 1
        while inside < len(wanted) and wanted[inside][1] <= first:
            inside += 1
        if inside < len(wanted) and wanted[inside][0] <= first:
            yield first, after, [one[place][1] for one, place in zip(runs, places, strict=True)]


def address_of(number: int, version: int) -> Address:
    """An address of IP `version`, of its number."""
    return IPv4Address(number) if version == 4 else IPv6Address(number)


def example_address(intervals: Sequence[Interval], version: int) -> Address:
    """An address in one of these: one that can be asked about, and no network's own, where there is one."""
    parts: list[Interval] = []
    for first, last in intervals:
        if version == 6 and first <= _MAPPED_LAST and last >= _MAPPED_FIRST:
            parts += [(first, _MAPPED_FIRST - 1)] if first < _MAPPED_FIRST else []
            parts += [(_MAPPED_LAST + 1, last)] if last > _MAPPED_LAST else []
        else:
            parts.append((first, last))
    first, last = (parts or intervals)[0]
    return address_of(first + 1 if last > first + 1 else first, version)


def joined(parts: Iterable[Mapping[int, Sequence[Interval]]]) -> dict[int, list[Interval]]:
    """The intervals of all `parts` by IP version, in order, neighbours together."""
    found: dict[int, list[Interval]] = {}
    every: dict[int, list[Interval]] = {}
    for part in parts:
        for version, intervals in part.items():
            every.setdefault(version, []).extend(intervals)
    for version, intervals in sorted(every.items()):
        merged: list[Interval] = []
        for first, last in sorted(intervals):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        found[version] = merged
    return found
