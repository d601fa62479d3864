"""Broken artefacts: each is refused with an error that names the place, and nothing else happens."""

from __future__ import annotations

import gzip
import struct

import pytest
from artefact_damage import (
    Change,
    attribute_twice,
    content,
    count_of,
    declare,
    document,
    drop,
    entry,
    header,
    ident,
    is_kind,
    member,
    patch,
    relocation,
    rename,
    replace_text,
    resize,
    symbol,
    typedef_of_itself,
    types,
    word,
)
from bpf_objects import artefact_image, bpf_fds, manifest
from elf_image import Image
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.runtime.btf import Array, Datasec, Func, Int, Kind, Pointer, Struct
from wardgate.runtime.elf import read_artefact, read_object
from wardgate.runtime.errors import ArtefactError, LayoutError
from wardgate.runtime.layout.maps import CONFIG_SECTION, MANIFEST_SECTION


def machine(image: Image) -> None:
    image.machine = 62


def executable(image: Image) -> None:
    image.type = 2


def overlapping(image: Image) -> None:
    image.section("xdp").offset = 64


def twice(image: Image) -> None:
    image.change_relocation("tc", 1, offset=image.relocations("tc")[0][0])


def call_instead_of_load(image: Image) -> None:
    load = next(row for row in image.relocations("tc") if row[1] == 1)
    image.section("tc").data[load[0]] = 0x85


def high_addend(image: Image) -> None:
    load = next(row for row in image.relocations("tc") if row[1] == 1)
    struct.pack_into("<i", image.section("tc").data, load[0] + 12, 1)


def wild_addend(image: Image) -> None:
    number = image.symbol("config")
    load = next(row for row in image.relocations("xdp") if row[2] == number)
    struct.pack_into("<i", image.section("xdp").data, load[0] + 4, 1 << 20)


def wild_map(image: Image) -> None:
    number = image.symbol("devices")
    load = next(row for row in image.relocations("tc") if row[2] == number)
    struct.pack_into("<i", image.section("tc").data, load[0] + 4, 3)


def unrelocated(image: Image) -> None:
    image.section("tc").data[image.relocations("tc")[0][0] + 1] |= 0x10
    image.set_relocations("tc", image.relocations("tc")[1:])


def wild_call(image: Image) -> None:
    call = next(row for row in image.relocations("tc") if row[1] == 10)
    struct.pack_into("<i", image.section("tc").data, call[0] + 4, 100_000)


def kernel_function_call(image: Image) -> None:
    call = next(row for row in image.relocations("tc") if row[1] == 10)
    image.section("tc").data[call[0] + 1] = 0x20


def call_of_program(image: Image) -> None:
    number = next(i for i, row in enumerate(image.relocations("tc")) if row[1] == 10)
    place = image.relocations("tc")[number][0]
    struct.pack_into("<i", image.section("tc").data, place + 4, -1)
    image.change_relocation("tc", number, symbol=image.symbol("gate_egress"))


def no_relocatable_place(image: Image) -> None:
    image.change_relocation("tc", 0, offset=0)


def duplicate_program(image: Image) -> None:
    names = image.symbols()
    image.change_symbol("gate_egress", name_at=names[image.symbol("gate_ingress")].name_at)


def duplicate_map(image: Image) -> None:
    symbols = image.symbols()
    image.change_symbol("devices", value=symbols[image.symbol("limits")].value)


def two_sections_of_a_name(image: Image) -> None:
    image.add(".rodata.t_port", bytes(128), flags=2)


def symbol_table_twice(image: Image) -> None:
    image.add(".symtab2", bytes(24), kind=2)


def relocations_with_addends(image: Image) -> None:
    image.section(".reltc").type = 4


def zeros_without_end(image: Image) -> None:
    image.add(".bss.large", b"", kind=8, flags=3).size = 1 << 60


def compressed(image: Image) -> None:
    image.section(".BTF").flags |= 0x800


def old_maps(image: Image) -> None:
    image.add("maps", bytes(20), flags=3)


