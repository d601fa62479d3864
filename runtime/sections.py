"""The container of an artefact: ELF header, sections, symbols, relocations, each bound-checked.

Format: System V ABI, "Object Files"; BPF's relocation types: Documentation/bpf/llvm_reloc.rst.
pyelftools reads the structures one at a time, at places that are checked here first: its own section
objects follow links and sizes that a damaged file can point anywhere.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile
from wardgate.runtime.errors import ArtefactError

MACHINE_BPF: Final = 247
_HEADER_BYTES: Final = 64
_SECTION_HEADER_BYTES: Final = 64
_SYMBOL_BYTES: Final = 24
_RELOCATION_BYTES: Final = 16

PROGBITS, SYMTAB, STRTAB, RELA, NOBITS, REL = 1, 2, 3, 4, 8, 9
WRITE, ALLOC, EXECUTE, COMPRESSED = 1, 2, 4, 0x800
UNDEFINED: Final = 0
_MOST_SECTIONS: Final = 1024
"""Sections accepted, many times those of an artefact: each is looked for among all."""
MAX_NOBITS: Final = 1 << 28
"""Largest zero-filled section accepted, since its size alone makes memory of it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section; `data` of a NOBITS section is zeros."""

    index: int
    name: str
    type: int
    flags: int
    link: int
    info: int
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol; `section` is an index, 0 where undefined or absolute. `kind` as in st_info:
    `STT_FUNC`, `STT_OBJECT`, `STT_SECTION`, `STT_NOTYPE`."""

    name: str
    section: int
    value: int
    size: int
    kind: str
    local: bool
    hidden: bool


