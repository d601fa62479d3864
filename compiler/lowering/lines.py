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
        self._per_row = -(-width // PAGE)
        self._count = 0
        self._places = [np.zeros(0, np.int64)]
        # Line 0 has no starts, and one value, which is 0.
        self._lines = [Lists(np.zeros(2, np.int64), np.array([0, 2]))]

    def add(self, rows: npt.NDArray[np.uint32]) -> None:
        """The next rows, `width` columns each."""
        padded = np.zeros((len(rows), self._per_row * PAGE), np.uint32)
        padded[:, : self._width] = rows
        lines = padded.reshape(-1, PAGE)
        # Most rows are few prefixes among many: most lines may be nothing.
        present = np.flatnonzero(lines.any(axis=1))
        self._places.append(self._count + present)
        self._count += len(lines)
        if len(present) < len(lines):
            lines = lines[present]
        begins = np.ones(lines.shape, bool)
        np.not_equal(lines[:, 1:], lines[:, :-1], out=begins[:, 1:])
        counts = np.count_nonzero(begins, axis=1)
        starts = np.packbits(begins, axis=1, bitorder="little").view("<i8").reshape(-1)
        # Each line as its starts, but for bit 0, and then its values.
        offsets = offsets_of(counts + 1)
        both = np.empty(offsets[-1], np.int64)
        leads = _leads(offsets)
        both[leads] = starts & ~1
        both[~leads] = lines[begins]
        self._lines.append(Lists(both, offsets))

    def lines(self) -> Lines:
        """The matrix of all rows that were added."""
        every = concatenated(self._lines)
        number, first = distinct(every)
        directory = np.zeros(self._count, np.int64)
        directory[np.concatenate(self._places)] = number[1:]
        both = every.take(first)
        leads = _leads(both.offsets)
        starts = both.values[leads].view(np.uint64)
        return Lines(self._width, directory, starts, Lists(both.values[~leads], offsets_of(both.counts - 1)))


def _leads(offsets: Integers) -> npt.NDArray[np.bool_]:
    """Which values are the first of their list; no list is empty."""
    leads = np.zeros(offsets[-1], bool)
    leads[offsets[:-1]] = True
    return leads
