"""The tables that a policy becomes: arrays of unsigned integers, alone in their sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.runtime.layout.maps import TABLE_SECTION_PREFIX

Numbers = npt.NDArray[np.integer]
"""Integers of any width."""


def narrowest(largest: int) -> int:
    """Bytes of the narrowest table element that holds `largest`: 1, 2 or 4."""
    for element in (1, 2, 4):
        if largest < 1 << 8 * element:
            return element
    raise OverflowError(f"{largest} does not fit a table of 32-bit elements")


@dataclass(frozen=True, slots=True, eq=False)
class TableData:
    """`values` has at least one entry, unsigned, little-endian and of `element` bytes."""

    name: str
    element: int
    values: Numbers
    doc: str

    @property
    def section(self) -> str:
        """Name of the ELF section that holds the table alone."""
        return TABLE_SECTION_PREFIX + self.name

    @property
    def symbol(self) -> str:
        """Name of the table in C."""
        return f"t_{self.name}"

    @property
    def size(self) -> int:
        """Size of its contents."""
        return self.values.nbytes

    def to_bytes(self) -> bytes:
        """Contents of the section, little-endian."""
        return self.values.tobytes()


def table(name: str, element: int, values: Numbers | Sequence[int], doc: str) -> TableData:
    """A table of `values`, none of them negative; a single 0 where there are none.

    OverflowError where a value needs more than `element` bytes.
    """
    given = np.asarray(values, None if len(values) else np.uint64).reshape(-1)
    if not len(given):
        given = np.zeros(1, np.uint64)
    if element < given.itemsize and int(given.max()) >= 1 << 8 * element:
        raise OverflowError(f"{name}: {int(given.max())} does not fit {element} bytes")
    return TableData(name, element, np.ascontiguousarray(given, f"<u{element}"), doc)
