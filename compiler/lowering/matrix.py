"""A matrix stored as pages of 64 entries, where equal pages are stored once.

Rows come as runs, since they are piecewise constant: most pages then are constant, and those are found
by their value without being written out. Entry (row, column) is

    pages[directory[row * per_row + column // 64] * 64 + column % 64]
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wardgate.compiler.lowering.tables import TableData, narrowest, table

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
    pages: list[tuple[int, ...]] = [(0,) * PAGE]
    mixed: dict[tuple[int, ...], int] = {pages[0]: 0}
    constant: dict[int, int] = {0: 0}
    directory = array("I")

    def page_of(entries: tuple[int, ...]) -> int:
        number = mixed.get(entries)
        if number is None:
            number = mixed[entries] = len(pages)
            pages.append(entries)
        return number

    for runs in rows:
        position = 0
        for start in range(0, per_row * PAGE, PAGE):
            while position + 1 < len(runs) and runs[position + 1][0] <= start:
                position += 1
            end = start + PAGE
            if position + 1 == len(runs) or runs[position + 1][0] >= end:
                value = runs[position][1]
                number = constant.get(value)
                if number is None:
                    number = constant[value] = page_of((value,) * PAGE)
            else:
                entries: list[int] = []
                while position + 1 < len(runs) and runs[position + 1][0] < end:
                    following = runs[position + 1][0]
                    entries.extend([runs[position][1]] * (following - start - len(entries)))
                    position += 1
                entries.extend([runs[position][1]] * (PAGE - len(entries)))
                number = page_of(tuple(entries))
            directory.append(number)

    flat = array("I")
    for entries_of_page in pages:
        flat.extend(entries_of_page)
    page_element, directory_element = narrowest(largest), narrowest(len(pages))
    return PagedMatrix(
        table(f"{name}_directory", directory_element, _as(directory, directory_element), f"{doc}: page"),
        table(f"{name}_pages", page_element, _as(flat, page_element), doc),
        per_row,
    )


def _as(values: array[int], element: int) -> array[int]:
    return values if element == 4 else array("H", values)
