"""Tables of `route6`: IPv6 address to destination class.

`route6_high` and `route6_low` are the two parts of the addresses from which on another class holds, and
`route6_class` has that. The bits that all of them share are compared once with constants; the next few
index the position where the search begins; see `search`. Where bits are shared, the low part is the last 63
bits and the high part the 64 before: so programs can compare by the sign of a difference. Else they are
halves. Where no boundary is inside of a /64, there is no `route6_low`. As straight-line code, boundaries are
constants of the program, which counts those that an address has reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.compiler.lowering.destinations import Boundary
from wardgate.compiler.lowering.plan import Plan
from wardgate.compiler.lowering.ragged import Integers
from wardgate.compiler.lowering.search import Cells, bytes_touched
from wardgate.compiler.lowering.survey import Candidate
from wardgate.compiler.lowering.tables import TableData, narrowest, table

MOST_INDEX_BITS = 20
MOST_COMPARISONS = 16
"""Of straight-line code; with more, tables are sooner read."""
_HALF = 64
_MOST_SHARED, _LEAST_SHARED = 48, 2
"""Of the first 64 bits, so that some are left for the index; with one alone, high parts would not begin with
the same bit."""
_LOW_BITS = 63
_LOWEST_SHARED = 2 * _HALF - _MOST_SHARED
_LAST = (1 << _HALF) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Route6:
    """Sorted addresses, the first of which is 0, and the class from each on.

    The first `shared_bits` bits of all but the first address are `shared`.
    """

    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    classes: Integers
    shared_bits: int
    shared: int

    def candidates(self) -> list[Candidate]:
        """The forms that this can take."""
        found = []
        for bits in range(min(MOST_INDEX_BITS, _HALF - self.shared_bits) + 1):
            cells = self._cells(bits)
            key = 8 * (1 + self._wide) * bool(cells.steps) + self._class_element
            size = (cells.index_element << bits) * bool(bits) + cells.padded * key
            touched = min(size, cells.padded * key + self._touched(cells))
            loads = bool(bits) + cells.steps + 1
            found.append(Candidate("route6", "search", bits, loads, cells.steps, size, touched, self._wide))
        compared = len(self.classes) - 1
        if compared <= MOST_COMPARISONS:
            size = len(self.classes) * self._class_element
            found.append(Candidate("route6", "code", 0, 1, compared, size, size, self._wide))
        return found

    @property
    def _wide(self) -> bool:
        return bool(self.low.any())

    @property
    def _class_element(self) -> int:
        return narrowest(int(self.classes.max()))

    def _touched(self, cells: Cells) -> int:
        """Bytes touched of the index: the cells of classes, up to the one that the next class begins in."""
        inside = (self.classes > 0) & (cells.cell >= 0)
        ends = np.append(cells.cell[1:], (1 << cells.bits) - 1)[inside]
        return bytes_touched(cells.cell[inside] * cells.index_element, (ends + 1) * cells.index_element)

    def _cells(self, bits: int) -> Cells:
        """Cells by the `bits` bits behind the shared ones."""
        if not bits:
            # Without an index the search begins at the first key, whatever keys the shared bits leave out.
            place = np.arange(len(self.classes))
            return Cells(0, place & 0, place == 0)
        varying = self.high << np.uint64(self.shared_bits)
        cell = (varying >> np.uint64(_HALF - bits)).astype(np.int64)
        rest = varying << np.uint64(bits) if bits < _HALF else varying & np.uint64(0)
        if self.shared_bits:
            cell[self.high >> np.uint64(_HALF - self.shared_bits) != self.shared] = -1
        return Cells(bits, cell, (rest == 0) & (self.low == 0))

    def encode(self, plan: Plan) -> tuple[list[TableData], dict[str, int], set[str]]:
        """Tables, parameters, and the templates' features."""
        if plan.route6 == "code":
            return self._encode_code()
        bits = plan.route6_index_bits
        cells = self._cells(bits)
        missing = cells.padded - len(self.classes)
        # Padded within the shared bits, as all boundaries are.
        last = (self.shared + 1 << (_HALF - self.shared_bits)) - 1
        high = np.pad(self.high, (0, missing), constant_values=last)
        low = np.pad(self.low, (0, missing), constant_values=_LAST if self._wide else 0)
        if self.shared_bits:
            high = high << np.uint64(_HALF - _LOW_BITS) | low >> np.uint64(_LOW_BITS)
            low &= np.uint64((1 << _LOW_BITS) - 1)
        classes = np.pad(self.classes, (0, missing), mode="edge")
        tables = [table("route6_class", self._class_element, classes, "position to destination class")]
        if bits:
            index = table(
                "route6_index", cells.index_element, cells.index(), "first varying bits to position"
            )
            tables.append(index)
        if cells.steps:
            tables.append(table("route6_high", 8, high, "first address of a class, the high part"))
            if self._wide:
                tables.append(table("route6_low", 8, low, "first address of a class, the low part"))
        parameters = {**self._shared_parameters, "route6_index_bits": bits, "route6_steps": cells.steps}
        features = self._shared_features
        if bits:
            features.add("V6_INDEXED")
        if cells.steps:
            features.add("V6_SEARCH")
        return tables, parameters, features

    def _encode_code(self) -> tuple[list[TableData], dict[str, int], set[str]]:
        tables = [table("route6_class", self._class_element, self.classes, "boundaries reached to class")]
        parameters = {**self._shared_parameters, "route6_boundaries": len(self.classes) - 1}
        halves = zip(self.high[1:].tolist(), self.low[1:].tolist(), strict=True)
        for number, (high, low) in enumerate(halves, 1):
            parameters[f"route6_boundary_{number}_high"] = high
            parameters[f"route6_boundary_{number}_low"] = low
        return tables, parameters, self._shared_features | {"V6_CODE"}

    @property
    def _shared_parameters(self) -> dict[str, int]:
        return {
            "route6_shared_bits": self.shared_bits,
            "route6_shared": self.shared,
            "route6_below": int(self.classes[0]),
            "route6_above": int(self.classes[-1]),
        }

    @property
    def _shared_features(self) -> set[str]:
        features = {"V6_SHARED": self.shared_bits > 0, "V6_LOW": self._wide}
        return {name for name, needed in features.items() if needed}


def route6_of(boundaries: Sequence[Boundary]) -> Route6:
    """The route over all IPv6 addresses."""
    keys = [key for key, _ in boundaries]
    shared_bits = _MOST_SHARED - ((keys[1] ^ keys[-1]) >> _LOWEST_SHARED).bit_length() if keys[1:] else 0
    if shared_bits < _LEAST_SHARED:
        shared_bits = 0
    return Route6(
        np.array([key >> _HALF for key in keys], np.uint64),
        np.array([key & _LAST for key in keys], np.uint64),
        np.array([number for _, number in boundaries], np.int64),
        shared_bits,
        keys[-1] >> (2 * _HALF - shared_bits) if shared_bits else 0,
    )
