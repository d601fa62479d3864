"""Destination classes: the longest of all prefixes of a policy that contains an address.

Classes are numbered in address order (a prefix before those inside it), from 1, IPv4 before IPv6;
class 0 is an address in no prefix. The prefixes inside a prefix then have the numbers right behind
its own, and a policy class's buckets are runs of destination classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import Prefix

Boundary = tuple[int, int]
"""(first address, class), up to the next boundary's address."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """`prefixes[i]` is class `i + 1`; `parents[i]` is the class of the prefix around it, 0: none."""

    prefixes: tuple[Prefix, ...]
    parents: tuple[int, ...]
    _bounds: tuple[tuple[int, int, int], ...]

    @property
    def count(self) -> int:
        """Number of classes with class 0."""
        return len(self.prefixes) + 1

    def of_version(self, version: int) -> range:
        """The classes of one IP version."""
        fours = sum(bounds[0] == 4 for bounds in self._bounds)
        return range(1, fours + 1) if version == 4 else range(fours + 1, self.count)

    def boundaries(self, version: int) -> list[Boundary]:
        """Where another class begins, over all addresses of a version: in order, from address 0."""
        top = 1 << (32 if version == 4 else 128)
        found: list[Boundary] = [(0, 0)]
        enclosing: list[Boundary] = []

        def set_from(address: int, number: int) -> None:
            if found[-1][0] == address:
                found.pop()
            if not found or found[-1][1] != number:
                found.append((address, number))

        def close_before(address: int) -> None:
            while enclosing and enclosing[-1][0] < address:
                last, _ = enclosing.pop()
                set_from(last + 1, enclosing[-1][1] if enclosing else 0)

        for number in self.of_version(version):
            _, first, last = self._bounds[number - 1]
            close_before(first)
            set_from(first, number)
            enclosing.append((last, number))
        close_before(top)
        if found[-1][0] == top:
            found.pop()
        return found


def destinations(prefixes: Sequence[Prefix]) -> tuple[Destinations, list[int]]:
    """The classes of `prefixes`, which are distinct, and the class of each."""
    bounds = []
    for prefix in prefixes:
        first, size = int(prefix.network_address), 1 << (prefix.max_prefixlen - prefix.prefixlen)
        bounds.append((prefix.version, first, first + size - 1))
    # A prefix before those inside it: of those that begin with it, the one that ends last.
    order = sorted(range(len(bounds)), key=lambda i: (bounds[i][0], bounds[i][1], -bounds[i][2]))
    numbers = [0] * len(order)
    parents = []
    enclosing: list[tuple[int, int, int]] = []
    for number, place in enumerate(order, 1):
        numbers[place] = number
        version, first, last = bounds[place]
        while enclosing and (enclosing[-1][1] != version or enclosing[-1][2] < first):
            enclosing.pop()
        parents.append(enclosing[-1][0] if enclosing else 0)
        enclosing.append((number, version, last))
    found = Destinations(
        tuple(prefixes[place] for place in order), tuple(parents), tuple(bounds[place] for place in order)
    )
    return found, numbers
