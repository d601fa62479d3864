"""Maps as programs and tests see them, on one CPU.

Values are regions of memory: a lookup gives the address of the value itself, so a program that writes
through it changes the map, and an access beyond the value faults even in an array, as the verifier
demands. Keys and values are the bytes of the records in runtime.layout.records.

Return codes are those of the kernel's map operations (kernel/bpf/hashtab.c, arraymap.c, ringbuf.c).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from wardgate.compiler.vm.errors import AccessError, ImageError
from wardgate.compiler.vm.memory import Memory
from wardgate.runtime.layout.maps import MapLayout, MapType

ANY, NOEXIST, EXIST = 0, 1, 2
"""Flags of an update."""

ENOENT, E2BIG, EAGAIN, EEXIST, EINVAL = -2, -7, -11, -17, -22

RINGBUF_HEADER: Final = 8
"""Bytes that a ring buffer keeps before each record."""


class ArrayTable:
    """An array, or the one CPU of a per-CPU array; entries exist from the start and are zero."""

    def __init__(self, layout: MapLayout, entries: int, memory: Memory) -> None:
        self.layout, self.entries, self._memory = layout, entries, memory
        self._values: dict[int, bytearray] = {}
        self._addresses: dict[int, int] = {}

    def address(self, key: bytes) -> int:
        """Address of the value at the index `key`; 0 beyond the end."""
        index = int.from_bytes(key, "little")
        known = self._addresses.get(index)
        if known is not None:
            return known
        if index >= self.entries:
            return 0
        value = self._values.setdefault(index, bytearray(self.layout.value_size))
        self._addresses[index] = address = self._memory.add(f"map {self.layout.name}", value)
        return address

    def update(self, key: bytes, value: bytes, flags: int = ANY) -> int:
        """Store in place, as the kernel does: pointers into the value see it."""
        _check(self.layout, key, value)
        index = int.from_bytes(key, "little")
        if flags > EXIST:
            return EINVAL
        if index >= self.entries:
            return E2BIG
        if flags == NOEXIST:
            return EEXIST
        self._values.setdefault(index, bytearray(self.layout.value_size))[:] = value
        return 0

    def delete(self, key: bytes) -> int:
        """Entries of an array cannot go."""
        _check(self.layout, key)
        return EINVAL

    def lookup(self, key: bytes) -> bytes | None:
        """A copy of the value at an index."""
        _check(self.layout, key)
        index = int.from_bytes(key, "little")
        if index >= self.entries:
            return None
        return bytes(self._values.get(index, bytes(self.layout.value_size)))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """The entries that something has written or looked up; all others are zero."""
        for index, value in sorted(self._values.items()):
            yield index.to_bytes(4, "little"), bytes(value)

    def clear(self) -> None:
        """Set every value to zero."""
        for value in self._values.values():
            value[:] = bytes(len(value))


class HashTable:
    """A hash table, or an LRU one, which makes room by removing the entry unused for longest."""

    def __init__(self, layout: MapLayout, entries: int, memory: Memory) -> None:
        self.layout, self.entries, self._memory = layout, entries, memory
        self._lru = layout.type is MapType.LRU_HASH
        self._values: dict[bytes, bytearray] = {}
        self._addresses: dict[bytes, int] = {}
        self._retired: list[int] = []

    def address(self, key: bytes) -> int:
        """Address of the value under `key`; 0 where there is none."""
        value = self._values.get(key)
        if value is None:
            return 0
        if self._lru:
            self._values[key] = self._values.pop(key)
        known = self._addresses.get(key)
        if known is None:
            self._addresses[key] = known = self._memory.add(f"map {self.layout.name}", value)
        return known

    def update(self, key: bytes, value: bytes, flags: int = ANY) -> int:
        """Replace the element, as the kernel does: pointers looked up before keep the old value."""
        _check(self.layout, key, value)
        present = key in self._values
        if flags > EXIST:
            return EINVAL
        if flags == NOEXIST and present:
            return EEXIST
        if flags == EXIST and not present:
            return ENOENT
        if not present and len(self._values) >= self.entries:
            if not self._lru:
                return E2BIG
            self._drop(next(iter(self._values)))
        if present:
            self._drop(key)
        self._values[key] = bytearray(value)
        return 0

    def delete(self, key: bytes) -> int:
        """Remove `key`; ENOENT where it is not there."""
        _check(self.layout, key)
        if key not in self._values:
            return ENOENT
        self._drop(key)
        return 0

    def lookup(self, key: bytes) -> bytes | None:
        """A copy of the value under `key`."""
        _check(self.layout, key)
        value = self._values.get(key)
        return None if value is None else bytes(value)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Copies of all entries."""
        for key, value in list(self._values.items()):
            yield key, bytes(value)

    def clear(self) -> None:
        """Remove every entry."""
        for key in list(self._values):
            self._drop(key)

    def end_run(self) -> None:
        """Take away the memory of removed elements, which a running program may still read (RCU)."""
        for address in self._retired:
            self._memory.remove(address)
        self._retired.clear()

    def _drop(self, key: bytes) -> None:
        del self._values[key]
        address = self._addresses.pop(key, None)
        if address is not None:
            self._retired.append(address)


