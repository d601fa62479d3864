"""Objects read and written, and the broken ones that are refused."""

from __future__ import annotations

import contextlib
import struct

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler.artefact import (
    ArtefactError,
    ElfObject,
    Relocation,
    Section,
    Symbol,
    read_object,
    read_sections,
)
from wardgate.compiler.artefact.elf import SectionFlag, SectionKind, SymbolKind, write_object

# Offsets in the file header (System V ABI, chapter 4).
E_TYPE, E_MACHINE, E_SHOFF, E_SHENTSIZE, E_SHNUM, E_SHSTRNDX = 16, 18, 40, 58, 60, 62
SHDR = 64
SH_NAME, SH_TYPE, SH_OFFSET, SH_SIZE, SH_LINK, SH_INFO = 0, 4, 24, 32, 40, 44

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@st.composite
def objects(draw: st.DrawFn) -> ElfObject:
    """Any object that can be written."""
    section_names = draw(st.lists(names, unique=True, min_size=1, max_size=5))
    symbols = draw(
        st.lists(
            st.builds(
                Symbol,
                name=names | st.just(""),
                kind=st.sampled_from([int(kind) for kind in SymbolKind]),
                binding=st.sampled_from([0, 1]),
                visibility=st.sampled_from([0, 2]),
                section=st.sampled_from(["", *section_names]),
                value=st.integers(0, 1 << 32),
                size=st.integers(0, 1 << 32),
            ),
            unique=True,
            max_size=6,
        )
    )
    sections = []
    for name in section_names:
        zeros = draw(st.sampled_from([0, 0, 1, 1 << 40]))
        data = draw(st.just(b"") if zeros else st.binary(max_size=100))
        relocations = []
        if data and symbols:
            relocation = st.builds(
                Relocation, st.integers(0, len(data) - 1), st.integers(0, 255), st.sampled_from(symbols)
            )
            relocations = draw(st.lists(relocation, max_size=3))
        align = draw(st.sampled_from([1, 2, 4, 8, 64]))
        flags = draw(st.sampled_from([0, int(SectionFlag.ALLOC), int(SectionFlag.ALLOC | SectionFlag.EXEC)]))
        kind = SectionKind.NOBITS if zeros else SectionKind.PROGBITS
        sections.append(Section(name, kind, flags, align, data, tuple(relocations), zeros))
    local_first = sorted(symbols, key=lambda symbol: not symbol.is_local)
    return ElfObject(tuple(sections), tuple(local_first))


@given(objects())
def test_what_is_written_is_read_back(content: ElfObject) -> None:
    data = write_object(content)
    assert read_object(data) == content
    assert read_sections(data) == {section.name: section.data for section in content.sections}


@given(objects())
def test_sections_are_aligned(content: ElfObject) -> None:
    data = write_object(content)
    (table,) = struct.unpack_from("<Q", data, E_SHOFF)
    (count,) = struct.unpack_from("<H", data, E_SHNUM)
    assert table % 8 == 0
    for index in range(1, count):
        header = struct.unpack_from("<IIQQQQIIQQ", data, table + index * SHDR)
        assert header[4] % header[8] == 0


def test_other_readers_see_the_same(built: bytes, artefact: bytes, tmp_path) -> None:
    for data in (built, artefact):
        path = tmp_path / "object.o"
        path.write_bytes(data)
        with path.open("rb") as file:
            theirs = {
                section.name: section.data()
                for section in ELFFile(file).iter_sections()
                if section["sh_type"] not in ("SHT_NULL", "SHT_SYMTAB", "SHT_STRTAB", "SHT_REL")
            }
        ours = {section.name: section.data + bytes(section.zeros) for section in read_object(data).sections}
        assert ours == theirs


def header_of(data: bytes, wanted: str) -> int:
    """Where the header of a section is."""
    (table,) = struct.unpack_from("<Q", data, E_SHOFF)
    (count,) = struct.unpack_from("<H", data, E_SHNUM)
    (names_index,) = struct.unpack_from("<H", data, E_SHSTRNDX)
    (names_at,) = struct.unpack_from("<Q", data, table + names_index * SHDR + SH_OFFSET)
    for index in range(count):
        (name,) = struct.unpack_from("<I", data, table + index * SHDR)
        if data[names_at + name :].startswith(wanted.encode() + b"\0"):
            return table + index * SHDR
    raise AssertionError(wanted)


def patched(data: bytes, form: str, offset: int, value: int) -> bytes:
    """A copy with one number changed."""
    result = bytearray(data)
    struct.pack_into(form, result, offset, value)
    return bytes(result)


