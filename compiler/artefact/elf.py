"""Relocatable ELF objects for BPF, read into values and written back with everything in its place.

Only what such an object has: ELF64, little-endian, ET_REL, EM_BPF, sections with REL relocations and
one symbol table (System V ABI, chapters 4 and 5; kernel documentation, bpf/llvm_reloc.rst).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from wardgate.compiler.artefact.errors import unreadable

_IDENT: Final = b"\x7fELF\x02\x01\x01" + bytes(9)
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_RELOCATION: Final = struct.Struct("<QQ")
_ET_REL: Final = 1
_EM_BPF: Final = 247
_EV_CURRENT: Final = 1
_FIRST_RESERVED_INDEX: Final = 0xFF00
_FILE_ALIGNMENT: Final = 8


class SectionKind(IntEnum):
    """sh_type values that such an object has (others are kept as numbers)."""

    NULL = 0
    PROGBITS = 1
    SYMTAB = 2
    STRTAB = 3
    RELA = 4
    NOBITS = 8
    REL = 9


class SectionFlag(IntFlag):
    """sh_flags used."""

    WRITE = 1
    ALLOC = 2
    EXEC = 4
    INFO_LINK = 0x40


class SymbolKind(IntEnum):
    """The low half of st_info."""

    NOTYPE = 0
    OBJECT = 1
    FUNC = 2
    SECTION = 3
    FILE = 4


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol; `section` is a section's name, empty for one that has none (undefined or absolute)."""

    name: str
    kind: int
    binding: int
    visibility: int
    section: str
    value: int
    size: int

    @property
    def is_local(self) -> bool:
        """STB_LOCAL; such symbols come first in a table."""
        return self.binding == 0


@dataclass(frozen=True, slots=True)
class Relocation:
    """At byte `offset` of its section, `kind` (R_BPF_*) says how `symbol`'s value is used."""

    offset: int
    kind: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Section:
    """A section and what relocates it. Of one of zeros that the file does not hold, `data` is empty, and
    `zeros` is how many."""

    name: str
    kind: int
    flags: int
    align: int
    data: bytes
    relocations: tuple[Relocation, ...] = ()
    zeros: int = 0