class RingBuffer:
    """A ring buffer; `drain` is its reader."""

    def __init__(self, layout: MapLayout, entries: int, memory: Memory) -> None:
        self.layout, self.entries, self._memory = layout, entries, memory
        self._records: list[bytes] = []
        self._used = 0
        self._reserved: dict[int, bytearray] = {}

    def output(self, record: bytes) -> int:
        """Append a record; EAGAIN where the buffer is full."""
        if not self._take(len(record)):
            return EAGAIN
        self._records.append(record)
        return 0

    def reserve(self, size: int) -> int:
        """Address of a new record of `size` bytes, to be submitted or discarded; 0 where it is full."""
        if not self._take(size):
            return 0
        record = bytearray(size)
        address = self._memory.add(f"record of {self.layout.name}", record)
        self._reserved[address] = record
        return address

    def holds(self, address: int) -> bool:
        """Whether the record at `address` is reserved and not finished."""
        return address in self._reserved

    def finish(self, address: int, *, submit: bool) -> None:
        """Submit or discard the record reserved at `address`."""
        record = self._reserved.pop(address)
        self._memory.remove(address)
        if submit:
            self._records.append(bytes(record))

    def drain(self) -> list[bytes]:
        """The records submitted since the last call, oldest first."""
        records, self._records, self._used = self._records, [], 0
        return records

    def end_run(self) -> None:
        """AccessError where a program ends with a record reserved, which the verifier refuses."""
        if self._reserved:
            for address in self._reserved:
                self._memory.remove(address)
            self._reserved.clear()
            raise AccessError(f"ends with a record of {self.layout.name} reserved")

    def _take(self, size: int) -> bool:
        whole = RINGBUF_HEADER + (size + 7) // 8 * 8
        if self._used + whole > self.entries:
            return False
        self._used += whole
        return True


AnyMap = ArrayTable | HashTable | RingBuffer

_KINDS: Final[Mapping[MapType, type[AnyMap]]] = {
    MapType.ARRAY: ArrayTable,
    MapType.PERCPU_ARRAY: ArrayTable,
    MapType.HASH: HashTable,
    MapType.LRU_HASH: HashTable,
    MapType.RINGBUF: RingBuffer,
}


def create(name: str, layouts: Mapping[str, MapLayout], sizes: Mapping[str, int], memory: Memory) -> AnyMap:
    """The map that `layouts` describes under `name`, with the entries of `sizes` or of its layout."""
    layout = layouts.get(name)
    if layout is None:
        raise ImageError(f"map {name} is none that this release knows; compile the policy again")
    return _KINDS[layout.type](layout, sizes.get(name, layout.entries), memory)


def _check(layout: MapLayout, key: bytes, value: bytes | None = None) -> None:
    if len(key) != layout.key_size or (value is not None and len(value) != layout.value_size):
        given = f"{len(key)}" if value is None else f"{len(key)} and {len(value)}"
        raise ValueError(
            f"map {layout.name} has keys of {layout.key_size} and values of {layout.value_size} bytes, "
            f"not {given}"
        )
