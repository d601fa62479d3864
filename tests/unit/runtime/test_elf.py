"""What an object says, read from its bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from bpf_objects import artefact_image, compile_c, manifest
from elf_image import Image
from wardgate.runtime.btf import Datasec, Func
from wardgate.runtime.elf import read_artefact, read_object
from wardgate.runtime.errors import ArtefactError
from wardgate.runtime.layout.maps import SIGNATURE_SECTION, MapFlag, MapType
from wardgate.runtime.spec import MapSpec, ProgramKind, Target


def test_programs_are_split_by_their_symbols(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    kinds = {name: (program.section, program.kind) for name, program in spec.programs.items()}
    assert kinds == {
        "statics": ("tc", ProgramKind.TC),
        "calls": ("tc", ProgramKind.TC),
        "emits": ("tc", ProgramKind.TC),
        "direct": ("xdp", ProgramKind.XDP),
    }
    assert set(spec.functions) == {"port_of", "twice"}
    assert all(function.section == ".text" for function in spec.functions.values())
    assert spec.licence == "Dual MIT/GPL"
    assert spec.manifest is None
    assert spec.signature == b""


def test_instructions_are_those_of_the_sections(generic_object: bytes) -> None:
    spec, image = read_object(generic_object), Image.parse(generic_object)
    together = b"".join(p.instructions for p in spec.programs.values() if p.section == "tc")
    assert together == bytes(image.section("tc").data)


def test_maps_have_sizes_from_their_types(generic_object: bytes) -> None:
    maps = read_object(generic_object).maps
    assert {name: (m.type, m.key_size, m.value_size, m.max_entries, m.flags) for name, m in maps.items()} == {
        "devices": (MapType.ARRAY, 4, 48, 16, MapFlag.MMAPABLE),
        "untyped": (MapType.HASH, 8, 4, 64, 0),
        "hits": (MapType.PERCPU_ARRAY, 4, 8, 8, 0),
        "events": (MapType.RINGBUF, 0, 0, 4096, 0),
    }
    assert isinstance(maps["devices"], MapSpec)
    assert maps["untyped"].key_type == maps["untyped"].value_type == 0


def test_data_sections_keep_their_content(generic_object: bytes) -> None:
    data = read_object(generic_object).data
    assert set(data) == {".rodata.t_port", ".data", ".bss"}
    assert data[".rodata.t_port"].data[:6] == struct.pack("<HHH", 10, 11, 12)
    assert data[".rodata.t_port"].read_only
    assert not data[".data"].read_only
    assert data[".bss"].data == bytes(16)
    assert all(section.type_id for section in data.values())


def test_references_name_their_targets(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    found = {(r.target, r.name) for r in spec.programs["calls"].relocations}
    assert found == {(Target.MAP, "hits"), (Target.FUNCTION, "twice"), (Target.FUNCTION, "port_of")}
    places = {(r.name, r.offset) for r in spec.programs["statics"].relocations}
    assert {name for name, _ in places} == {".data", ".bss"}
    assert len({offset for name, offset in places if name == ".data"}) == 3, "statics by addend"


def test_a_call_within_a_section_needs_no_relocation(generic_object: bytes) -> None:
    image = Image.parse(generic_object)
    before = read_object(generic_object).functions["twice"].relocations
    text, symbols = image.section(".text"), image.symbols()
    start = symbols[image.symbol("twice")].value
    kept = []
    for offset, kind, symbol in image.relocations(".text"):
        if kind != 10:
            kept.append([offset, kind, symbol])
            continue
        (constant,) = struct.unpack_from("<i", text.data, offset + 4)
        target = symbols[symbol].value // 8 + constant + 1
        struct.pack_into("<i", text.data, offset + 4, target - offset // 8 - 1)
    image.set_relocations(".text", kept)
    after = read_object(image.build()).functions["twice"]
    assert start > 0
    assert after.relocations == before


def test_line_and_function_tables(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    assert spec.btf is not None
    for function in [*spec.programs.values(), *spec.functions.values()]:
        named = spec.btf.type(function.func_type)
        assert isinstance(named, Func)
        assert named.name == function.name
        assert function.lines[0].offset == 0
        offsets = [line.offset for line in function.lines]
        assert offsets == sorted(set(offsets))
        assert offsets[-1] < len(function.instructions)
        assert all(spec.btf.string(line.file).endswith("object.c") for line in function.lines)


def test_types_are_completed_for_the_kernel(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    assert spec.btf is not None
    sections = {one.name: one for one in spec.btf.types if isinstance(one, Datasec)}
    assert sections[".data"].size == len(spec.data[".data"].data)
    for one in sections.values():
        offsets = [variable.offset for variable in one.variables]
        assert offsets == sorted(set(offsets))


def test_a_hidden_function_is_checked_with_its_callers(generic_object: bytes) -> None:
    image = Image.parse(generic_object)
    image.change_symbol("port_of", other=2)
    btf = read_object(image.build()).btf
    assert btf is not None
    functions = {one.name: one.linkage for one in btf.types if isinstance(one, Func)}
    assert (functions["port_of"], functions["calls"]) == (0, 1)


def test_equal_bytes_give_equal_specs(generic_object: bytes) -> None:
    assert read_object(generic_object) == read_object(bytes(bytearray(generic_object)))


def test_debug_sections_do_not_matter(generic_object: bytes) -> None:
    with_debug, without = (
        read_object(generic_object),
        read_object(Image.parse(generic_object).without_debug().build()),
    )
    assert with_debug == without


PLAIN = """
__attribute__((section("xdp"), used)) int plain(void *context) { return 2; }
char licence[] __attribute__((section("license"))) = "GPL";
"""


def test_an_object_without_types_is_read_without_them(tmp_path: Path) -> None:
    image = Image.parse(compile_c(PLAIN, tmp_path))
    for name in (".BTF", ".rel.BTF", ".BTF.ext", ".rel.BTF.ext"):
        if name in {section.name for section in image.sections}:
            image.drop(name)
    spec = read_object(image.without_debug().build())
    assert spec.btf is None
    assert spec.programs["plain"].func_type == 0
    assert spec.programs["plain"].lines == ()


def test_the_manifest_and_signature_come_along(compiled_artefact: bytes) -> None:
    image = artefact_image(compiled_artefact)
    image.add(SIGNATURE_SECTION, b"s" * 64)
    spec = read_artefact(image.build())
    assert spec.manifest == manifest()
    assert spec.signature == b"s" * 64


def test_an_object_is_no_artefact(generic_object: bytes) -> None:
    with pytest.raises(ArtefactError, match="wardgate compile"):
        read_artefact(generic_object)
