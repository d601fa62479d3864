"""Maps in the kernel: raw, typed, in memory."""

from __future__ import annotations

import errno
import itertools
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from bpf_objects import bpf_fds
from wardgate.runtime import maps as maps_module
from wardgate.runtime.batch import BatchUnsupportedError
from wardgate.runtime.codec import U32, IntCodec, record_codec
from wardgate.runtime.errors import BpfError, UnsupportedError, WardgateError
from wardgate.runtime.info import MapInfo, obj_info
from wardgate.runtime.layout.maps import MapFlag, MapType
from wardgate.runtime.layout.records import ADDRESS, DEVICE, HITS, Field, Record
from wardgate.runtime.maps import EXIST, NO_EXIST, Map, TypedMap, possible_cpus

pytestmark = pytest.mark.root
_numbers = itertools.count()


@pytest.fixture
def pin() -> Iterator[Path]:
    """A place for a pin, removed afterwards."""
    path = Path(f"/sys/fs/bpf/wardgate-test-{os.getpid()}-{next(_numbers)}")
    yield path
    path.unlink(missing_ok=True)


def key(number: int) -> bytes:
    return struct.pack("<I", number)


def test_elements_of_a_hash() -> None:
    with Map.create("some", MapType.HASH, 4, 8, 3) as some:
        assert some.lookup(key(1)) is None
        some.update(key(1), b"12345678")
        some.update(key(1), b"87654321", EXIST)
        assert some.lookup(key(1)) == b"87654321"
        with pytest.raises(BpfError) as caught:
            some.update(key(1), b"12345678", NO_EXIST)
        assert caught.value.errno == errno.EEXIST
        assert some.delete(key(1))
        assert not some.delete(key(1))
        for number in range(3):
            some.update(key(number), bytes(8))
        with pytest.raises(BpfError, match="full with 3 entries"):
            some.update(key(9), bytes(8))
        assert sorted(some.keys()) == [key(0), key(1), key(2)]


def test_sizes_are_checked_before_the_kernel_reads_memory() -> None:
    with Map.create("some", MapType.HASH, 4, 8, 3) as some:
        with pytest.raises(ValueError, match="keys of 4 bytes"):
            some.lookup(b"12")
        with pytest.raises(ValueError, match="values of 8 bytes"):
            some.update(key(0), b"12")