def data_with_addresses(image: Image) -> None:
    rows = image.add(".rel.rodata.t_port", struct.pack("<QII", 0, 2, 1), kind=9)
    rows.info, rows.link = image.index(".rodata.t_port"), image.index(".symtab")


def no_programs(image: Image) -> None:
    for name in ("tc", ".text", "xdp"):
        image.section(name).flags = 0


CONTAINER: dict[str, tuple[Change, str]] = {
    "wrong machine": (machine, "machine 62"),
    "executable": (executable, "relocatable"),
    "big-endian": (ident(5, 2), "big-endian"),
    "32 bits": (ident(4, 1), "32 bits"),
    "unknown class": (ident(4, 9), "unknown class"),
    "section headers beyond the file": (header(shoff=1 << 40), "beyond the file"),
    "section headers of another size": (header(shentsize=0), "section headers"),
    "no section headers": (header(shnum=0), "section headers"),
    "more section headers than there are": (header(shnum=1024), "beyond the file"),
    "too many section headers": (header(shnum=1025), "1025 section headers"),
    "names in a wild section": (header(shstrndx=4000), "holds the names"),
    "section names not a string table": (header(shstrndx=3), "name"),
    "section beyond the file": (declare("tc", offset=1 << 50), "beyond the file"),
    "section of huge size": (declare("tc", size=1 << 62), "beyond the file"),
    "section of negative size": (declare(".BTF", size=(1 << 64) - 8), "beyond the file"),
    "sections overlap": (overlapping, "overlaps"),
    "section name beyond its table": (declare("tc", name_at=1 << 30), "beyond its table"),
    "two sections of a name": (two_sections_of_a_name, "comes twice"),
    "two symbol tables": (symbol_table_twice, "symbol tables"),
    "no symbol table": (declare(".symtab", type=1), "symbol tables"),
    "half a symbol": (resize(".symtab", 100), "whole number of symbols"),
    "symbol names in a wild section": (declare(".symtab", link=999), "no string table"),
    "symbol in a wild section": (symbol("devices", section=5000), "section 5000"),
    "symbol beyond its section": (symbol("devices", value=1 << 40), "beyond section"),
    "symbol name beyond its table": (symbol("devices", name_at=1 << 31), "beyond its table"),
    "zeros without end": (zeros_without_end, "zeros"),
    "compressed types": (compressed, "compressed"),
}

CODE: dict[str, tuple[Change, str]] = {
    "half an instruction": (resize("xdp", 13), "whole number of instructions"),
    "instructions of no function": (lambda image: image.section("xdp").data.extend(bytes(16)), "no function"),
    "function of odd size": (symbol("gate_xdp", size=9), "without a gap"),
    "function beyond the section": (symbol("gate_xdp", size=1 << 40), "no function"),
    "functions overlap": (symbol("gate_egress", value=0), "without a gap"),
    "program that is no function": (symbol("gate_xdp", info=0x11), "no function"),
    "unknown program section": (rename("xdp", "kprobe"), "kprobe"),
    "duplicate program": (duplicate_program, "comes twice"),
    "no programs": (no_programs, "no program"),
    "wrong relocation type of a load": (relocation("tc", 0, type=2), "relocation type 2"),
    "unknown relocation type": (relocation("tc", 0, type=77), "relocation type 77"),
    "relocation of a wild symbol": (relocation("tc", 0, symbol=1 << 20), "symbol 1048576"),
    "relocation of symbol 0": (relocation("tc", 0, symbol=0), "symbol 0"),
    "relocation beyond its section": (relocation("tc", 0, offset=1 << 40), "beyond section"),
    "relocation within an instruction": (relocation("tc", 0, offset=4), "relocat"),
    "relocation of nothing": (no_relocatable_place, "refers to nothing"),
    "relocated twice": (twice, "twice"),
    "half a relocation": (resize(".reltc", 20), "whole number of relocations"),
    "relocations with addends": (relocations_with_addends, "addends"),
    "load as a call": (call_instead_of_load, "tc+"),
    "unrelocated load": (unrelocated, "without a relocation"),
    "high addend": (high_addend, "32 bits"),
    "wild addend": (wild_addend, ".rodata.config"),
    "no map at the place": (wild_map, "no map begins"),
    "call of no function": (wild_call, "no function begins"),
    "call of a kernel function": (kernel_function_call, "pseudo source 2"),
    "call of a program": (call_of_program, "is a program"),
    "data with addresses": (data_with_addresses, "addresses"),
    "undefined variable": (symbol("config", section=0), "does not define"),
    "missing licence": (drop("license"), "license"),
    "licence without an end": (patch("license", 12, b"!"), "zero byte"),
    "licence is binary": (patch("license", 0, b"\xff\xfe"), "zero byte"),
}

