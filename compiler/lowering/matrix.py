"""A matrix stored as pages of 64 entries, where equal pages are stored once.

Rows come as runs, since they are piecewise constant: most pages then are constant, and those are found
by their value without being written out. Entry (row, column) is

    pages[directory[row * per_row + column // 64] * 64 + column % 64]
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

from wardgate.compiler.lowering.tables import TableData, from_bytes, narrowest, table

PAGE_BITS = 6
PAGE = 1 << PAGE_BITS

Run = tuple[int, int]
"""(first column, value), up to the next run's first column."""


@dataclass(frozen=True, slots=True)
class PagedMatrix:
    """`per_row`: directory entries a row; page 0 holds zeros only."""

    directory: TableData
    pages: TableData
    per_row: int


def paged_matrix(name: str, rows: Iterable[Sequence[Run]], width: int, largest: int, doc: str) -> PagedMatrix:
    """Store `rows`, each a list of runs that starts at column 0, of `width` columns.

    Tables are `NAME_directory` and `NAME_pages`; `largest` bounds the values.
    """
    per_row = -(-width // PAGE)
    columns = per_row * PAGE
    element = narrowest(largest)
    size = PAGE * element
    numbers: dict[bytes, int] = {bytes(size): 0}
    directory = array("I")

    def page(content: bytes) -> int:
        return numbers.setdefault(content, len(numbers))

    for runs in rows:
        ends = [start for start, _ in runs[1:]]
        ends.append(columns)
        begun = b""
        for (start, value), end in zip(runs, ends, strict=True):
            cell, left = value.to_bytes(element, "little"), end - start
            if begun:
                taken = min(left, PAGE - len(begun) // element)
                begun += cell * taken
                left -= taken
                if len(begun) < size:
                    continue
                directory.append(page(begun))
            whole, rest = divmod(left, PAGE)
            if whole:
                directory.extend(repeat(page(cell * PAGE), whole))
            begun = cell * rest
    pages = from_bytes(b"".join(numbers), element)
    return PagedMatrix(
        table(f"{name}_directory", narrowest(len(numbers)), directory, f"{doc}: page"),
        table(f"{name}_pages", element, pages, doc),
        per_row,
    )
