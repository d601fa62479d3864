"""A search among sorted keys that begins where an index says, for routes of both IP versions.

The first bits of an address name a cell of the index. It holds the position of the last key that is not
behind the cell's first address; `steps` halving steps from there find the last key that is not behind the
address itself:

    for step in 1 << (steps - 1), ..., 2, 1: if address >= keys[position + step]: position += step

The number of steps is what the fullest cell needs. Keys are padded so that all positions that are
looked at are in the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.compiler.lowering.ragged import Integers
from wardgate.compiler.lowering.tables import narrowest

_LINE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """`cell`: of each key, ascending, -1 for keys before the first cell. `exact`: whether a key is the
    first address of its cell. There are `1 << bits` cells."""

    bits: int
    cell: Integers
    exact: npt.NDArray[np.bool_]

    @property
    def steps(self) -> int:
        """Halving steps that find the key in any cell."""
        behind = self.cell[~self.exact & (self.cell >= 0)]
        return int(np.unique(behind, return_counts=True)[1].max(initial=0)).bit_length()

    @property
    def last_position(self) -> int:
        """The largest entry of the index."""
        last = (1 << self.bits) - 1
        return len(self.cell) - 1 - int(np.count_nonzero((self.cell == last) & ~self.exact))

    @property
    def padded(self) -> int:
        """Length of the tables of keys."""
        return max(len(self.cell), self.last_position + (1 << self.steps))

    @property
    def index_element(self) -> int:
        """Bytes of an entry of the index."""
        return narrowest(self.last_position)

    def index(self) -> Integers:
        """The position of each cell."""
        before = np.searchsorted(self.cell, np.arange(1 << self.bits), "left")
        position = before - 1
        position[self.cell[self.exact & (self.cell >= 0)]] += 1
        return position


def bytes_touched(first: Integers, end: Integers) -> int:
    """Bytes of the cache lines that hold the ranges of bytes `first` to `end`, exclusive, in order."""
    low, high = first // _LINE, (end - 1) // _LINE
    low[1:] = np.maximum(low[1:], np.maximum.accumulate(high)[:-1] + 1)
    return _LINE * int(np.maximum(high - low + 1, 0).sum())
