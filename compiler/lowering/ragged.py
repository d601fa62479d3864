"""Lists of numbers as two arrays: all their values, and where each list begins.

`offsets` has one entry more than there are lists: list `i` is `values[offsets[i] : offsets[i + 1]]`.
"""

from __future__ import annotations

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


def grouped(keys: Integers, values: Integers) -> tuple[Integers, Lists]:
    """The distinct `keys` in order, and for each the values that come with it, in the order given."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    return ordered[begins], Lists(values[order], np.append(begins, len(keys)))


class Interned:
    """Distinct lists, numbered from 0 as they are met."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self, lists: Lists) -> Integers:
        """The number of each of `lists`."""
        data = np.ascontiguousarray(lists.values, np.int64).tobytes()
        known = self._numbers
        bounds = (lists.offsets * 8).tolist()
        found = [known.setdefault(data[start:end], len(known)) for start, end in pairwise(bounds)]
        return np.array(found, np.int64)

    def lists(self) -> Lists:
        """The distinct lists, by number."""
        counts = np.fromiter((len(key) // 8 for key in self._numbers), np.int64, len(self._numbers))
        return Lists(np.frombuffer(b"".join(self._numbers), np.int64), offsets_of(counts))
