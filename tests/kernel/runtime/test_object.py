"""Objects in the kernel: loaded whole or not at all, and what their programs do."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bpf_objects import REJECTED, artefact_image, bpf_fds, compile_c, manifest, room_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wardgate.runtime import program
from wardgate.runtime.elf import read_artefact, read_object
from wardgate.runtime.errors import (
    BpfError,
    LayoutError,
    MapMismatchError,
    VerifierError,
    WardgateError,
)
from wardgate.runtime.info import ProgramInfo, btf_info, obj_info
from wardgate.runtime.layout.maps import MapFlag, MapType
from wardgate.runtime.layout.records import CONFIG
from wardgate.runtime.maps import Map, possible_cpus
from wardgate.runtime.object import check_compatible, layout_map, load_object
from wardgate.runtime.program import Program, load_program
from wardgate.runtime.relocate import LinkedProgram
from wardgate.runtime.ringbuf import RingBuffer
from wardgate.runtime.spec import ObjectSpec, ProgramKind
from wardgate.runtime.syscall import Cmd, fd_by_id, next_id
from wardgate.runtime.testrun import test_run as run

pytestmark = pytest.mark.root
PACKET = bytes(64)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def generic(generic_object: bytes) -> ObjectSpec:
    return read_object(generic_object)


@pytest.fixture(scope="module")
def artefact(compiled_artefact: bytes) -> ObjectSpec:
    return read_artefact(artefact_image(compiled_artefact).build())


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> ObjectSpec:
    return read_object(compile_c(REJECTED, tmp_path_factory.mktemp("rejected")))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    before = bpf_fds()
    yield
    assert bpf_fds() == before


@pytest.mark.usefixtures("nothing_left")
def test_programs_compute_what_their_source_says(generic: ObjectSpec) -> None:
    with load_object(generic) as loaded:
        assert run(loaded.programs["direct"], PACKET).retval == 20
        assert run(loaded.programs["calls"], PACKET).retval == 14 + 15 + 10
        results = [run(loaded.programs["statics"], PACKET).retval for _ in range(2)]
        assert results == [4 + 100 + 1000 + 30000, 4 + 100 + 2000 + 30000]
        assert loaded.typed("hits").total(2) == 5
        assert sum(loaded.typed("hits")[2]) == 5
        assert len(loaded.typed("hits")[2]) == possible_cpus()


@pytest.mark.usefixtures("nothing_left")
def test_programs_see_typed_maps(generic: ObjectSpec) -> None:
    with load_object(generic) as loaded:
        devices = loaded.typed("devices")
        devices[1] = {"number": 41, "part": {"low": 3}, "words": (1, 2, 3)}
        assert run(loaded.programs["emits"], PACKET).retval == 41
        assert devices[1].part.low == 3
        with loaded.maps["devices"].view() as view:
            view.store(1, 0, 4, 42)
        assert run(loaded.programs["emits"], PACKET).retval == 42
        for name in ("untyped", "events"):
            with pytest.raises(LayoutError, match="no types"):
                loaded.typed(name)


@pytest.mark.usefixtures("nothing_left")
def test_the_kernel_has_types_and_lines(generic: ObjectSpec) -> None:
    with load_object(generic) as loaded:
        for name, program in loaded.programs.items():
            info = program.info
            assert info.name == name
            assert info.btf_id
            assert isinstance(obj_info(program.fd), ProgramInfo)
        with fd_by_id(Cmd.BTF_GET_FD_BY_ID, info.btf_id) as types:
            assert not btf_info(types).kernel
        assert loaded.maps["devices"].info.btf_value_type_id
        assert loaded.maps["hits"].info.btf_key_type_id
        assert loaded.tables[".rodata.t_port"].info.btf_value_type_id
        used = set(loaded.programs["calls"].info.map_ids)
        assert used == {loaded.maps["hits"].info.id, loaded.tables[".rodata.t_port"].info.id}
        ids, number = [], 0
        while (following := next_id(Cmd.PROG_GET_NEXT_ID, number)) is not None:
            ids.append(following)
            number = following
        assert info.id in ids


@pytest.mark.usefixtures("nothing_left")
def test_read_only_tables_are_frozen_and_others_are_not(generic: ObjectSpec) -> None:
    with load_object(generic) as loaded:
        table = loaded.tables[".rodata.t_port"]
        assert table.info.flags == MapFlag.RDONLY_PROG | MapFlag.MMAPABLE
        with pytest.raises(BpfError, match="frozen"):
            table.update(bytes(4), bytes(512))
        data = loaded.tables[".data"]
        data.update(bytes(4), data.lookup(bytes(4)) or b"")


@pytest.mark.usefixtures("nothing_left")
def test_config_is_patched_before_it_is_frozen(artefact: ObjectSpec) -> None:
    with load_object(artefact, config={"link_header": 14, "generation": 9}) as loaded:
        stored = loaded.tables[".rodata.config"].lookup(bytes(4))
        assert CONFIG.unpack(stored or b"") == {"link_header": 14, "trace": 0, "generation": 9, "reserved": 0}
        assert run(loaded.programs["gate_xdp"], PACKET).retval == 16
        assert run(loaded.programs["gate_egress"], PACKET).retval == 9
    with pytest.raises(KeyError, match="no field tracing"):
        load_object(artefact, config={"tracing": 1})


@pytest.mark.usefixtures("nothing_left")
def test_an_object_without_config_cannot_be_configured(generic: ObjectSpec) -> None:
    with pytest.raises(LayoutError, match="nothing to configure"):
        load_object(generic, config={"trace": 1})


@pytest.mark.usefixtures("nothing_left")
def test_shared_maps_are_used_by_the_next_generation(artefact: ObjectSpec) -> None:
    with load_object(artefact) as first:
        first.typed("devices")[7] = {"subject": 3}
        with load_object(artefact, shared_maps={"devices": first.maps["devices"]}) as second:
            assert second.typed("devices")[7].subject == 3
            assert second.maps["limits"].info.id != first.maps["limits"].info.id
            second.typed("devices")[7] = {"subject": 4}
        assert layout_map(first.maps["devices"], "devices")[7].subject == 4
        with pytest.raises(LayoutError):
            layout_map(first.maps["events"], "events")


@pytest.mark.usefixtures("nothing_left")
def test_maps_are_made_of_another_size(artefact: ObjectSpec) -> None:
    with load_object(artefact, resize={"devices": 100_000, "unused": 5}) as loaded:
        assert loaded.maps["devices"].info.max_entries == 100_000
        with load_object(artefact, shared_maps=loaded.maps) as second:
            assert second.maps["devices"].info.max_entries == 100_000
    with pytest.raises(LayoutError, match="another size"):
        load_object(artefact, resize={"processors": 64})


MISMATCHES = [
    ({"map_type": MapType.HASH, "flags": 0}, "type 1"),
    ({"value_size": 48}, "value size 48"),
    ({"flags": 0}, "flags 0"),
]


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("changes", "expected"), MISMATCHES, ids=[text for _, text in MISMATCHES])
def test_another_map_is_refused(artefact: ObjectSpec, changes: dict[str, int], expected: str) -> None:
    spec = artefact.maps["devices"]
    arguments = {
        "map_type": spec.type, "key_size": 4, "value_size": spec.value_size, "max_entries": 10,
        "flags": spec.flags,
    }  # fmt: skip
    with Map.create("devices", **(arguments | changes)) as other:
        with pytest.raises(MapMismatchError, match=expected) as caught:
            load_object(artefact, shared_maps={"devices": other})
        assert "detach" in caught.value.remedy


@pytest.mark.usefixtures("nothing_left")
def test_a_map_of_fixed_size_must_have_that_size(artefact: ObjectSpec) -> None:
    spec = artefact.maps["processors"]
    other = Map.create("processors", spec.type, 4, spec.value_size, 8)
    with other, pytest.raises(MapMismatchError, match="number of entries 8"):
        check_compatible(other, spec)


@pytest.mark.usefixtures("nothing_left")
def test_the_verifiers_no_names_the_line(rejected: ObjectSpec) -> None:
    with pytest.raises(VerifierError) as caught:
        load_object(rejected)
    error = caught.value
    lines = str(error).splitlines()
    assert len(lines) <= 3
    assert "'rejected'" in lines[0]
    assert "invalid mem access" in error.cause
    assert error.location is not None
    assert error.location.endswith("office.yaml:7")
    assert "processed" in error.log


@pytest.mark.usefixtures("nothing_left")
def test_a_log_grows_as_needed() -> None:
    """Each instruction is a line of the log, and the one after them all is what is rejected."""
    moves = b"".join(struct.pack("<BBhi", 0xB7, 3, 0, number) for number in range(30_000))
    uninitialised = struct.pack("<BBhi", 0xBF, 5 << 4, 0, 0)
    code = moves + uninitialised + struct.pack("<BBhi", 0x95, 0, 0, 0)
    with pytest.raises(VerifierError) as caught:
        load_program(LinkedProgram("long", ProgramKind.TC, code, b"", b"", ()), "GPL")
    assert caught.value.cause == "R5 !read_ok"
    assert len(caught.value.log) > 1 << 20


@pytest.mark.usefixtures("nothing_left")
def test_failure_anywhere_leaves_nothing(artefact: ObjectSpec) -> None:
    ingress = artefact.programs["gate_ingress"]
    bad_code = replace(ingress, instructions=ingress.instructions[:-8] + bytes(8))
    bad_map = replace(artefact.maps["rule_hits"], max_entries=0)
    for spec in (
        replace(artefact, programs={**artefact.programs, "gate_ingress": bad_code}),
        replace(artefact, maps={**artefact.maps, "rule_hits": bad_map}),
        replace(artefact, licence="Proprietary", maps={**artefact.maps, "rule_hits": bad_map}),
    ):
        with pytest.raises(WardgateError):
            load_object(spec)


@pytest.mark.usefixtures("nothing_left")
def test_too_few_files_are_no_rejection(artefact: ObjectSpec) -> None:
    """The verifier had nothing against the program: what it walked is not told as a complaint."""
    assert artefact.btf is not None
    needed = 1 + len(artefact.maps) + len(artefact.data) + len(artefact.programs)
    for room in (0, 1, needed // 2, needed - 2, needed - 1):
        with room_for(room), pytest.raises(BpfError) as caught:
            load_object(artefact)
        assert caught.value.errno == errno.EMFILE
        assert "open files" in caught.value.remedy
    with room_for(needed):
        load_object(artefact).close()


@pytest.mark.usefixtures("nothing_left")
def test_signals_without_end_are_no_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel gives up the verification for each, with a log of how far it was."""
    calls = []

    def interrupted(_cmd: Cmd, attr: Any) -> int:
        calls.append(attr.log_size)
        if attr.log_size:
            ctypes.memmove(attr.log, b"0: R1=ctx() R10=fp0\n0: (b7) r0 = 0\n", 37)
        return -errno.EAGAIN

    monkeypatch.setattr(program, "raw_bpf", interrupted)
    with pytest.raises(BpfError, match="try again") as caught:
        load_program(LinkedProgram("none", ProgramKind.TC, bytes(8), b"", b"", ()), "GPL")
    assert caught.value.errno == errno.EAGAIN
    assert len(calls) > 2


