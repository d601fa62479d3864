"""Arrays mapped into memory: changed without a system call, each integer by one store."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from wardgate.runtime.errors import TOO_MANY_FILES, UnsupportedError, WardgateError, describe_errno
from wardgate.runtime.info import MapInfo
from wardgate.runtime.layout.maps import MapFlag, MapType
from wardgate.runtime.syscall import Fd

_FORMATS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_PIECE: Final = 1024
"""Slots that are looked at at once."""


class MapView:
    """The values of an array in this process's memory, a context manager.

    A store of 8 aligned bytes or less is seen by programs as a whole, never half done. Slots count
    from 0; IndexError and ValueError keep accesses within the map.
    """

    def __init__(self, fd: Fd, info: MapInfo, name: str, writable: bool) -> None:
        if info.type != MapType.ARRAY or not info.flags & MapFlag.MMAPABLE:
            raise UnsupportedError("map into memory", repr(name), "it is no mmapable array")
        self.slots = info.max_entries
        self.value_size = info.value_size
        self.stride = -(-info.value_size // 8) * 8
        length = -(-self.stride * self.slots // mmap.PAGESIZE) * mmap.PAGESIZE
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        try:
            self._memory = mmap.mmap(fd.fileno(), length, mmap.MAP_SHARED, protection)
        except PermissionError:
            raise WardgateError(
                "map into memory", repr(name), "it is frozen", "open the view with writable=False"
            ) from None
        except OSError as error:
            remedy = TOO_MANY_FILES if error.errno == errno.EMFILE else ""
            cause = describe_errno(error.errno or 0)
            raise WardgateError("map into memory", repr(name), cause, remedy) from None
        self._bytes = memoryview(self._memory)
        values = self._bytes[: self.stride * self.slots]
        self._cells = {size: values.cast(code) for size, code in _FORMATS.items()}  # type: ignore[call-overload]

    def _place(self, slot: int, offset: int, size: int) -> int:
        if not 0 <= slot < self.slots:
            raise IndexError(f"slot {slot} of {self.slots}")
        if not 0 <= offset <= self.value_size - size:
            raise ValueError(f"{size} bytes at offset {offset} of a value of {self.value_size} bytes")
        return slot * self.stride + offset

    def _cell(self, slot: int, offset: int, size: int) -> int:
        """The integer's position among those of its size."""
        place = self._place(slot, offset, size)
        if size not in _FORMATS or place % size:
            raise ValueError(f"{size} bytes at offset {offset} are not an aligned integer")
        return place // size

    def read(self, slot: int) -> bytes:
        """The value in a slot. A value that a program changes meanwhile may be read half changed."""
        place = self._place(slot, 0, self.value_size)
        return bytes(self._bytes[place : place + self.value_size])

    def write(self, slot: int, value: bytes) -> None:
        """Copy a value into a slot, which programs may see half done."""
        place = self._place(slot, 0, len(value))
        self._bytes[place : place + len(value)] = value

    def load(self, slot: int, offset: int, size: int) -> int:
        """The aligned unsigned integer of 1, 2, 4 or 8 bytes at `offset` in a slot, in one load."""
        cell = self._cell(slot, offset, size)
        return int(self._cells[size][cell])

    def store(self, slot: int, offset: int, size: int, value: int) -> None:
        """Set the aligned unsigned integer of 1, 2, 4 or 8 bytes at `offset` in a slot, in one store."""
        cell = self._cell(slot, offset, size)
        self._cells[size][cell] = value

    def store_each(self, offset: int, size: int, values: Mapping[int, int]) -> None:
        """Set the integers at `offset` in many slots, slot to value, each in one store, in their order."""
        if not values:
            return
        step = self.stride // size
        self._cell(min(values), offset, size)
        first = self._cell(max(values), offset, size) - max(values) * step
        cells = self._cells[size]
        for slot, value in values.items():
            cells[first + slot * step] = value

    def column(self, offset: int, size: int) -> list[int]:
        """The aligned unsigned integer of 1, 2, 4 or 8 bytes at `offset` of every slot, in order."""
        first = self._cell(0, offset, size)
        cells: list[int] = self._cells[size].tolist()
        return cells[first :: self.stride // size]

    def first(self, offset: int, size: int, value: int, *, start: int = 0) -> int | None:
        """The first slot from `start` on whose aligned integer at `offset` is `value`; None: no one's is."""
        base, step = self._cell(0, offset, size), self.stride // size
        for slot in range(start, self.slots, _PIECE):
            end = min(slot + _PIECE, self.slots)
            piece = self._cells[size][base + slot * step : base + (end - 1) * step + 1 : step].tolist()
            if value in piece:
                return slot + int(piece.index(value))
        return None

    def find(self, offset: int, size: int, value: int) -> list[int]:
        """The slots in which the integer at `offset` is `value`."""
        self._cell(0, offset, size)
        mark, found = value.to_bytes(size, "little"), []
        # A copy, since bytes are searched several times as fast as mapped memory.
        data = bytes(self._bytes[: self.stride * self.slots])
        place = data.find(mark)
        while place >= 0:
            slot, rest = divmod(place, self.stride)
            if rest == offset:
                found.append(slot)
            place = data.find(mark, place + 1)
        return found

    def close(self) -> None:
        """Unmap."""
        for cells in self._cells.values():
            cells.release()
        self._bytes.release()
        self._memory.close()

    def __enter__(self) -> MapView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