BROKEN_HEADERS = [
    ("<H", E_TYPE, 2, "ELF type 2"),
    ("<H", E_MACHINE, 62, "machine 62"),
    ("<H", E_MACHINE, 0, "machine 0"),
    ("<Q", E_SHOFF, 1 << 63, "headers are not inside"),
    ("<Q", E_SHOFF, 0, "cannot read"),
    ("<H", E_SHENTSIZE, 40, "headers are not inside"),
    ("<H", E_SHNUM, 0xFEFF, "headers are not inside"),
    ("<H", E_SHNUM, 0, "no table of section names"),
    ("<H", E_SHSTRNDX, 0xFFFF, "no table of section names"),
    ("<H", E_SHSTRNDX, 0, "not in its table"),
    ("<B", 4, 1, "not a 64-bit"),
    ("<B", 5, 2, "not a 64-bit"),
]


@pytest.mark.parametrize(("form", "offset", "value", "cause"), BROKEN_HEADERS)
def test_a_broken_file_header(artefact: bytes, form: str, offset: int, value: int, cause: str) -> None:
    with pytest.raises(ArtefactError, match=cause):
        read_object(patched(artefact, form, offset, value))


BROKEN_SECTIONS = [
    (".BTF", "<I", SH_NAME, 1 << 31, "not in its table"),
    (".BTF", "<Q", SH_OFFSET, 1 << 40, "content is not inside"),
    (".BTF", "<Q", SH_SIZE, 1 << 63, "content is not inside"),
    (".BTF", "<I", SH_TYPE, 4, "do not occur"),
    (".BTF", "<I", SH_TYPE, 2, "2 symbol tables"),
    (".symtab", "<I", SH_TYPE, 1, "0 symbol tables"),
    (".symtab", "<Q", SH_SIZE, 25, "whole number of symbols"),
    (".symtab", "<I", SH_LINK, 999, "no section 999"),
    (".symtab", "<I", SH_LINK, 0, "no section 0"),
    (".reltc", "<I", SH_INFO, 999, "no section 999"),
    (".reltc", "<I", SH_INFO, 0, "no section 0"),
    (".reltc", "<Q", SH_SIZE, 17, "whole number of relocations"),
    (".reltc", "<Q", SH_OFFSET, 64, "."),
]


@pytest.mark.parametrize(("section", "form", "offset", "value", "cause"), BROKEN_SECTIONS)
def test_a_broken_section_header(
    artefact: bytes, section: str, form: str, offset: int, value: int, cause: str
) -> None:
    at = header_of(artefact, section)
    with pytest.raises(ArtefactError, match=cause):
        read_object(patched(artefact, form, at + offset, value))


def test_broken_relocations_and_symbols(artefact: bytes) -> None:
    (relocations,) = struct.unpack_from("<Q", artefact, header_of(artefact, ".reltc") + SH_OFFSET)
    (symbols,) = struct.unpack_from("<Q", artefact, header_of(artefact, ".symtab") + SH_OFFSET)
    for form, offset, value, cause in (
        ("<Q", relocations, 1 << 30, "not in the section that it relocates"),
        ("<I", relocations + 12, 999, "no symbol 999"),
        ("<I", relocations + 12, 0, "no symbol 0"),
        ("<I", symbols + 24, 1 << 30, "not in its table"),
        ("<H", symbols + 24 + 6, 500, "no section 500"),
    ):
        with pytest.raises(ArtefactError, match=cause):
            read_object(patched(artefact, form, offset, value))


def test_sections_of_one_name_are_refused(artefact: bytes) -> None:
    (name,) = struct.unpack_from("<I", artefact, header_of(artefact, "xdp"))
    with pytest.raises(ArtefactError, match=r"cannot read xdp: there are two sections of this name"):
        read_object(patched(artefact, "<I", header_of(artefact, "tc") + SH_NAME, name))


def test_a_section_relocated_twice_is_refused(artefact: bytes) -> None:
    (target,) = struct.unpack_from("<I", artefact, header_of(artefact, ".reltc") + SH_INFO)
    with pytest.raises(ArtefactError, match=r"relocated twice|not in the section"):
        read_object(patched(artefact, "<I", header_of(artefact, ".rel.text") + SH_INFO, target))


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"x" * 5000, bytes(64), b"{}"])
def test_what_is_no_elf_file(data: bytes) -> None:
    with pytest.raises(ArtefactError, match=r"(?s)64-bit little-endian.*compile the policy anew"):
        read_object(data)


def test_a_truncated_file_is_refused_wherever_it_ends(artefact: bytes) -> None:
    for length in range(0, len(artefact), 7):
        with pytest.raises(ArtefactError):
            read_object(artefact[:length])


@given(st.data())
def test_changed_bytes_give_an_object_or_our_error(artefact: bytes, data: st.DataObject) -> None:
    changed = bytearray(artefact)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArtefactError):
        read_object(bytes(changed))