MAPS: dict[str, tuple[Change, str]] = {
    "maps without types": (drop(".BTF", ".rel.BTF"), ".BTF: is missing"),
    "map without a description": (symbol("devices", name_at=0), "does not describe"),
    "map without a symbol": (symbol("devices", info=0x10), "has no symbol"),
    "maps at one place": (duplicate_map, "overlap"),
    "maps without BTF definitions": (old_maps, "without BTF"),
    "maps section gone": (rename(".maps", ".mops"), ".maps"),
}


TYPES: dict[str, tuple[Change, str]] = {
    "types of another magic": (patch(".BTF", 0, b"\xeb\x9f"), ".BTF"),
    "types of another version": (patch(".BTF", 2, b"\x02"), "version 2"),
    "types cut off": (resize(".BTF", 400), "beyond the section"),
    "types shorter than their header": (resize(".BTF", 10), "less than its header"),
    "types beyond the section": (patch(".BTF", 12, struct.pack("<I", 1 << 30)), "beyond the section"),
    "strings beyond the section": (patch(".BTF", 20, struct.pack("<I", 1 << 30)), "beyond the section"),
    "strings without an end": (types(lambda raw, _: raw.__setitem__(len(raw) - 1, 0x41)), "zero byte"),
    "type of unknown kind": (word(is_kind(Pointer), 4, 31 << 24), "unknown kind 31"),
    "type name beyond the strings": (word(is_kind(Int), 0, 1 << 24), "string at"),
    "member of a wild type": (word(is_kind(Struct), 16, 1 << 24), "type id"),
    "struct with members cut off": (word(is_kind(Struct), 4, Kind.STRUCT << 24 | 0xFFFF), "cut off"),
    "typedef of itself": (types(typedef_of_itself), "without end"),
    "array of a wild type": (word(is_kind(Array), 12, 1 << 24), "type id"),
    "section with a variable that is none": (word(is_kind(Datasec), 12, 1), "no variable"),
    "section that is not there": (
        replace_text(".BTF", b".rodata.t_port\0", b".rodata.t_prrt\0"),
        "is not there",
    ),
    "variable beyond its section": (word(is_kind(Datasec), 20, 1 << 24), "overlap"),
    "relocation elsewhere in the types": (relocation(".BTF", 0, offset=0), "no variable's place"),
    "relocation type of the types": (relocation(".BTF", 0, type=1), "no variable's place"),
    "line table beyond": (patch(".BTF.ext", 20, struct.pack("<I", 1 << 30)), "beyond it"),
    "line table cut off": (resize(".BTF.ext", 40), ".BTF.ext"),
    "line table of another version": (patch(".BTF.ext", 2, b"\x09"), "version 9"),
    "function records of 1 byte": (patch(".BTF.ext", 32, struct.pack("<I", 1)), "records of 1 bytes"),
    "function record of no function": (patch(".BTF.ext", 48, struct.pack("<I", 1)), ".BTF.ext"),
    "map type unknown": (count_of("devices", 0, 200), "map type 200"),
    "map of huge size": (count_of("flows", 1, 1 << 30), "at most"),
    "ring buffer of huge size": (count_of("events", 1, 1 << 31), "at most"),
    "map without entries": (count_of("devices", 1, 0), "max_entries"),
    "ring buffer of odd size": (count_of("events", 1, 5000), "power of two"),
    "map attribute not a pointer": (member("devices", 0, 4, 2), ".maps"),
    "map attribute unknown": (member("devices", 0, 0, 1), ".maps 'devices'"),
    "map attribute twice": (types(attribute_twice), "comes twice"),
    "function renamed": (
        replace_text(".BTF", b"\0gate_xdp\0", b"\0gate_xxp\0"),
        "is not function",
    ),
    "function of no prototype": (word(is_kind(Func), 8, 1 << 24), "type id"),
}  # fmt: skip