@pytest.mark.usefixtures("nothing_left")
def test_views_and_rings_without_room_for_files(artefact: ObjectSpec) -> None:
    with load_object(artefact) as loaded:
        ring = loaded.maps["events"]
        for room, use in (
            (0, loaded.maps["devices"].view),
            (0, loaded.maps["devices"].dup),
            *((room, lambda: RingBuffer(ring.fd, ring.info.max_entries)) for room in range(4)),
        ):
            with room_for(room), pytest.raises(WardgateError, match="open files"):
                use().close()
        with room_for(4):
            RingBuffer(ring.fd, ring.info.max_entries).close()


@pytest.mark.usefixtures("nothing_left")
def test_types_that_the_kernel_refuses(generic: ObjectSpec) -> None:
    assert generic.btf is not None
    raw = bytearray(generic.btf.raw)
    struct.pack_into("<I", raw, generic.btf.offsets[0] + 4, 31 << 24)
    with pytest.raises(VerifierError) as caught:
        load_object(replace(generic, btf=replace(generic.btf, raw=bytes(raw))))
    assert caught.value.target == "BTF"
    assert caught.value.log


@pytest.mark.usefixtures("nothing_left")
def test_an_object_without_types_loads(generic: ObjectSpec) -> None:
    with load_object(replace(generic, btf=None)) as loaded:
        assert run(loaded.programs["direct"], PACKET).retval == 20
        assert loaded.programs["direct"].info.btf_id == 0


