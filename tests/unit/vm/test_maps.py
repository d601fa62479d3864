"""Emulated maps keep the kernel's rules: sizes, flags, return codes, lifetimes of pointers."""

from __future__ import annotations

import pytest
from wardgate.compiler.vm import maps
from wardgate.compiler.vm.errors import AccessError, ImageError
from wardgate.compiler.vm.memory import Memory
from wardgate.runtime.layout.maps import MapLayout, MapType, Scope
from wardgate.runtime.layout.records import Field, Record

KEY = Record("key", "", (Field("bytes", "u8", "", 8),))


def layout(kind: MapType, key: Record | None = None) -> MapLayout:
    return MapLayout("m", kind, Scope.GATE, 3, key, None, 0, False, "")


def make(kind: MapType, memory: Memory | None = None, entries: int = 3) -> maps.AnyMap:
    described = layout(kind, None if "ARRAY" in kind.name else KEY)
    return maps.create("m", {"m": described}, {"m": entries}, memory or Memory())


def key(number: int) -> bytes:
    return number.to_bytes(8, "little")


ONE, TWO = (1).to_bytes(4, "little"), (2).to_bytes(4, "little")


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.LRU_HASH])
def test_hash_flags_and_codes(kind: MapType) -> None:
    table = make(kind)
    assert table.address(key(1)) == 0
    assert table.lookup(key(1)) is None
    assert table.update(key(1), ONE, maps.EXIST) == maps.ENOENT
    assert table.update(key(1), ONE, maps.NOEXIST) == 0
    assert table.update(key(1), TWO, maps.NOEXIST) == maps.EEXIST
    assert table.update(key(1), TWO) == 0
    assert table.update(key(1), TWO, 8) == maps.EINVAL
    assert table.lookup(key(1)) == TWO
    assert list(table.items()) == [(key(1), TWO)]
    assert table.delete(key(1)) == 0
    assert table.delete(key(1)) == maps.ENOENT


def test_full_hash_refuses_and_full_lru_forgets() -> None:
    plain, lru = make(MapType.HASH), make(MapType.LRU_HASH)
    for number in range(3):
        assert plain.update(key(number), ONE) == lru.update(key(number), ONE) == 0
    assert plain.update(key(9), ONE) == maps.E2BIG
    assert lru.address(key(0))
    assert lru.update(key(9), ONE) == 0
    assert [entry for entry, _ in lru.items()] == [key(2), key(0), key(9)]


def test_array_codes() -> None:
    table = make(MapType.ARRAY)
    index = (2).to_bytes(4, "little")
    assert table.lookup(index) == bytes(4)
    assert table.address((3).to_bytes(4, "little")) == 0
    assert table.update((3).to_bytes(4, "little"), ONE) == maps.E2BIG
    assert table.update(index, ONE, maps.NOEXIST) == maps.EEXIST
    assert table.delete(index) == maps.EINVAL
    assert table.update(index, ONE) == 0
    assert list(table.items()) == [(index, ONE)]
    table.clear()
    assert table.lookup(index) == bytes(4)


def test_writes_through_a_pointer_are_in_the_map() -> None:
    memory = Memory()
    array, table = make(MapType.PERCPU_ARRAY, memory), make(MapType.HASH, memory)
    index = bytes(4)
    memory.write(array.address(index), TWO)
    assert array.lookup(index) == TWO
    table.update(key(1), ONE)
    address = table.address(key(1))
    memory.write(address, TWO)
    assert table.lookup(key(1)) == TWO
    with pytest.raises(AccessError, match="4 bytes"):
        memory.read(address, 5)


def test_replaced_and_removed_elements_stay_readable_until_the_run_ends() -> None:
    memory = Memory()
    table = make(MapType.HASH, memory)
    table.update(key(1), ONE)
    address = table.address(key(1))
    table.update(key(1), TWO)
    assert memory.read(address, 4) == ONE
    assert memory.read(table.address(key(1)), 4) == TWO
    table.end_run()
    with pytest.raises(AccessError, match="no region"):
        memory.read(address, 4)


def test_ring_buffer() -> None:
    memory = Memory()
    ring = make(MapType.RINGBUF, memory, 64)
    assert ring.output(b"12345678") == 0
    kept, dropped = ring.reserve(8), ring.reserve(8)
    memory.write(kept, b"abcdefgh")
    assert ring.holds(kept)
    ring.finish(dropped, submit=False)
    with pytest.raises(AccessError, match="reserved"):
        ring.end_run()
    second = ring.reserve(8)
    memory.write(second, b"ABCDEFGH")
    ring.finish(second, submit=True)
    assert not ring.holds(second)
    assert ring.output(b"") == maps.EAGAIN
    assert ring.reserve(1) == 0
    assert ring.drain() == [b"12345678", b"ABCDEFGH"]
    assert ring.output(bytes(56)) == 0


def test_unknown_map_and_wrong_sizes() -> None:
    with pytest.raises(ImageError, match="none that this release knows"):
        maps.create("other", {}, {}, Memory())
    with pytest.raises(ValueError, match="keys of 8"):
        make(MapType.HASH).update(b"1", ONE)
    with pytest.raises(ValueError, match="values of 4"):
        make(MapType.ARRAY).update(bytes(4), b"1")
