"""Rows of the two matrices of pages, as `bucket_of` and `decision_of` of lookup.h find them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from wardgate.compiler.validation.encoded import Encoded
from wardgate.compiler.validation.errors import OutOfBoundsError

_PAGE = 1 << 6


class PagedRows:
    """The rows of matrix `name`, of which packets can reach `columns`.

    OutOfBoundsError where such a column is outside the row, or a row outside the directory.
    """

    def __init__(self, encoded: Encoded, name: str, columns: Iterable[int]) -> None:
        self._directory = encoded.table(f"{name}_directory")
        self._pages = encoded.table(f"{name}_pages")
        self._per_row = encoded.parameter(f"{name}_per_row")
        self._columns = sorted(set(columns))
        self.element = self._pages.element
        if self._columns and self._columns[-1] >= self._per_row * _PAGE:
            raise OutOfBoundsError(
                self._directory.name,
                self._columns[-1] // _PAGE,
                self._per_row,
                f"class {self._columns[-1]}, in a row of {self._per_row} pages,",
            )
        size = _PAGE * self.element
        data = self._pages.data
        self._contents = [data[start : start + size] for start in range(0, len(data) // size * size, size)]

    def row(self, number: int) -> bytes:
        """All entries of a row, of `element` bytes each, little-endian. Those outside the table that no
        packet reaches are zero."""
        start, end = number * self._per_row, (number + 1) * self._per_row
        if end > len(self._directory):
            raise OutOfBoundsError(self._directory.name, end - 1, len(self._directory), f"row {number}")
        numbers = self._directory.values[start:end]
        try:
            return b"".join([self._contents[page] for page in numbers])
        except IndexError:
            return b"".join([self._page(page, number, place) for place, page in enumerate(numbers)])

    def _page(self, page: int, row: int, place: int) -> bytes:
        if page < len(self._contents):
            return self._contents[page]
        first = bisect_left(self._columns, place * _PAGE)
        if first < len(self._columns) and self._columns[first] < (place + 1) * _PAGE:
            index = page * _PAGE + self._columns[first] % _PAGE
            cause = f"row {row}, column {self._columns[first]},"
            raise OutOfBoundsError(self._pages.name, index, len(self._pages), cause)
        return bytes(_PAGE * self.element)
