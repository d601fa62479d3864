"""Buckets: all rules of an effective policy with the same prefix, and the rows that say where they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.compiler.language.model import Prefix
from wardgate.compiler.lowering.classes import PolicyClasses
from wardgate.compiler.lowering.contributions import Contributions
from wardgate.compiler.lowering.destinations import Destinations
from wardgate.compiler.lowering.lines import LineCollector, Lines
from wardgate.compiler.lowering.ragged import Integers, Interned, Lists, grouped, offsets_of, ranges

_CELLS = 1 << 21
"""Cells of rows that are painted at once; their memory stays in a processor's cache."""

_MET = 1 << 22
"""Contributions to rows that are brought together at once."""


@dataclass(frozen=True, slots=True)
class BucketRules:
    """A bucket: its prefix, its direction, and the ids of its rules in the order of the source."""

    prefix: Prefix
    inbound: bool
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """The distinct buckets of all policy classes. Bucket `n` is entry `n - 1`: outbound ones before
    inbound ones, each in the order of their prefixes. `destination`: the classes of these."""

    space: Destinations
    destination: Integers
    inbound: npt.NDArray[np.bool_]
    rules: Lists

    def __len__(self) -> int:
        return len(self.destination)

    def __iter__(self) -> Iterator[BucketRules]:
        for destination, inbound, rules in self.parts():
            yield BucketRules(self.space.prefixes[destination - 1], inbound, rules)

    def parts(self) -> Iterator[tuple[int, bool, tuple[int, ...]]]:
        """Of each bucket its prefix's destination class, whether it is inbound, and its rules."""
        ids = self.rules.values.tolist()
        bounds = self.rules.offsets.tolist()
        ends = zip(self.destination.tolist(), self.inbound.tolist(), bounds, bounds[1:], strict=False)
        for destination, inbound, start, end in ends:
            yield destination, inbound, tuple(ids[start:end])


def find_buckets(
    classes: PolicyClasses, space: Destinations, given: Contributions, *, inbound: bool
) -> tuple[Buckets, Lines]:
    """The buckets, and the matrix of policy class and destination class to bucket.

    Its rows: class 0's, which is empty, and the policy classes'; with `inbound` as many again, for the
    rules of that direction. The bucket of a prefix holds for the destination classes inside its prefix,
    except where a longer prefix has a bucket too.
    """
    rows = [
        [given.sources[subject, way] for subject in subjects if (subject, way) in given.sources]
        for way in ((False, True) if inbound else (False,))
        for subjects in ((), *(found.subjects for found in classes.classes))
    ]
    painter = _Painter(space)
    shared = Interned()
    lines = LineCollector(space.count)
    for start, end, members, keys in _met(rows, space, given):
        # What is a single contribution goes by its position for now, the rest by numbers behind these.
        numbers = members.values[members.offsets[:-1]]
        several = np.flatnonzero(members.counts > 1)
        numbers[several] = len(given) + shared.numbers(members.take(several))
        height = max(1, _CELLS // space.count)
        for top in range(start, end, height):
            bottom = min(top + height, end)
            first, last = np.searchsorted(keys, (top * space.count, bottom * space.count))
            places = keys[first:last] - top * space.count
            lines.add(painter.paint(places, numbers[first:last] + 1, bottom - top))
    return _renumbered(space, given, shared.lists(), lines.lines())


def _met(
    rows: Sequence[Sequence[int]], space: Destinations, given: Contributions
) -> Iterator[tuple[int, int, Lists, Integers]]:
    """For rows `start` to `end`, exclusive: the contributions that meet, and where they do, in order: at
    row * classes + destination class."""
    sources = np.array([source for row in rows for source in row], np.int64)
    offsets = offsets_of(np.array([len(row) for row in rows], np.int64))
    sizes = np.diff(given.first)
    before = offsets_of(sizes[sources])[offsets]
    start = 0
    while start < len(rows):
        end = max(start + 1, int(np.searchsorted(before, before[start] + _MET, "right")) - 1)
        block = sources[offsets[start] : offsets[end]]
        row_of = np.repeat(np.arange(start, end), np.diff(offsets[start : end + 1]))
        met = ranges(given.first[block], sizes[block])
        keys = np.repeat(row_of, sizes[block]) * space.count + given.destination[met]
        places, members = grouped(keys, met)
        yield start, end, members, places
        start = end


class _Painter:
    """Spreads buckets to the destination classes inside their prefixes."""

    def __init__(self, space: Destinations) -> None:
        self._width = space.count
        parents = np.array([0, *space.parents], np.int64)
        self._levels: list[tuple[Integers, Integers]] = []
        level = np.flatnonzero(parents)
        inside = np.zeros(len(parents), bool)
        inside[level] = True
        while len(level):
            # Those whose parent is settled: outermost first.
            settled = level[~inside[parents[level]]]
            self._levels.append((settled, parents[settled]))
            inside[settled] = False
            level = level[inside[level]]

    def paint(self, places: Integers, numbers: Integers, rows: int) -> npt.NDArray[np.uint32]:
        """Rows of destination classes: `numbers` at `places` (row * width + class) and inside of them."""
        # A class in one piece of memory for all rows, so that a level is copied by whole lines.
        cells = np.zeros((self._width, rows), np.uint32)
        cells[places % self._width, places // self._width] = numbers
        for inner, outer in self._levels:
            own = cells[inner]
            cells[inner] = np.where(own, own, cells[outer])
        return cells.T


def _renumbered(
    space: Destinations, given: Contributions, shared: Lists, lines: Lines
) -> tuple[Buckets, Lines]:
    """The buckets that `lines` have, in their order, and the lines with their numbers."""
    alone = np.arange(len(given))
    members = Lists(
        np.concatenate([alone, shared.values]),
        np.concatenate([alone, shared.offsets + len(given)]),
    )
    used = np.zeros(len(members) + 1, bool)
    used[lines.runs.values] = True
    found = np.flatnonzero(used[1:])
    lead = members.values[members.offsets[found]]
    found = found[np.lexsort((given.destination[lead], lead >= given.inbound_from))]
    number = np.zeros(len(members) + 1, np.int64)
    number[found + 1] = np.arange(1, len(found) + 1)

    members = members.take(found)
    counts = given.rules.counts[members.values]
    rules = given.rules.values[ranges(given.rules.offsets[members.values], counts)]
    owner = np.repeat(members.owners, counts)
    size = int(rules.max(initial=0)) + 1
    ascending = np.sort(owner * size + rules) % size
    lead = members.values[members.offsets[:-1]]
    buckets = Buckets(
        space,
        given.destination[lead],
        lead >= given.inbound_from,
        Lists(ascending, offsets_of(np.bincount(owner, minlength=len(found)))),
    )
    return buckets, lines.renumbered(number)
