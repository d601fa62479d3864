"""A writer of ELF objects for tests: takes an object apart, lets a test change any of it, and puts it
together again. Independent of the reader under test and of pyelftools."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QII")

REL, NOBITS = 9, 8


@dataclass
class ImageSection:
    """A section; `size`, `offset`, `name_at` override what build() would write."""

    name: str
    type: int
    flags: int
    link: int
    info: int
    align: int
    entry: int
    data: bytearray
    size: int | None = None
    offset: int | None = None
    name_at: int | None = None


@dataclass
class ImageSymbol:
    """A symbol; `name_at` overrides the place of its name."""

    name_at: int
    info: int
    other: int
    section: int
    value: int
    size: int


@dataclass
class Image:
    """An object in parts. `overrides` are fields of the ELF header by name."""

    sections: list[ImageSection]
    ident: bytearray
    type: int
    machine: int
    names: int
    overrides: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> Image:
        header = _HEADER.unpack_from(data)
        rows = [_SECTION.unpack_from(data, header[6] + i * 64) for i in range(header[12])]
        table = data[rows[header[13]][4] :]
        sections = []
        for name_at, kind, flags, _, offset, size, link, info, align, entry in rows:
            name = table[name_at : table.index(b"\0", name_at)].decode()
            content = bytearray() if kind == NOBITS else bytearray(data[offset : offset + size])
            section = ImageSection(name, kind, flags, link, info, align, entry, content)
            section.size = size if kind == NOBITS else None
            sections.append(section)
        return cls(sections, bytearray(header[0]), header[1], header[2], header[13])

    def index(self, name: str) -> int:
        return next(i for i, section in enumerate(self.sections) if section.name == name)

    def section(self, name: str) -> ImageSection:
        return self.sections[self.index(name)]

    def add(self, name: str, data: bytes, kind: int = 1, flags: int = 0) -> ImageSection:
        section = ImageSection(name, kind, flags, 0, 0, 1, 0, bytearray(data))
        self.sections.append(section)
        return section

    def drop(self, name: str) -> None:
        """Make a section unknown without moving the others' indices."""
        section = self.section(name)
        section.name, section.type, section.flags = f".debug_gone{self.index(name)}", 1, 0
        section.data = bytearray()

    def without_debug(self) -> Image:
        """The same without DWARF, which makes the object a third of the size."""
        for section in self.sections:
            if section.name.startswith((".debug", ".rel.debug", ".llvm")):
                self.drop(section.name)
        return self

    def symbols(self) -> list[ImageSymbol]:
        return [ImageSymbol(*row) for row in _SYMBOL.iter_unpack(bytes(self.section(".symtab").data))]

    def set_symbols(self, symbols: list[ImageSymbol]) -> None:
        rows = (_SYMBOL.pack(s.name_at, s.info, s.other, s.section, s.value, s.size) for s in symbols)
        self.section(".symtab").data[:] = b"".join(rows)

    def symbol(self, name: str) -> int:
        strings = bytes(self.sections[self.section(".symtab").link].data)
        wanted = name.encode() + b"\0"
        return next(
            i for i, s in enumerate(self.symbols()) if strings[s.name_at :].startswith(wanted) and name
        )

    def change_symbol(self, name: str, **changes: int) -> None:
        symbols = self.symbols()
        for key, value in changes.items():
            setattr(symbols[self.symbol(name)], key, value)
        self.set_symbols(symbols)

    def relocations(self, name: str) -> list[list[int]]:
        """[offset, type, symbol] of each relocation of section `name`."""
        return [list(row) for row in _RELOCATION.iter_unpack(bytes(self.section(f".rel{name}").data))]

    def set_relocations(self, name: str, rows: list[list[int]]) -> None:
        self.section(f".rel{name}").data[:] = b"".join(_RELOCATION.pack(*row) for row in rows)

    def change_relocation(self, name: str, number: int, **changes: int) -> None:
        rows = self.relocations(name)
        for key, value in changes.items():
            rows[number][("offset", "type", "symbol").index(key)] = value
        self.set_relocations(name, rows)

    def build(self) -> bytes:
        strings = bytearray(b"\0")
        body = bytearray(64)
        rows = []
        names = self.sections[self.names]
        places = {}
        for section in self.sections:
            places[id(section)] = len(strings)
            strings += section.name.encode() + b"\0"
        if names.link == 0 and self.section(".symtab").link == self.names:
            # Section names and symbol names share a table: keep the old one in front.
            base = len(names.data)
            combined = names.data + strings
        else:
            base, combined = 0, strings
        for section in self.sections:
            data = combined if section is names else section.data
            while len(body) % max(section.align, 1):
                body.append(0)
            offset = len(body) if section.type else 0
            body += data
            size = len(data) if section.size is None else section.size
            rows.append(
                _SECTION.pack(
                    base + places[id(section)] if section.name_at is None else section.name_at,
                    section.type,
                    section.flags,
                    0,
                    offset if section.offset is None else section.offset,
                    size,
                    section.link,
                    section.info,
                    section.align,
                    section.entry,
                )
            )
        while len(body) % 8:
            body.append(0)
        fields = {
            "version": 1,
            "entry": 0,
            "phoff": 0,
            "shoff": len(body),
            "flags": 0,
            "ehsize": 64,
            "phentsize": 0,
            "phnum": 0,
            "shentsize": 64,
            "shnum": len(rows),
            "shstrndx": self.names,
        }
        fields |= self.overrides
        body[:64] = _HEADER.pack(bytes(self.ident), self.type, self.machine, *fields.values())
        return bytes(body + b"".join(rows))