MANIFESTS: dict[str, tuple[Change, str]] = {
    "no manifest": (drop(MANIFEST_SECTION), "is missing"),
    "manifest empty": (content(b""), "not JSON"),
    "manifest is text": (content(b"hello"), "not JSON"),
    "manifest is a list": (content(b"[]"), "not a JSON object"),
    "manifest not UTF-8": (content(b'{"format": "\xff"}'), "not JSON"),
    "manifest nested without end": (content(b"[" * 100_000), "not JSON"),
    "manifest of another format": (document(lambda whole: whole.update(format=9)), "format 9"),
    "manifest without format": (document(lambda whole: whole.pop("format")), "format None"),
    "manifest with more": (document(lambda whole: whole.update(more=1)), "more"),
    "manifest with less": (document(lambda whole: whole.pop("rules")), "rules"),
    "manifest with another type": (document(lambda whole: whole.update(classes="2")), "classes"),
    "manifest cut off": (content(manifest().to_json()[:-1]), "not JSON"),
    "manifest with a number of 5,000 digits": (content(b'{"format": 1%s}' % (b"0" * 5_000)), "not JSON"),
    "manifest with half a surrogate pair": (
        document(lambda whole: whole.update(wardgate="\ud800")),
        "not JSON",
    ),
    "tunnel of no prefix": (document(lambda whole: whole["tunnel"].append("10.9.0.0/33")), "'10.9.0.0/33'"),
    "tunnel with host bits": (document(lambda whole: whole["tunnel"].append("10.9.0.1/16")), "'10.9.0.1/16'"),
    "digest of other tables": (document(lambda whole: whole.update(tables_digest="00" * 32)), "digest"),
    "table of other content": (patch(".rodata.t_decision", 8, b"\1"), "digest"),
}


def unknown_map(image: Image) -> None:
    for section in (".BTF", ".strtab"):
        replace_text(section, b"\0devices\0", b"\0devised\0")(image)


def subdocument(name: str, **values: object) -> Change:
    return document(lambda whole: whole[name].update(values))


LAYOUT: dict[str, tuple[Change, str]] = {
    "unknown map": (unknown_map, "does not know"),
    "map of another type": (count_of("processors", 0, 2), "type 2"),
    "map of other flags": (count_of("devices", 2, 1), "flags"),
    "map of another size than the manifest's": (entry("maps", 0, entries=7), "manifest says 7"),
    "index of another size": (subdocument("tunnel4", size=2), "says that it has 2"),
    "index of no address": (subdocument("tunnel4", base="fd09::"), "begins at no address"),
    "index beyond the last address": (subdocument("tunnel4", base="255.255.255.161"), "no such addresses"),
    "index across halves": (subdocument("tunnel6", base="fd09::ffff:ffff:ffff:ffa1"), "no such addresses"),
    "index that the manifest has not": (document(lambda whole: whole.update(tunnel6=None)), "says nothing"),
    "map of another scope": (entry("maps", 0, scope="generation"), "belongs"),
    "map not in the manifest": (document(lambda whole: whole["maps"].pop()), "lists maps"),
    "table not in the manifest": (document(lambda whole: whole["tables"].pop()), "lists tables"),
    "table of another length": (entry("tables", 0, count=65), "65 elements"),
    "table of another element": (entry("tables", 0, element=3), "elements of 3 bytes"),
    "table that is not there": (entry("tables", 0, section=".rodata.t_none"), "t_none"),
    "program not in the manifest": (document(lambda whole: whole["programs"].pop()), "lists programs"),
    "program for another hook": (entry("programs", 0, hook="xdp"), "for xdp"),
    "writable data": (rename(".rodata.t_port", ".data.t_port"), "is not there"),
    "config missing": (rename(CONFIG_SECTION, ".rodata.t_conf"), "is not there"),
    "field renamed": (
        replace_text(".BTF", b"\0deadline\0", b"\0deadlime\0"),
        "deadline",
    ),
    "field of the config renamed": (
        replace_text(".BTF", b"\0trace\0", b"\0tracy\0"),
        "trace",
    ),
    "no types for a map": (member("addresses", 2, 0, 0), ".maps"),
}  # fmt: skip