@dataclass(frozen=True, slots=True)
class RawRelocation:
    """Place `offset` in a section refers to `symbol`; `type` is R_BPF_*."""

    offset: int
    type: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Container:
    """Sections by index; symbols by index."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    _elf: ELFFile

    def named(self, name: str) -> Section | None:
        """The section of this name."""
        return next((section for section in self.sections if section.name == name), None)

    def relocations(self, section: Section) -> list[RawRelocation]:
        """Relocations of `section`, sorted by offset; each offset comes once and lies in it."""
        found: list[RawRelocation] = []
        for table in self.sections:
            if table.type == RELA and table.info == section.index:
                raise ArtefactError(table.name, "relocations with addends, which BPF objects do not have")
            if table.type == REL and table.info == section.index:
                found.extend(self._read_relocations(table, section))
        found.sort(key=lambda one: one.offset)
        for one, next_one in itertools.pairwise(found):
            if one.offset == next_one.offset:
                raise ArtefactError(f"{section.name}+{one.offset:#x}", "is relocated twice")
        return found

    def _read_relocations(self, table: Section, section: Section) -> list[RawRelocation]:
        if table.size % _RELOCATION_BYTES:
            raise ArtefactError(table.name, f"{table.size} bytes are not a whole number of relocations")
        found = []
        for row in _rows(self._elf, "Elf_Rel", table, _RELOCATION_BYTES):
            offset, number = row.r_offset, row.r_info_sym
            if offset >= section.size:
                raise ArtefactError(table.name, f"offset {offset:#x} is beyond section {section.name}")
            if not 0 < number < len(self.symbols):
                raise ArtefactError(
                    table.name, f"symbol {number} of {len(self.symbols)} at offset {offset:#x}"
                )
            found.append(RawRelocation(offset, row.r_info_type, self.symbols[number]))
        return found


def read_container(data: bytes) -> Container:
    """The ELF object in `data`; ArtefactError where it is not a little-endian BPF object."""
    _check_identity(data)
    try:
        return _read(data)
    except ArtefactError:
        raise
    # pyelftools lets out errors of many types for damaged input (ELFError, construct's, AssertionError,
    # KeyError, UnicodeDecodeError); whatever it meets, the file is what is wrong.
    except Exception as error:
        raise ArtefactError("ELF header", f"cannot be read: {type(error).__name__}: {error}") from None


def _check_identity(data: bytes) -> None:
    if not data:
        raise ArtefactError("", "it is empty")
    if data[:2] == b"\x1f\x8b":
        raise ArtefactError("", "it is compressed with gzip", "decompress it first")
    if data[:4] != b"\x7fELF":
        raise ArtefactError(
            "", f"it is no ELF object, it begins with {data[:16]!r}", "give a compiled artefact"
        )
    if len(data) < _HEADER_BYTES:
        raise ArtefactError("ELF header", f"is cut off after {len(data)} bytes")
    if data[4] != 2 or data[5] != 1:
        raise ArtefactError(
            "ELF header",
            f"is of {'32 bits' if data[4] == 1 else '64 bits' if data[4] == 2 else 'an unknown class'}, "
            f"{'little' if data[5] == 1 else 'big' if data[5] == 2 else 'unknown'}-endian; an artefact is of "
            "64 bits, little-endian",
        )


def _read(data: bytes) -> Container:
    elf = ELFFile(BytesIO(data))
    header = struct_parse(elf.structs.Elf_Ehdr, elf.stream, stream_pos=0)
    machine = int.from_bytes(data[18:20], "little")
    kind = int.from_bytes(data[16:18], "little")
    if machine != MACHINE_BPF:
        raise ArtefactError("ELF header", f"machine {machine} is not BPF ({MACHINE_BPF})")
    if kind != 1:
        raise ArtefactError("ELF header", f"type {kind} is not that of a relocatable object (1)")
    if header.e_shentsize != _SECTION_HEADER_BYTES or not 0 < header.e_shnum <= _MOST_SECTIONS:
        raise ArtefactError("ELF header", f"{header.e_shnum} section headers of {header.e_shentsize} bytes")
    if header.e_shoff + header.e_shnum * _SECTION_HEADER_BYTES > len(data):
        raise ArtefactError("ELF header", f"section headers at {header.e_shoff:#x} reach beyond the file")
    rows = [
        struct_parse(elf.structs.Elf_Shdr, elf.stream, header.e_shoff + number * _SECTION_HEADER_BYTES)
        for number in range(header.e_shnum)
    ]
    if header.e_shstrndx >= len(rows):
        raise ArtefactError("ELF header", f"section {header.e_shstrndx} of {len(rows)} holds the names")
    _check_ranges(data, header, rows)
    names = _content(data, rows[header.e_shstrndx], "section names")
    sections = tuple(_section(data, number, row, names) for number, row in enumerate(rows))
    _check_names(sections)
    return Container(sections, _symbols(elf, rows, sections), elf)


def _number(row: Any) -> int:
    """Section type as a number: pyelftools names the types that it knows."""
    names = {"SHT_NULL": 0, "SHT_PROGBITS": PROGBITS, "SHT_SYMTAB": SYMTAB, "SHT_STRTAB": STRTAB}
    names |= {"SHT_RELA": RELA, "SHT_NOBITS": NOBITS, "SHT_REL": REL}
    kind = row.sh_type
    return kind if isinstance(kind, int) else names.get(kind, -1)


def _check_ranges(data: bytes, header: Any, rows: list[Any]) -> None:
    """No two parts of the file may share bytes: a range that does is damaged or forged."""
    ranges = [(0, _HEADER_BYTES, "the ELF header")]
    table = header.e_shoff
    ranges.append((table, table + len(rows) * _SECTION_HEADER_BYTES, "the section headers"))
    for number, row in enumerate(rows):
        if _number(row) in (0, NOBITS) or not row.sh_size:
            continue
        if row.sh_offset + row.sh_size > len(data):
            raise ArtefactError(
                f"section {number}",
                f"{row.sh_size} bytes at {row.sh_offset:#x} reach beyond the file of {len(data)} bytes",
            )
        ranges.append((row.sh_offset, row.sh_offset + row.sh_size, f"section {number}"))
    ranges.sort()
    for (_, end, name), (start, _, next_name) in itertools.pairwise(ranges):
        if start < end:
            raise ArtefactError(next_name, f"overlaps {name}")


def _content(data: bytes, row: Any, name: str) -> bytes:
    kind = _number(row)
    if kind == NOBITS:
        if row.sh_size > MAX_NOBITS:
            raise ArtefactError(name, f"{row.sh_size} bytes of zeros; at most {MAX_NOBITS} are accepted")
        return bytes(row.sh_size)
    if kind == 0:
        return b""
    return data[row.sh_offset : row.sh_offset + row.sh_size]


def _section(data: bytes, number: int, row: Any, names: bytes) -> Section:
    name = _text(names, row.sh_name, f"name of section {number}")
    content = _content(data, row, name)
    return Section(number, name, _number(row), row.sh_flags, row.sh_link, row.sh_info, len(content), content)


def _check_names(sections: tuple[Section, ...]) -> None:
    seen = set()
    for section in sections:
        if section.name in seen and not section.name.startswith((".debug", ".rel.debug")):
            raise ArtefactError(section.name or "section without a name", "comes twice")
        if section.index:
            seen.add(section.name)


def _symbols(elf: ELFFile, rows: list[Any], sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
    tables = [section for section in sections if section.type == SYMTAB]
    if len(tables) != 1:
        raise ArtefactError(".symtab", f"{len(tables)} symbol tables instead of one")
    table = tables[0]
    if table.size % _SYMBOL_BYTES or rows[table.index].sh_entsize != _SYMBOL_BYTES:
        raise ArtefactError(table.name, f"{table.size} bytes are not a whole number of symbols")
    if table.link >= len(sections) or sections[table.link].type != STRTAB:
        raise ArtefactError(table.name, f"names in section {table.link}, which is no string table")
    names = sections[table.link].data
    found = []
    for number, row in enumerate(_rows(elf, "Elf_Sym", table, _SYMBOL_BYTES)):
        # pyelftools names the reserved section indices (undefined, absolute, common).
        place = row.st_shndx if isinstance(row.st_shndx, int) else UNDEFINED
        name = _text(names, row.st_name, f"name of symbol {number}")
        if place >= len(sections):
            raise ArtefactError(table.name, f"symbol {name!r} is in section {place} of {len(sections)}")
        if row.st_value > sections[place].size and place:
            raise ArtefactError(table.name, f"symbol {name!r} is beyond section {sections[place].name}")
        kind = str(row.st_info.type)
        if kind == "STT_SECTION":
            name = sections[place].name
        local = row.st_info.bind == "STB_LOCAL"
        hidden = row.st_other.visibility in ("STV_HIDDEN", "STV_INTERNAL")
        found.append(Symbol(name, place, row.st_value, row.st_size, kind, local, hidden))
    return tuple(found)


def _rows(elf: ELFFile, structure: str, table: Section, size: int) -> list[Any]:
    if table.flags & COMPRESSED:
        raise ArtefactError(table.name, "is compressed, which artefacts are not")
    stream = BytesIO(table.data)
    reader = getattr(elf.structs, structure)
    return [struct_parse(reader, stream, place) for place in range(0, table.size, size)]


def _text(table: bytes, offset: int, what: str) -> str:
    end = table.find(b"\0", offset)
    if offset >= len(table) or end < 0:
        raise ArtefactError(what, f"is at {offset:#x}, beyond its table of {len(table)} bytes")
    try:
        return table[offset:end].decode("utf-8")
    except UnicodeDecodeError:
        raise ArtefactError(what, "is not UTF-8") from None
