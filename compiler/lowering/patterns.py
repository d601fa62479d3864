"""What buckets decide of services: rows of verdicts, and of which of the bucket's rules gives them.

An entry is `local << VERDICT_BITS | verdict`, where `local` counts the bucket's rules from 0; 0: no rule
matches. So buckets with other rules of the same kinds have the same row, their *pattern*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.compiler.lowering.buckets import Buckets
from wardgate.compiler.lowering.kinds import Kinds
from wardgate.compiler.lowering.ragged import (
    Integers,
    Lists,
    begins,
    concatenated,
    distinct,
    offsets_of,
    ranges,
    ranked,
    sorted_order,
)

VERDICT_BITS = 2
_VERDICT = (1 << VERDICT_BITS) - 1
_STROKES = 1 << 20
"""Strokes that are painted at once."""
_COLUMN_BITS = 32
_ENTRY = (1 << 32) - 1
"""While rows are painted, above an entry stands how weak it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """Distinct rows of `width` columns: the service classes, and last that of fragments, whose entry is
    the strictest of the row, and of equally strict ones the least, if all services have the same verdict,
    else 0.

    `columns` and `values`: where each row's runs begin, from 0, and what their entries are. Row 0 is all
    zero. `of_bucket`: the row of each bucket, of bucket 0 first.
    """

    width: int
    columns: Lists
    values: Lists
    of_bucket: Integers

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def largest(self) -> int:
        """The largest entry."""
        return int(self.values.values.max())

    def written_out(self) -> npt.NDArray[np.uint32]:
        """The entries of all rows."""
        places = self.columns.owners * self.width + self.columns.values
        lengths = np.diff(places, append=len(self) * self.width)
        return np.repeat(self.values.values.astype(np.uint32), lengths)


def find_patterns(buckets: Buckets, kinds: Kinds, services: int) -> Patterns:
    """The patterns of `buckets`; `services` counts the service classes."""
    recipes, of_bucket = _recipes(buckets, kinds)
    nothing = Lists(np.zeros(1, np.int64), np.array([0, 1]))
    rows = concatenated([nothing, *_painted(recipes, kinds, services)])
    numbers, first = distinct(rows)
    runs = rows.take(first)
    return Patterns(
        services + 1,
        Lists(runs.values >> _COLUMN_BITS, runs.offsets),
        Lists(runs.values & (1 << _COLUMN_BITS) - 1, runs.offsets),
        numbers[np.append(0, of_bucket + 1)],
    )


def _recipes(buckets: Buckets, kinds: Kinds) -> tuple[Lists, Integers]:
    """What rows follow from, once each, and the number of each bucket's: `local * kinds + kind` of the
    bucket's rules. Of equal kinds the first rule is kept, which the others never come before."""
    rules, owner = buckets.rules.values, buckets.rules.owners
    six = buckets.destination >= buckets.space.of_version(6).start
    kind = np.where(six[owner], kinds.of_rule[6][rules], kinds.of_rule[4][rules])
    # Sorted by kind, a rule of each kind is the bucket's first one.
    order, keys = sorted_order(owner * len(kinds) + kind)
    first = begins(keys)
    chosen = order[first]
    local = chosen - buckets.rules.offsets[owner[chosen]]
    counts = np.bincount(owner[chosen], minlength=len(buckets))
    every = Lists(local * len(kinds) + kind[chosen], offsets_of(counts))
    of_bucket, first = distinct(every)
    return every.take(first), of_bucket


def _painted(recipes: Lists, kinds: Kinds, services: int) -> Iterator[Lists]:
    """The rows of recipes, block by block: lists of `column << _COLUMN_BITS | entry`, one a run."""
    strokes = kinds.first.counts[recipes.values % max(1, len(kinds))]
    done = np.append(0, np.cumsum(strokes))[recipes.offsets]
    start = 0
    while start < len(recipes):
        end = max(start + 1, int(np.searchsorted(done, done[start] + _STROKES, "right")) - 1)
        yield _block(recipes.take(np.arange(start, end)), kinds, services)
        start = end


def _block(recipes: Lists, kinds: Kinds, services: int) -> Lists:
    local, kind = np.divmod(recipes.values, len(kinds))
    # Painted from the weakest to the one that wins, and of equally strong ones from the latest to the first.
    most, strongest = int(local.max(initial=0)), int(kinds.strength.max(initial=0))
    order, _ = sorted_order(kinds.strength[kind] * (most + 1) + most - local)
    local, kind, row = local[order], kind[order], recipes.owners[order]
    counts = kinds.first.counts[kind]
    stroke = ranges(kinds.first.offsets[kind], counts)
    width = services + 1
    base = np.repeat(row * width, counts)
    edges = np.concatenate(
        [
            base + kinds.first.values[stroke],
            base + kinds.end.values[stroke],
            np.arange(len(recipes)) * width,
            np.arange(len(recipes)) * width + services,
        ]
    )
    cuts, places = ranked(edges)
    total = len(stroke)
    first, covered = places[:total], places[total : 2 * total] - places[:total]
    weakness = strongest - kinds.strength[kind] << 32
    entry = np.repeat(weakness | local << VERDICT_BITS | kinds.verdict[kind], counts)
    values = np.zeros(len(cuts), np.int64)
    for some in _pieces(covered):
        # Where a place is painted twice, the later stroke is what stays.
        values[ranges(first[some], covered[some])] = np.repeat(entry[some], covered[some])

    starts = places[2 * total : 2 * total + len(recipes)]
    fragments = places[2 * total + len(recipes) :]
    verdicts = values & _VERDICT
    # Of the services alone: the column of fragments is still 0, and must not count.
    verdicts[fragments] = verdicts[starts]
    values[fragments] = values[starts]
    same = np.minimum.reduceat(verdicts, starts) == np.maximum.reduceat(verdicts, starts)
    values[fragments] = np.where(same, np.minimum.reduceat(values, starts), 0)
    values &= _ENTRY

    kept = np.ones(len(cuts), bool)
    kept[1:] = values[1:] != values[:-1]
    kept[starts] = True
    row, column = np.divmod(cuts[kept], width)
    return Lists(column << _COLUMN_BITS | values[kept], offsets_of(np.bincount(row, minlength=len(recipes))))


def _pieces(counts: Integers) -> Iterator[slice]:
    """Slices of `counts`, in order, that each sum up to little more than `_STROKES`."""
    sums = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(sums[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(sums, before + _STROKES, "right")))
        yield slice(start, end)
        start = end
