"""A compiled program with maps, calls, loops and global data: interpreter and kernel agree on all of it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wardgate.compiler.explain import packets
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.compiler.vm.maps import ArrayTable, HashTable, RingBuffer
from wardgate.runtime import ringbuf
from wardgate.runtime.elf import read_object
from wardgate.runtime.layout.maps import MapLayout, MapType, Scope
from wardgate.runtime.layout.records import Field, Record
from wardgate.runtime.object import LoadedObject, load_object
from wardgate.runtime.testrun import test_run

pytestmark = pytest.mark.root

PROCESSORS = ["v3", "v4"]


def record(size: int) -> Record | None:
    return None if size in (0, 4) else Record("bytes", "", (Field("bytes", "u8", "", size),))


def layouts(data: bytes) -> dict[str, MapLayout]:
    """What the kernel's maps are declared as, for the interpreter."""
    return {
        spec.name: MapLayout(
            spec.name,
            MapType(spec.type),
            Scope.GATE,
            spec.max_entries,
            record(spec.key_size),
            record(spec.value_size),
            spec.flags,
            False,
            "",
        )
        for spec in read_object(data).maps.values()
    }


@pytest.fixture(params=PROCESSORS, scope="module")
def artefact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("fixture") / "fixture.o"
    source = Path(__file__).with_name("fixture.c")
    command = [sys.executable, "-m", "ziglang", "clang", "--target=bpf", f"-mcpu={request.param}"]
    # Few kernels know jump tables yet, which v4 would otherwise turn the switch into.
    command += ["-fno-jump-tables", "-O2", "-g", "-nostdinc", "-c", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    return target.read_bytes()


@pytest.fixture
def loaded(artefact: bytes) -> Iterator[LoadedObject]:
    with load_object(read_object(artefact)) as kernel:
        yield kernel


@pytest.fixture
def machine(artefact: bytes) -> Machine:
    return Machine(Image.from_elf(artefact), layouts=layouts(artefact))


def frames(count: int) -> list[bytes]:
    # Few distinct bytes, so that map keys repeat.
    chance = random.Random(5)
    bodies = (bytes(chance.choice((0, 1, 2, 3, 17, 200)) for _ in range(40)) for _ in range(count))
    return [packets.ethernet(packets.ipv4("10.0.0.1", "10.0.0.2", 17, body))[:14] + body for body in bodies]


def test_results_packets_and_maps_agree(machine: Machine, loaded: LoadedObject) -> None:
    ring = loaded.maps["ring"]
    emulated_ring = machine.maps["ring"]
    assert isinstance(emulated_ring, RingBuffer)
    with ringbuf.RingBuffer(ring.fd, ring.info.max_entries) as reader:
        for frame in frames(300):
            kernel = test_run(loaded.programs["exercise"], frame)
            protocol = int.from_bytes(frame[12:14], "little")
            emulated = machine.run("exercise", frame, {"protocol": protocol})
            assert emulated.return_value == kernel.retval
            assert emulated.packet == kernel.data_out
            assert emulated_ring.drain() == list(reader.read())
    for name in ("hash", "array"):
        table = machine.maps[name]
        assert isinstance(table, HashTable | ArrayTable)
        kernel_items = {key: value for key, value in loaded.maps[name].items() if any(value)}
        assert {key: value for key, value in table.items() if any(value)} == kernel_items
    counters = machine.maps["counters"]
    assert isinstance(counters, ArrayTable)
    for key, value in counters.items():
        per_cpu = loaded.maps["counters"].lookup_percpu(key)
        counts = [int.from_bytes(one[:8], "little") for one in per_cpu]
        assert int.from_bytes(value[:8], "little") == sum(counts) > 0


def test_global_data_agrees(machine: Machine, loaded: LoadedObject) -> None:
    for frame in frames(5):
        test_run(loaded.programs["exercise"], frame)
        machine.run("exercise", frame, {"protocol": int.from_bytes(frame[12:14], "little")})
    regions = {name: machine.memory.regions[region] for region, name in machine.memory.names.items()}
    assert loaded.tables[".data"].lookup(bytes(4)) == regions[".data"]
    assert loaded.tables[".bss"].lookup(bytes(4)) == regions[".bss"]


def test_the_pull_path_gives_the_same(machine: Machine, artefact: bytes) -> None:
    other = Machine(Image.from_elf(artefact), layouts=layouts(artefact))
    for frame in frames(5):
        whole = machine.run("exercise", frame, {"mark": 3})
        pulled = other.run("exercise", frame, {"mark": 3}, linear=20)
        assert (whole.return_value, whole.packet) == (pulled.return_value, pulled.packet)
        assert pulled.instructions > whole.instructions
    assert machine.run("exercise", bytes(31)).return_value == -7


def test_statistics_name_what_was_loaded(artefact: bytes) -> None:
    machine = Machine(Image.from_elf(artefact), layouts=layouts(artefact), observe=True)
    result = machine.run("exercise", frames(1)[0])
    assert machine.statistics.instructions == result.instructions == len(machine.trace)
    assert machine.statistics.table_loads == {"weights": 32}
    assert machine.statistics.loads[".rodata.t_weights"] == 32
    assert machine.statistics.calls["map_lookup_elem hash"] == 8
    assert machine.statistics.map_lookups == {"hash": 8, "array": 8, "counters": 8}
    assert machine.statistics.loads["packet"] >= 32
    assert "map hash" in machine.statistics.loads or "map array" in machine.statistics.loads
