"""Rows of a matrix cut into lines of 64 columns, where equal lines are stored once.

Rows are piecewise constant, so a line is a few runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from wardgate.compiler.lowering.ragged import Integers, Lists, concatenated, distinct, offsets_of

PAGE_BITS = 6
PAGE = 1 << PAGE_BITS


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """A matrix of `width` columns. `directory[row * per_row + column // 64]` is the line of a column.

    `starts`: for each line, bit `i` is set where column `i` differs from the one before; bit 0 is not.
    `runs`: for each line, the values of its runs. Line 0 is all zero.
    """

    width: int
    directory: Integers
    starts: npt.NDArray[np.uint64]
    runs: Lists

    @property
    def per_row(self) -> int:
        """Lines of a row."""
        return -(-self.width // PAGE)

    def renumbered(self, numbers: Integers) -> Lines:
        """With `numbers[value]` for each value."""
        return replace(self, runs=Lists(numbers[self.runs.values], self.runs.offsets))

    def written_out(self) -> npt.NDArray[np.uint32]:
        """The 64 entries of each line."""
        begins = np.unpackbits(self.starts.view(np.uint8), bitorder="little").astype(bool)
        begins[::PAGE] = True
        places = np.flatnonzero(begins)
        lengths = np.diff(places, append=len(begins))
        return np.repeat(self.runs.values.astype(np.uint32), lengths).reshape(-1, PAGE)


class LineCollector:
    """Makes the lines of a matrix of `width` columns, some rows at a time."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lines: list[Lists] = []
        self.add(np.zeros((1, width), np.uint32))

    def add(self, rows: npt.NDArray[np.uint32]) -> None:
        """The next rows, `width` columns each."""
        padded = np.zeros((len(rows), -(-self._width // PAGE) * PAGE), np.uint32)
        padded[:, : self._width] = rows
        lines = padded.reshape(-1, PAGE)
        begins = np.ones(lines.shape, bool)
        np.not_equal(lines[:, 1:], lines[:, :-1], out=begins[:, 1:])
        counts = np.count_nonzero(begins, axis=1)
        starts = np.packbits(begins, axis=1, bitorder="little").view("<i8").reshape(-1)
        # Each line as its starts and then its values.
        offsets = offsets_of(counts + 1)
        both = np.empty(offsets[-1], np.int64)
        first = np.zeros(len(both), bool)
        first[offsets[:-1]] = True
        both[first] = starts
        both[~first] = lines[begins]
        self._lines.append(Lists(both, offsets))

    def lines(self) -> Lines:
        """The matrix of all rows that were added."""
        every = concatenated(self._lines)
        number, first = distinct(every)
        both = every.take(first)
        leads = np.zeros(len(both.values), bool)
        leads[both.offsets[:-1]] = True
        starts = both.values[leads].view(np.uint64) & ~np.uint64(1)
        runs = Lists(both.values[~leads], offsets_of(both.counts - 1))
        # The first row, of zeros, was ours.
        return Lines(self._width, number[-(-self._width // PAGE) :], starts, runs)