@pytest.mark.parametrize("map_type", [MapType.HASH, MapType.LRU_HASH, MapType.ARRAY, MapType.PERCPU_ARRAY])
def test_all_elements_with_and_without_batches(map_type: MapType, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 3000
    with Map.create("many", map_type, 4, 8, 4096 if map_type != MapType.LRU_HASH else 1 << 16) as many:
        entries = {
            key(n): struct.pack("<Q", n * 7) * (possible_cpus() if many.percpu else 1) for n in range(count)
        }
        for name, value in entries.items():
            many.update(name, value)
        batched = {name: value for name, value in many.items() if name in entries}

        def none(*_: object) -> Iterator[tuple[bytes, bytes]]:
            raise BatchUnsupportedError

        monkeypatch.setattr(maps_module, "read_batches", none)
        single = {name: value for name, value in many.items() if name in entries}
    assert batched == single == entries


def test_an_empty_map_has_no_elements() -> None:
    with Map.create("empty", MapType.HASH, 4, 8, 16) as empty:
        assert list(empty.items()) == []
        assert list(empty.keys()) == []


def test_values_for_each_cpu() -> None:
    with Map.create("percpu", MapType.PERCPU_ARRAY, 4, 12, 2) as counts:
        values = [bytes([cpu] * 12) for cpu in range(possible_cpus())]
        counts.update(key(1), b"".join(value.ljust(16, b"\0") for value in values))
        assert counts.lookup_percpu(key(1)) == values
        assert counts.lookup_percpu(key(2)) is None


def test_typed_devices() -> None:
    with Map.create("devices", MapType.ARRAY, 4, DEVICE.size, 8, MapFlag.MMAPABLE) as raw:
        devices = TypedMap(raw, U32, record_codec(DEVICE))
        devices[3] = {"subject": 5, "deadline": 1 << 40}
        assert devices[3] == {
            "subject": 5,
            "flags": 0,
            "deadline": 1 << 40,
            "idle_limit": 0,
            "last_active": 0,
            "login": 0,
        }
        devices[3] = devices[3].replace(flags=1)
        assert devices[3].flags == 1
        assert 7 in devices
        assert 8 not in devices
        assert devices.get(8) is None
        with pytest.raises(KeyError):
            devices[8]
        assert dict(devices.items())[3].subject == 5
        assert list(devices) == list(range(8))


def test_typed_hash_with_record_keys() -> None:
    with Map.create("addresses", MapType.HASH, 16, 4, 8, MapFlag.NO_PREALLOC) as raw:
        addresses = TypedMap(raw, record_codec(ADDRESS), U32)
        addresses[bytes(range(16))] = 4
        assert addresses[{"address": bytes(range(16))}] == 4
        assert {name.address: slot for name, slot in addresses.items()} == {bytes(range(16)): 4}
        del addresses[bytes(range(16))]
        assert not addresses.discard(bytes(range(16)))
        with pytest.raises(KeyError):
            del addresses[bytes(16)]


def test_typed_counters_are_summed() -> None:
    counter = Record("counter", "", (Field("packets", "u64", ""), Field("bytes", "u64", "")))
    with Map.create("hits", MapType.PERCPU_ARRAY, 4, counter.size, 4) as raw:
        hits = TypedMap(raw, U32, record_codec(counter))
        hits[2] = {"packets": 3, "bytes": 100}
        assert hits[2] == [{"packets": 3, "bytes": 100}] * possible_cpus()
        assert hits.total(2) == {"packets": 3 * possible_cpus(), "bytes": 100 * possible_cpus()}
        assert dict(hits.totals())[1] == {"packets": 0, "bytes": 0}
    with Map.create("hits", MapType.PERCPU_ARRAY, 4, HITS.size, 2) as raw:
        blocks = TypedMap(raw, U32, record_codec(HITS))
        rules = tuple(range(HITS.size // 8))
        blocks[1] = {"rules": rules}
        assert blocks.total(1).rules == tuple(number * possible_cpus() for number in rules)
    with Map.create("numbers", MapType.PERCPU_ARRAY, 4, 8, 1) as raw:
        numbers = TypedMap(raw, U32, IntCodec(8))
        numbers[0] = 5
        assert numbers.total(0) == 5 * possible_cpus()


def test_codecs_of_another_size_are_refused() -> None:
    with Map.create("some", MapType.HASH, 4, 8, 3) as some, pytest.raises(ValueError, match="values of 8"):
        TypedMap(some, U32, record_codec(DEVICE))


def test_an_array_in_memory() -> None:
    with Map.create("devices", MapType.ARRAY, 4, DEVICE.size, 300, MapFlag.MMAPABLE) as raw:
        devices = TypedMap(raw, U32, record_codec(DEVICE))
        deadline = DEVICE.offsets["deadline"]
        with raw.view() as view:
            view.store(299, deadline, 8, (1 << 63) + 5)
            assert devices[299].deadline == (1 << 63) + 5
            devices[298] = {"subject": 77}
            assert view.load(298, 0, 4) == 77
            assert view.read(298) == DEVICE.pack({"subject": 77})
            view.write(0, DEVICE.pack({"flags": 1}))
            assert devices[0].flags == 1
            for slot, offset, size, error in [
                (300, 0, 4, IndexError), (-1, 0, 4, IndexError), (0, 30, 4, ValueError),
                (0, 2, 4, ValueError), (0, 0, 3, ValueError), (0, -8, 8, ValueError),
            ]:  # fmt: skip
                with pytest.raises(error):
                    view.load(slot, offset, size)
            with pytest.raises(ValueError, match="bytes"):
                view.write(299, bytes(DEVICE.size + 8))


def test_many_integers_in_memory() -> None:
    deadline = DEVICE.offsets["deadline"]
    with (
        Map.create("devices", MapType.ARRAY, 4, DEVICE.size, 300, MapFlag.MMAPABLE) as raw,
        raw.view() as view,
    ):
        view.store_each(deadline, 8, {299: 5, 0: 1 << 40, 7: 5})
        view.store_each(0, 4, {})
        assert {slot: n for slot, n in enumerate(view.column(deadline, 8)) if n} == {0: 1 << 40, 7: 5, 299: 5}
        assert view.find(deadline, 8, 5) == [7, 299]
        assert view.find(0, 8, 5) == []
        # Not where it lies across two fields.
        view.store(3, 0, 4, 0x05000000)
        view.store(3, 4, 4, 0)
        assert 3 not in view.find(4, 4, 5)
        for values in ({300: 1}, {-1: 1}, {5: 1, 301: 1}):
            with pytest.raises(IndexError):
                view.store_each(deadline, 8, values)
        assert view.load(5, deadline, 8) == 0
        with pytest.raises(ValueError, match="aligned"):
            view.store_each(2, 4, {1: 1})


def test_values_keep_their_distance_in_memory() -> None:
    with Map.create("odd", MapType.ARRAY, 4, 5, 4, MapFlag.MMAPABLE) as odd, odd.view() as view:
        odd.update(key(2), b"abcde")
        assert view.read(2) == b"abcde"
        assert view.stride == 8


def test_what_cannot_be_in_memory() -> None:
    with (
        Map.create("some", MapType.ARRAY, 4, 8, 3) as some,
        pytest.raises(UnsupportedError, match="mmapable"),
    ):
        some.view()


def test_a_frozen_map() -> None:
    with Map.create("table", MapType.ARRAY, 4, 8, 1, MapFlag.MMAPABLE | MapFlag.RDONLY_PROG) as table:
        table.update(key(0), b"12345678")
        table.freeze()
        with pytest.raises(BpfError, match="frozen") as caught:
            table.update(key(0), bytes(8))
        assert caught.value.errno == errno.EPERM
        with pytest.raises(WardgateError, match="writable=False"):
            table.view()
        with table.view(writable=False) as view:
            assert view.read(0) == b"12345678"


def test_a_pinned_map_is_the_same(pin: Path) -> None:
    with Map.create("shared", MapType.HASH, 4, 8, 3) as first:
        first.update(key(1), b"12345678")
        first.pin(pin)
        with pytest.raises(BpfError) as caught:
            first.pin(pin)
        assert caught.value.errno == errno.EEXIST
        number = first.info.id
    with Map.open_pin(pin) as second, second.dup() as third:
        assert second.info.id == third.info.id == number
        assert third.lookup(key(1)) == b"12345678"
        assert isinstance(obj_info(third.fd), MapInfo)


def test_pins_that_cannot_be(tmp_path: Path, pin: Path) -> None:
    with pytest.raises(BpfError, match="check that it exists") as caught:
        Map.open_pin(pin)
    assert caught.value.errno == errno.ENOENT
    with Map.create("some", MapType.HASH, 4, 8, 3) as some:
        with pytest.raises(BpfError, match="mount -t bpf"):
            some.pin(tmp_path / "pin")
        with pytest.raises(BpfError, match="no directory"):
            some.pin(pin / "below")


def test_a_refused_map_names_itself_and_leaves_nothing() -> None:
    before = bpf_fds()
    with pytest.raises(BpfError, match="'devices' of 0 entries") as caught:
        Map.create("devices", MapType.HASH, 4, 8, 0)
    assert caught.value.operation == "create map"
    assert bpf_fds() == before