CASES = {**CONTAINER, **CODE, **MAPS, **TYPES, **MANIFESTS, **LAYOUT}


def refused(data: bytes) -> ArtefactError:
    """The error that `data` gives; nothing may be left open."""
    before = bpf_fds()
    with pytest.raises(ArtefactError) as caught:
        read_artefact(data)
    assert bpf_fds() == before
    error = caught.value
    assert error.operation == "read artefact"
    assert error.cause
    assert error.remedy
    assert len(str(error)) < 2000
    return error


@pytest.mark.parametrize("name", CASES)
def test_broken_artefact_is_refused(name: str, compiled_artefact: bytes) -> None:
    change, expected = CASES[name]
    image = artefact_image(compiled_artefact)
    change(image)
    assert expected in str(refused(image.build()))


@pytest.mark.parametrize("name", LAYOUT)
def test_another_layout_is_told_apart_from_damage(name: str, compiled_artefact: bytes) -> None:
    change, _ = LAYOUT[name]
    image = artefact_image(compiled_artefact)
    change(image)
    error = refused(image.build())
    if isinstance(error, LayoutError):
        assert "release" in error.remedy


def test_the_unbroken_artefact_is_accepted(compiled_artefact: bytes) -> None:
    assert read_artefact(artefact_image(compiled_artefact).build()).manifest == manifest()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"version: 1\npolicies: {}\n", "no ELF object"),
        (b"\x7fELF", "cut off"),
        (b"\0" * 4096, "no ELF object"),
        (b"\x7fELF\x02\x01\x01" + bytes(57), "machine 0"),
    ],
    ids=["empty", "a policy", "magic only", "zeros", "blank header"],
)
def test_what_is_no_artefact_is_refused(data: bytes, expected: str) -> None:
    assert expected in str(refused(data))


def test_a_compressed_artefact_is_named_so(compiled_artefact: bytes) -> None:
    error = refused(gzip.compress(compiled_artefact))
    assert "gzip" in error.cause
    assert "decompress" in error.remedy


def test_truncated_anywhere(compiled_artefact: bytes) -> None:
    data = artefact_image(compiled_artefact).build()
    for length in range(0, len(data), 97):
        refused(data[:length])
    refused(data[:-1])


@settings(max_examples=300)
@given(st.data())
def test_flipped_bits_never_give_another_error(compiled_artefact: bytes, data: st.DataObject) -> None:
    damaged = bytearray(artefact_image(compiled_artefact).build())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read_artefact(bytes(damaged))
    except ArtefactError:
        return


@settings(max_examples=300)
@given(st.sampled_from([".BTF", ".BTF.ext", ".symtab", ".reltc", ".rel.BTF", "tc"]), st.data())
def test_flipped_words_never_give_another_error(
    compiled_artefact: bytes, section: str, data: st.DataObject
) -> None:
    image = artefact_image(compiled_artefact)
    target = image.section(section).data
    interesting = st.sampled_from([0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF, 1 << 24])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(target) // 4 - 1)) * 4
        struct.pack_into("<I", target, place, data.draw(interesting | st.integers(0, 0xFFFF_FFFF)))
    try:
        read_artefact(image.build())
    except ArtefactError:
        return


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    for prefix in (b"", b"\x7fELF\x02\x01\x01"):
        with pytest.raises(ArtefactError):
            read_object(prefix + data)
