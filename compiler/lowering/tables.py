"""The tables that a policy becomes: arrays of small unsigned integers, alone in their sections."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from wardgate.runtime.layout.maps import TABLE_SECTION_PREFIX

_TYPECODES = {2: "H", 4: "I", 8: "Q"}


def narrowest(largest: int) -> int:
    """Bytes of the narrowest table element that holds `largest`: 2 or 4."""
    if largest < 1 << 16:
        return 2
    if largest < 1 << 32:
        return 4
    raise OverflowError(f"{largest} does not fit a table of 32-bit elements")


def power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count` (and at least 1)."""
    return 1 << max(count - 1, 0).bit_length()


@dataclass(frozen=True, slots=True)
class TableData:
    """`values` padded to a power of two, so that one AND bounds an index; `element` bytes each."""

    name: str
    element: int
    values: array[int]
    doc: str

    @property
    def section(self) -> str:
        """Name of the ELF section that holds the table alone."""
        return TABLE_SECTION_PREFIX + self.name

    @property
    def symbol(self) -> str:
        """Name of the table in C."""
        return f"t_{self.name}"

    def to_bytes(self) -> bytes:
        """Contents of the section, little-endian."""
        swapped = array(self.values.typecode, self.values)
        if swapped.itemsize > 1 and _BIG_ENDIAN:
            swapped.byteswap()
        return swapped.tobytes()


_BIG_ENDIAN = array("H", [1]).tobytes() == b"\x00\x01"


def from_bytes(data: bytes, element: int) -> array[int]:
    """Little-endian integers of `element` bytes."""
    values = array(_TYPECODES[element])
    values.frombytes(data)
    if _BIG_ENDIAN:
        values.byteswap()
    return values


def table(name: str, element: int, values: Iterable[int], doc: str, *, padding: int = 0) -> TableData:
    """A table of `values`, padded with `padding` to a power of two.

    OverflowError where a value needs more than `element` bytes.
    """
    typecode = _TYPECODES[element]
    data = values if isinstance(values, array) and values.typecode == typecode else array(typecode, values)
    if data.itemsize != element:
        raise RuntimeError(f"this platform has no {element}-byte array element of type {typecode}")
    missing = power_of_two(len(data)) - len(data)
    data.extend(array(typecode, [padding]) * missing)
    return TableData(name, element, data, doc)
