"""Rows of the two matrices, in each form, as `bucket_of` and `judgement_of` of lookup.h find them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from wardgate.compiler.validation.encoded import Encoded, Numbers
from wardgate.compiler.validation.errors import OutOfBoundsError, ValidationError

_PAGE = 1 << 6


class Rows(Protocol):
    """The rows of a matrix, of which packets can reach certain columns."""

    element: int

    def row(self, number: int) -> bytes:
        """The entries of a row, of `element` bytes each, little-endian, from column 0 on up to the last that
        packets reach, or further. What is outside of a table and no packet reaches is zero.

        OutOfBoundsError where a packet reaches what is outside.
        """


def rows_of(encoded: Encoded, name: str, columns: Iterable[int]) -> Rows:
    """The rows of matrix `name`, of which packets can reach `columns`, in the form that it has.

    ValidationError where it has none, OutOfBoundsError where such a column is outside its row.
    """
    forms: Mapping[str, type[PlainRows] | type[PagedRows] | type[RankedRows]] = {
        name: PlainRows,
        f"{name}_pages": PagedRows,
        f"{name}_lines": RankedRows,
    }
    there = [form for table, form in forms.items() if table in encoded.tables]
    if len(there) != 1:
        raise ValidationError(f"the tables of {name}", f"{len(there)} forms of it", "needs one")
    return there[0](encoded, name, sorted(set(columns)))


class PlainRows:
    """Rows one after the other: `NAME[row * NAME_width + column]`."""

    def __init__(self, encoded: Encoded, name: str, columns: list[int]) -> None:
        self._table = encoded.table(name)
        self._width = encoded.parameter(f"{name}_width")
        self._last = columns[-1] if columns else -1
        self.element = self._table.element
        if self._last >= self._width:
            raise _outside_row(name, self._last, self._width, "entries")

    def row(self, number: int) -> bytes:
        """See Rows."""
        start = number * self._width
        self._table.check_has(start + self._last + 1, f"row {number}")
        return self._table.data[start * self.element : (start + self._width) * self.element]


class _Directory:
    """What two forms share: `NAME_directory[row * NAME_per_row + column // 64]` tells where a row's next 64
    columns are."""

    def __init__(self, encoded: Encoded, name: str, columns: list[int]) -> None:
        self.table = encoded.table(f"{name}_directory")
        self.per_row = encoded.parameter(f"{name}_per_row")
        # First, since a class may be any number.
        if columns and columns[-1] // _PAGE >= self.per_row:
            raise _outside_row(self.table.name, columns[-1], self.per_row, "pages")
        # Each page's first column that packets reach; those behind the last such page are not looked at.
        self.reached = [
            columns[at]
            if (at := bisect_left(columns, page * _PAGE)) < len(columns) and columns[at] // _PAGE == page
            else None
            for page in range(columns[-1] // _PAGE + 1 if columns else 0)
        ]

    def row(self, number: int) -> Numbers:
        """The entries of a row up to the last page that packets reach."""
        start = number * self.per_row
        self.table.check_has(start + len(self.reached), f"row {number}")
        return self.table.values[start : start + len(self.reached)]


class PagedRows:
    """`NAME_pages[directory entry * 64 + column % 64]`."""

    def __init__(self, encoded: Encoded, name: str, columns: list[int]) -> None:
        self._directory = _Directory(encoded, name, columns)
        self._pages = encoded.table(f"{name}_pages")
        self._columns = columns
        self.element = self._pages.element
        size = _PAGE * self.element
        data = self._pages.data
        whole = len(data) // size * size
        self._contents = [data[start : start + size] for start in range(0, whole, size)]
        # A page that is cut off may yet have all that packets reach.
        self._rest = data[whole:]

    def row(self, number: int) -> bytes:
        """See Rows."""
        numbers: list[int] = self._directory.row(number).tolist()
        try:
            return b"".join(map(self._contents.__getitem__, numbers))
        except IndexError:
            return b"".join([self._page(page, number, place) for place, page in enumerate(numbers)])

    def _page(self, page: int, row: int, place: int) -> bytes:
        if page < len(self._contents):
            return self._contents[page]
        content = self._rest if page == len(self._contents) else b""
        for column in self._columns[bisect_left(self._columns, place * _PAGE) :]:
            if column // _PAGE != place:
                break
            if (column % _PAGE + 1) * self.element > len(content):
                cause = f"row {row}, column {column},"
                raise OutOfBoundsError(
                    self._pages.name, page * _PAGE + column % _PAGE, len(self._pages), cause
                )
        return content.ljust(_PAGE * self.element, b"\0")


class RankedRows:
    """A directory entry is a line: `NAME_lines[2 * line]` has a bit for each column with another value than
    the one before, `NAME_lines[2 * line + 1]` is where the line's values begin in `NAME_values`. A column's
    value is so many behind that as there are bits up to its own."""

    def __init__(self, encoded: Encoded, name: str, columns: list[int]) -> None:
        self._directory = _Directory(encoded, name, columns)
        self._lines = encoded.table(f"{name}_lines")
        self._values = encoded.table(f"{name}_values")
        self.element = self._values.element
        self._reached = np.zeros((len(self._directory.reached), _PAGE), bool)
        self._reached.reshape(-1)[columns] = True
        self._pages_reached = np.flatnonzero(self._reached.any(axis=1))

    def row(self, number: int) -> bytes:
        """See Rows."""
        lines = self._directory.row(number).astype(np.int64)
        count = len(self._lines)
        for place in self._pages_reached[2 * lines[self._pages_reached] + 1 >= count]:
            cause = f"row {number}, column {self._directory.reached[place]},"
            raise OutOfBoundsError(self._lines.name, int(2 * lines[place] + 1), count, cause)
        # Lines that nobody reaches may be anything.
        lines[2 * lines + 1 >= count] = 0
        starts = self._lines.values[2 * lines]
        bits = np.unpackbits(starts.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
        ranks = bits.cumsum(axis=1, dtype=np.uint8)
        places = self._lines.values[2 * lines + 1][:, None] + ranks
        outside = places >= len(self._values)
        if outside.any():
            self._check_reached(number, places, outside & self._reached)
            places[outside] = 0
        found: Numbers = self._values.values[places]
        return found.tobytes()

    def _check_reached(self, row: int, places: Numbers, outside: npt.NDArray[np.bool_]) -> None:
        for line, column in np.argwhere(outside):
            cause = f"row {row}, column {line * _PAGE + column},"
            raise OutOfBoundsError(self._values.name, int(places[line, column]), len(self._values), cause)


def _outside_row(table: str, column: int, size: int, unit: str) -> OutOfBoundsError:
    index = column if unit == "entries" else column // _PAGE
    return OutOfBoundsError(table, index, size, f"class {column}, in a row of {size} {unit},")
