"""Destination classes: the longest of all prefixes of a policy that contains an address.

Classes are numbered in address order (a prefix before those inside it), from 1, IPv4 before IPv6;
class 0 is an address in no prefix. The prefixes inside a prefix then have the numbers right behind
its own, and a policy class's buckets are runs of destination classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wardgate.compiler.language.model import Prefix
from wardgate.compiler.lowering.matrix import Run


@dataclass(frozen=True, slots=True)
class Destinations:
    """`prefixes[i]` is class `i + 1`, and contains those up to class `ends[i]`, exclusive."""

    prefixes: tuple[Prefix, ...]
    ends: tuple[int, ...]
    number: Mapping[Prefix, int]

    @property
    def count(self) -> int:
        """Number of classes with class 0."""
        return len(self.prefixes) + 1

    def of_version(self, version: int) -> list[tuple[Prefix, int]]:
        """The prefixes of one IP version with their classes, in address order."""
        return [(prefix, i) for i, prefix in enumerate(self.prefixes, 1) if prefix.version == version]


def _address_order(prefix: Prefix) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def destinations(prefixes: Iterable[Prefix]) -> Destinations:
    """Number `prefixes`, without repeats."""
    ordered = tuple(sorted(set(prefixes), key=_address_order))
    ends = [0] * len(ordered)
    enclosing: list[int] = []
    lasts = [(p.version, int(p.broadcast_address)) for p in ordered]
    for index, prefix in enumerate(ordered):
        start = (prefix.version, int(prefix.network_address))
        while enclosing and lasts[enclosing[-1]] < start:
            ends[enclosing.pop()] = index + 1
        enclosing.append(index)
    for index in enclosing:
        ends[index] = len(ordered) + 1
    return Destinations(ordered, tuple(ends), {prefix: i for i, prefix in enumerate(ordered, 1)})


def runs_of_buckets(space: Destinations, buckets: Mapping[int, int]) -> list[Run]:
    """Runs over destination classes of the bucket that decides there, 0 where none does.

    `buckets` maps a destination class (of the bucket's own prefix) to a bucket: the bucket holds for
    the classes inside its prefix, except where a longer prefix has a bucket too.
    """
    runs: list[Run] = [(0, 0)]
    enclosing: list[tuple[int, int]] = []

    def set_from(column: int, value: int) -> None:
        if runs[-1][0] == column:
            runs.pop()
        if not runs or runs[-1][1] != value:
            runs.append((column, value))

    def close_until(column: int) -> None:
        while enclosing and enclosing[-1][0] <= column:
            end, _ = enclosing.pop()
            set_from(end, enclosing[-1][1] if enclosing else 0)

    for column in sorted(buckets):
        close_until(column)
        set_from(column, buckets[column])
        enclosing.append((space.ends[column - 1], buckets[column]))
    close_until(space.count)
    if runs[-1][0] >= space.count:
        runs.pop()
    return runs