@pytest.mark.usefixtures("nothing_left")
def test_a_pinned_program_is_opened_with_its_kind(generic: ObjectSpec) -> None:
    pin = Path(f"/sys/fs/bpf/wardgate-test-program-{os.getpid()}-{next(_numbers)}")
    with load_object(generic) as loaded:
        loaded.programs["direct"].pin(pin)
        try:
            with Program.open_pin(pin) as program:
                assert (program.name, program.kind) == ("direct", ProgramKind.XDP)
        finally:
            pin.unlink()


@pytest.mark.usefixtures("nothing_left")
def test_test_runs(generic: ObjectSpec) -> None:
    with load_object(generic) as loaded:
        once = run(loaded.programs["direct"], PACKET)
        assert once.data_out == PACKET
        assert once.ctx_out is None
        many = run(loaded.programs["direct"], PACKET, repeat=100, want_data=False)
        assert many.data_out is None
        context = struct.pack("<II", 0, len(PACKET)) + bytes(16)
        assert run(loaded.programs["direct"], PACKET, ctx_in=context).ctx_out is not None
        with pytest.raises(BpfError, match="14 bytes") as caught:
            run(loaded.programs["direct"], b"short")
        assert caught.value.operation == "test-run program"


@pytest.mark.tool("bpftool")
@pytest.mark.usefixtures("nothing_left")
def test_libbpf_loads_the_same_bytes(compiled_artefact: bytes, tmp_path: Path) -> None:
    artefact = tmp_path / "artefact.o"
    artefact.write_bytes(artefact_image(compiled_artefact).build())
    pins = Path(f"/sys/fs/bpf/wardgate-test-all-{os.getpid()}-{next(_numbers)}")
    try:
        subprocess.run(
            ["/usr/bin/env", "bpftool", "prog", "loadall", str(artefact), str(pins)],
            check=True,
            capture_output=True,
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        )
        assert {path.name for path in pins.iterdir()} == {use.name for use in manifest().programs}
        for path in pins.iterdir():
            with Program.open_pin(path) as program:
                assert program.name == path.name
    finally:
        if pins.exists():
            for path in pins.iterdir():
                path.unlink()
            pins.rmdir()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_damage_that_reads_well_is_still_contained(compiled_artefact: bytes, data: st.DataObject) -> None:
    image = artefact_image(compiled_artefact)
    target = image.section(data.draw(st.sampled_from(["tc", ".text", "xdp", ".BTF", ".BTF.ext"]))).data
    for _ in range(data.draw(st.integers(1, 3))):
        target[data.draw(st.integers(0, len(target) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    before = bpf_fds()
    with contextlib.suppress(WardgateError):
        load_object(read_artefact(image.build())).close()
    assert bpf_fds() == before
