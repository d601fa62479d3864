"""Lists of numbers as two arrays: all their values, and where each list begins.

`offsets` has one entry more than there are lists: list `i` is `values[offsets[i] : offsets[i + 1]]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """See the module."""

    values: Integers
    offsets: Integers

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Integers:
        """The length of each list."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> Integers:
        """For each value, the list that it is of."""
        return np.repeat(np.arange(len(self)), self.counts)

    def take(self, chosen: Integers) -> Lists:
        """The lists at these positions, in this order."""
        counts = self.counts[chosen]
        return Lists(self.values[ranges(self.offsets[chosen], counts)], offsets_of(counts))


def offsets_of(counts: Integers) -> Integers:
    """Where lists of these lengths begin, and the end of the last."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def ranges(starts: Integers, counts: Integers) -> Integers:
    """For each pair the numbers `start`, `start + 1`, ... so many, one after the other."""
    offsets = offsets_of(counts)
    return np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])


def sorted_order(keys: Integers) -> tuple[Integers, Integers]:
    """What sorts `keys`, none of them negative, and keeps equal ones in order; and the keys, sorted."""
    bits = max(1, len(keys) - 1).bit_length()
    if len(keys) and int(keys.max()).bit_length() + bits > _SIGNED:
        order = np.argsort(keys, kind="stable")
        return order, keys[order]
    # Sorting numbers is some times faster than sorting what refers to them.
    both = np.sort(keys << bits | np.arange(len(keys)))
    return both & (1 << bits) - 1, both >> bits


def begins(keys: Integers) -> Integers:
    """Where another key begins, of sorted keys, none of them negative."""
    return np.flatnonzero(np.diff(keys, prepend=-1))


def grouped(keys: Integers, values: Integers) -> tuple[Integers, Lists]:
    """The distinct `keys` in order, and for each the values that come with it, in the order given."""
    order, ordered = sorted_order(keys)
    first = begins(ordered)
    return ordered[first], Lists(values[order], np.append(first, len(keys)))


def ranked(keys: Integers) -> tuple[Integers, Integers]:
    """The distinct `keys` in order, and the place among them of each key."""
    order, ordered = sorted_order(keys)
    changes = np.diff(ordered, prepend=-1) != 0
    places = np.empty(len(keys), np.int64)
    places[order] = np.cumsum(changes) - 1
    return ordered[changes], places


def distinct(lists: Lists) -> tuple[Integers, Integers]:
    """The number of each list, equal ones having the same, in the order in which they are met; and of
    each number the first list that has it."""
    if not len(lists):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    _, first, number = np.unique(_hashes(lists), return_index=True, return_inverse=True)
    if not _equal(lists, first[number]):
        # Two lists have one hash: never, unless somebody looks for such.
        known: dict[bytes, int] = {}
        bounds = pairwise((lists.offsets * lists.values.itemsize).tolist())
        data = lists.values.tobytes()
        number = np.array([known.setdefault(data[a:b], len(known)) for a, b in bounds], np.int64)
        first = np.unique(number, return_index=True)[1]
    order = np.argsort(first)
    place = np.empty(len(first), np.int64)
    place[order] = np.arange(len(first))
    return place[number], first[order]


def _hashes(lists: Lists) -> npt.NDArray[np.uint64]:
    """A hash of each list: sums of what each value and its place are mixed to (splitmix64)."""
    places = np.arange(len(lists.values)) - np.repeat(lists.offsets[:-1], lists.counts)
    mixed = lists.values.astype(np.uint64) + (places.astype(np.uint64) + np.uint64(1)) * _GOLDEN
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    sums = np.zeros(len(mixed) + 1, np.uint64)
    np.cumsum(mixed, out=sums[1:])
    return sums[lists.offsets[1:]] - sums[lists.offsets[:-1]] + lists.counts.astype(np.uint64)


_SIGNED = 63
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _equal(lists: Lists, others: Integers) -> bool:
    """Whether each list is equal to the one at its place in `others`."""
    differing = np.flatnonzero(others != np.arange(len(lists)))
    counts = lists.counts
    if not np.array_equal(counts[differing], counts[others[differing]]):
        return False
    mine = ranges(lists.offsets[differing], counts[differing])
    theirs = ranges(lists.offsets[others[differing]], counts[differing])
    return bool(np.array_equal(lists.values[mine], lists.values[theirs]))


class Interned:
    """Distinct lists, numbered from 0 as they are met, some at a time."""

    def __init__(self) -> None:
        self._met: list[Lists] = []
        self._numbers: dict[bytes, int] = {}

    def numbers(self, lists: Lists) -> Integers:
        """The number of each of `lists`."""
        number, first = distinct(lists)
        fresh = lists.take(first)
        if not self._met:
            self._met.append(fresh)
            return number
        if not self._numbers:
            self._number(self._met[0])
        before = len(self._numbers)
        place = self._number(fresh)
        self._met.append(fresh.take(np.flatnonzero(place >= before)))
        return place[number]

    def _number(self, lists: Lists) -> Integers:
        data = lists.values.tobytes()
        known = self._numbers
        bounds = pairwise((lists.offsets * lists.values.itemsize).tolist())
        return np.array([known.setdefault(data[a:b], len(known)) for a, b in bounds], np.int64)

    def lists(self) -> Lists:
        """The distinct lists, by number."""
        return concatenated(self._met)


def concatenated(parts: Sequence[Lists]) -> Lists:
    """The lists of all `parts`, one after the other."""
    if not parts:
        return Lists(np.zeros(0, np.int64), np.zeros(1, np.int64))
    counts = np.concatenate([part.counts for part in parts])
    return Lists(np.concatenate([part.values for part in parts]), offsets_of(counts))