@dataclass(frozen=True, slots=True)
class ElfObject:
    """Sections without the tables of names, symbols and relocations; symbols without the null symbol."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    kind: int
    flags: int
    link: int
    info: int
    align: int
    data: bytes
    zeros: int


def read_object(data: bytes) -> ElfObject:
    """The object in `data`; ArtefactError where it is not one, or has two sections of one name."""
    headers = _read_headers(data)
    symbols = _read_symbols(headers)
    relocations: dict[int, tuple[Relocation, ...]] = {}
    for header in headers:
        if header.kind == SectionKind.RELA:
            raise unreadable(header.name, "relocations of this form do not occur in BPF objects")
        if header.kind == SectionKind.REL:
            target = _at(headers, header.info, f"target of {header.name}")
            if header.info in relocations:
                raise unreadable(target.name, "it is relocated twice")
            relocations[header.info] = _read_relocations(header, len(target.data), symbols)
    tables = (SectionKind.NULL, SectionKind.SYMTAB, SectionKind.STRTAB, SectionKind.REL)
    sections = [
        Section(
            header.name,
            header.kind,
            header.flags,
            max(header.align, 1),
            header.data,
            relocations.get(index, ()),
            header.zeros,
        )
        for index, header in enumerate(headers)
        if header.kind not in tables
    ]
    for name, count in Counter(section.name for section in sections).items():
        if count > 1:
            raise unreadable(name, "there are two sections of this name")
    return ElfObject(tuple(sections), tuple(symbols[1:]))


def read_sections(data: bytes) -> dict[str, bytes]:
    """Name to content of each section of an artefact; ArtefactError where `data` is not one."""
    return {section.name: section.data for section in read_object(data).sections}


def _read_headers(data: bytes) -> list[_Header]:
    if len(data) < _HEADER.size or data[:7] != _IDENT[:7]:
        raise unreadable("the object", "it is not a 64-bit little-endian ELF file")
    fields = _HEADER.unpack_from(data)
    _, kind, machine, _, _, _, table, _, _, _, _, entry, count, names_index = fields
    if (kind, machine) != (_ET_REL, _EM_BPF):
        raise unreadable(
            "the object", f"ELF type {kind}, machine {machine}; BPF objects have {_ET_REL}, {_EM_BPF}"
        )
    if entry != _SECTION.size or table + count * entry > len(data):
        raise unreadable("the object", "its section headers are not inside the file")
    raw = [_SECTION.unpack_from(data, table + index * entry) for index in range(count)]
    contents = []
    for index, (_, section_kind, _, _, offset, size, *_) in enumerate(raw):
        if section_kind in (SectionKind.NULL, SectionKind.NOBITS):
            contents.append(b"")
        elif offset + size > len(data):
            raise unreadable(f"section {index}", "its content is not inside the file")
        else:
            contents.append(data[offset : offset + size])
    if names_index >= count:
        raise unreadable("the object", "it has no table of section names")
    names = contents[names_index]
    return [
        _Header(
            _string(names, name),
            section_kind,
            flags,
            link,
            info,
            align,
            content,
            size if section_kind == SectionKind.NOBITS else 0,
        )
        for (name, section_kind, flags, _, _, size, link, info, align, _), content in zip(
            raw, contents, strict=True
        )
    ]


def _read_symbols(headers: Sequence[_Header]) -> list[Symbol]:
    tables = [header for header in headers if header.kind == SectionKind.SYMTAB]
    if len(tables) != 1:
        raise unreadable("the object", f"it has {len(tables)} symbol tables, not one")
    table = tables[0]
    names = _at(headers, table.link, "table of symbol names").data
    if len(table.data) % _SYMBOL.size:
        raise unreadable(table.name, "its size is not a whole number of symbols")
    symbols = []
    for name, info, visibility, index, value, size in _SYMBOL.iter_unpack(table.data):
        section = ""
        if 0 < index < _FIRST_RESERVED_INDEX:
            section = _at(headers, index, "section of a symbol").name
        symbols.append(Symbol(_string(names, name), info & 15, info >> 4, visibility, section, value, size))
    return symbols


def _read_relocations(header: _Header, target_size: int, symbols: Sequence[Symbol]) -> tuple[Relocation, ...]:
    if len(header.data) % _RELOCATION.size:
        raise unreadable(header.name, "its size is not a whole number of relocations")
    relocations = []
    for offset, info in _RELOCATION.iter_unpack(header.data):
        index = info >> 32
        if offset >= target_size:
            raise unreadable(header.name, f"offset {offset} is not in the section that it relocates")
        if not 0 < index < len(symbols):
            raise unreadable(header.name, f"there is no symbol {index}")
        relocations.append(Relocation(offset, info & 0xFFFF_FFFF, symbols[index]))
    return tuple(relocations)


def _at(headers: Sequence[_Header], index: int, what: str) -> _Header:
    if not 0 < index < len(headers):
        raise unreadable("the object", f"there is no section {index} ({what})")
    return headers[index]


def _string(table: bytes, offset: int) -> str:
    end = table.find(b"\0", offset)
    if offset >= len(table) or end < 0:
        raise unreadable("the object", f"name at {offset} is not in its table")
    try:
        return table[offset:end].decode("utf-8")
    except UnicodeDecodeError:
        raise unreadable("the object", f"name at {offset} is not UTF-8") from None


def write_object(content: ElfObject) -> bytes:
    """The object as bytes, which depend on nothing else: sections in the order given, each followed by its
    relocations, then the tables of symbols and names. Local symbols go first, otherwise in the order given.
    """
    symbols = [*(s for s in content.symbols if s.is_local), *(s for s in content.symbols if not s.is_local)]
    positions = {symbol: index for index, symbol in enumerate(symbols, 1)}
    written: list[tuple[str, int, int, int, int, int, int, bytes, int]] = []
    numbers: dict[str, int] = {}
    # What the table of symbols is linked by is known only once all sections are numbered.
    symtab_index = 1 + len(content.sections) + sum(bool(section.relocations) for section in content.sections)
    for section in content.sections:
        numbers[section.name] = len(written) + 1
        written.append(
            (section.name, section.kind, section.flags, 0, 0, section.align, 0, section.data, section.zeros)
        )
        if section.relocations:
            data = b"".join(
                _RELOCATION.pack(r.offset, positions[r.symbol] << 32 | r.kind) for r in section.relocations
            )
            written.append(
                (f".rel{section.name}", SectionKind.REL, SectionFlag.INFO_LINK, symtab_index,
                 numbers[section.name], 8, _RELOCATION.size, data, 0)
            )  # fmt: skip
    strings, string_offsets = _string_table(symbol.name for symbol in symbols)
    table = bytes(_SYMBOL.size) + b"".join(_symbol_entry(s, string_offsets, numbers) for s in symbols)
    first_global = 1 + sum(symbol.is_local for symbol in symbols)
    written.append(
        (".symtab", SectionKind.SYMTAB, 0, symtab_index + 1, first_global, 8, _SYMBOL.size, table, 0)
    )
    written.append((".strtab", SectionKind.STRTAB, 0, 0, 0, 1, 0, strings, 0))
    names, name_offsets = _string_table([*(entry[0] for entry in written), ".shstrtab"])
    written.append((".shstrtab", SectionKind.STRTAB, 0, 0, 0, 1, 0, names, 0))

    # Parts that are joined once, since tables can be large.
    parts: list[bytes] = []
    end = _HEADER.size
    headers = [bytes(_SECTION.size)]
    for name, kind, flags, link, info, align, entry_size, data, zeros in written:
        padding = -end % align
        start, size = end + padding, len(data) or zeros
        headers.append(
            _SECTION.pack(name_offsets[name], kind, flags, 0, start, size, link, info, align, entry_size)
        )
        parts += (bytes(padding), data)
        end = start + len(data)
    parts.append(bytes(-end % _FILE_ALIGNMENT))
    header = _HEADER.pack(
        _IDENT, _ET_REL, _EM_BPF, _EV_CURRENT, 0, 0, end + len(parts[-1]), 0,
        _HEADER.size, 0, 0, _SECTION.size, len(headers), len(headers) - 1,
    )  # fmt: skip
    return b"".join((header, *parts, *headers))


def _symbol_entry(symbol: Symbol, names: Mapping[str, int], sections: Mapping[str, int]) -> bytes:
    info = symbol.binding << 4 | symbol.kind
    index = sections[symbol.section] if symbol.section else 0
    return _SYMBOL.pack(names[symbol.name], info, symbol.visibility, index, symbol.value, symbol.size)


def _string_table(strings: Iterable[str]) -> tuple[bytes, dict[str, int]]:
    table, offsets = bytearray(b"\0"), {"": 0}
    for string in strings:
        if string not in offsets:
            offsets[string] = len(table)
            table += string.encode() + b"\0"
    return bytes(table), offsets
