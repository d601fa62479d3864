"""Tables of `reach`: policy class (and direction) and destination class to bucket.

- plain: `reach[row * width + destination]`
- paged: `reach_directory[row * per_row + destination // 64]` is a page,
  `reach_pages[page * 64 + destination % 64]`
- ranked: `reach_directory[...]` as before is a line, and `reach_lines[2 * line]`, of 64 bits, has bit
  `i` set where column `i` has another bucket than the one before (bit 0 is not). With `base`, which is
  `reach_lines[2 * line + 1]`, the bucket is `reach_values[base + n]`, where `n` counts the bits up to the
  destination's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from wardgate.compiler.lowering.lines import Lines
from wardgate.compiler.lowering.plan import Plan
from wardgate.compiler.lowering.ragged import Integers, distinct
from wardgate.compiler.lowering.survey import Candidate
from wardgate.compiler.lowering.tables import Numbers, TableData, narrowest, table

_DOC = "policy class and destination class to bucket"


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The matrix, and where each line's buckets are among the ranked values."""

    lines: Lines
    base: Integers
    values: Integers

    @property
    def element(self) -> int:
        """Bytes of a bucket's number."""
        return narrowest(int(self.values.max()))

    def candidates(self) -> list[Candidate]:
        """The forms that this can take."""
        lines, element = self.lines, self.element
        rows, count = len(lines.directory) // lines.per_row, len(lines.starts)
        directory = len(lines.directory) * narrowest(count - 1)
        sizes = {
            "plain": (1, rows * lines.width * element),
            "paged": (2, directory + 64 * count * element),
            "ranked": (3, directory + 16 * count + len(self.values) * element),
        }
        return [Candidate("reach", name, 0, loads, 0, size, size) for name, (loads, size) in sizes.items()]

    def encode(self, plan: Plan) -> tuple[list[TableData], dict[str, int], set[str]]:
        """Tables, parameters, and the templates' features."""
        lines, element = self.lines, self.element
        if plan.reach == "plain":
            rows = self._written_out()[lines.directory].reshape(-1, 64 * lines.per_row)
            cells = table("reach", element, rows[:, : lines.width], _DOC)
            return [cells], {"reach_width": lines.width}, {"REACH_PLAIN"}
        size = narrowest(len(lines.starts) - 1)
        parameters = {"reach_per_row": lines.per_row}
        if plan.reach == "paged":
            directory = table("reach_directory", size, lines.directory, f"{_DOC}: page")
            pages = table("reach_pages", element, self._written_out(), _DOC)
            return [directory, pages], parameters, {"REACH_PAGED"}
        both = np.stack([lines.starts, self.base.astype(np.uint64)], axis=1)
        return (
            [
                table("reach_directory", size, lines.directory, f"{_DOC}: line"),
                table("reach_lines", 8, both, "line to where buckets begin in it, and to its values"),
                table("reach_values", element, self.values, "the buckets of lines"),
            ],
            parameters,
            {"REACH_RANKED"},
        )

    def _written_out(self) -> Numbers:
        # Narrow before lines are repeated.
        return self.lines.written_out().astype(f"<u{self.element}")


def reach_of(lines: Lines) -> Reach:
    """The matrix of `lines`; equal lists of values are stored once."""
    number, first = distinct(lines.runs)
    stored = lines.runs.take(first)
    return Reach(lines, stored.offsets[number], stored.values)
