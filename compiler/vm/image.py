"""An artefact as the interpreter sees it: code, data, and what the code refers to.

The runtime has a loader of its own. This one is written apart from it, so that the two engines do not
share a mistake about relocations.

Sources: the ELF conventions of BPF objects as in the kernel's Documentation/bpf/llvm_reloc.rst, and
RFC 9669 section 5.4 for LD_IMM64.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Section, Symbol, SymbolTableSection
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.errors import ImageError
from wardgate.compiler.vm.isa import Instruction
from wardgate.runtime.layout.maps import MANIFEST_SECTION

MAPS_SECTION = ".maps"
_DATA_PREFIXES = (".rodata", ".data", ".bss")
_SHF_EXECINSTR = 4
_MOST_DATA = 1 << 30
"""Bytes that a data section may have: a damaged size must not exhaust the memory."""
_R_BPF_64_64, _R_BPF_64_32 = 1, 10
_MALFORMED = (
    ELFError, ConstructError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error,
    OverflowError, EOFError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DataSection:
    """Global data: one region of memory."""

    name: str
    data: bytes
    writable: bool


@dataclass(frozen=True, slots=True)
class MapReference:
    """What an LD_IMM64 loads: the address of a map."""

    name: str


@dataclass(frozen=True, slots=True)
class DataReference:
    """What an LD_IMM64 loads: an address in a data section."""

    section: str
    offset: int


@dataclass(frozen=True, slots=True)
class Image:
    """The code of all sections, one after the other, and all that it refers to.

    `code` is indexed by slot (the second slot of an LD_IMM64 is None); `functions` has the entry of
    each function and `sections` the section that it is in; `calls` the target of each call of a
    function of the object; `references` what an LD_IMM64 loads where that is an address.
    `manifest` is the raw content of its section.
    """

    code: tuple[Instruction | None, ...]
    functions: Mapping[str, int]
    sections: Mapping[str, str]
    calls: Mapping[int, int]
    references: Mapping[int, MapReference | DataReference]
    data: Mapping[str, DataSection]
    maps: tuple[str, ...]
    manifest: bytes | None

    @classmethod
    def from_elf(cls, data: bytes) -> Image:
        """The image in the ELF object `data`; ImageError where it is damaged or not BPF."""
        try:
            return _Reader(ELFFile(io.BytesIO(data))).image()
        except _MALFORMED as error:
            raise ImageError(
                f"not a readable BPF object ({type(error).__name__}: {error}); compile the policy again"
            ) from error

    @classmethod
    def from_code(cls, code: bytes, name: str = "main", section: str = "tc") -> Image:
        """An image of one program without data or maps, such as a test assembles."""
        image = cls(tuple(isa.decode(code)), {name: 0}, {name: section}, _local_calls(code), {}, {}, (), None)
        _check(image)
        return image


def _local_calls(code: bytes) -> dict[int, int]:
    return {
        pc: pc + 1 + i.imm
        for pc, i in enumerate(isa.decode(code))
        if i is not None and i.code == isa.JMP | isa.CALL and i.src == isa.PSEUDO_CALL
    }


def _check(image: Image) -> None:
    """What later stages rely on: every jump, call and step ends on an instruction, r10 stays as it is."""
    if image.code:
        last = image.code[-1]
        if last is None or last.code not in (isa.JMP | isa.EXIT, isa.JMP | isa.JA, isa.JMP32 | isa.JA):
            raise ImageError(f"the code ends with {last or 'a constant'}, after which nothing follows")
    for pc, instruction in enumerate(image.code):
        if instruction is None:
            continue
        target = pc + 1 + instruction.distance if instruction.jumps else image.calls.get(pc)
        if target is not None and not (0 <= target < len(image.code) and image.code[target]):
            raise ImageError(f"instruction {pc} ({instruction}) jumps out of the code")
        if instruction.target == 10:
            raise ImageError(f"instruction {pc} ({instruction}) changes the frame pointer")
        if instruction.code == isa.LD_IMM64 and instruction.src and pc not in image.references:
            raise ImageError(f"instruction {pc} ({instruction}) refers to nothing")


class _Reader:
    def __init__(self, elf: ELFFile) -> None:
        if elf.elfclass != 64 or not elf.little_endian or elf["e_machine"] not in ("EM_BPF", 247):
            raise ImageError("not a 64-bit little-endian BPF object; compile the policy again")
        self.elf = elf
        self.sections: list[Section] = list(elf.iter_sections())
        self.bases: dict[int, int] = {}
        self.code: list[Instruction | None] = []
        self.data: dict[int, DataSection] = {}
        self.calls: dict[int, int] = {}
        self.references: dict[int, MapReference | DataReference] = {}
        self.symbols = self._symbols()
        maps = next((i for i, section in enumerate(self.sections) if section.name == MAPS_SECTION), -1)
        self.maps = {name: home for name, home, _ in self._named("STT_OBJECT") if home == maps}

    def image(self) -> Image:
        self._sections()
        functions, homes = self._functions()
        for section in self.sections:
            if isinstance(section, RelocationSection) and section["sh_info"] in self.bases:
                self._relocate(section)
        self._calls_within_sections()
        manifest = self.elf.get_section_by_name(MANIFEST_SECTION)
        image = Image(
            tuple(self.code),
            functions,
            homes,
            self.calls,
            self.references,
            {section.name: section for section in self.data.values()},
            tuple(sorted(self.maps)),
            manifest.data() if manifest else None,
        )
        _check(image)
        return image

    def _symbols(self) -> list[Symbol]:
        for section in self.sections:
            if isinstance(section, SymbolTableSection):
                return list(section.iter_symbols())
        raise ImageError("the object has no symbols; compile the policy again")

    def _sections(self) -> None:
        for index, section in enumerate(self.sections):
            name, kind = section.name, section["sh_type"]
            if kind == "SHT_PROGBITS" and section["sh_flags"] & _SHF_EXECINSTR:
                self.bases[index] = len(self.code)
                self.code += isa.decode(section.data())
            elif kind in ("SHT_PROGBITS", "SHT_NOBITS") and name.startswith(_DATA_PREFIXES):
                if section["sh_size"] > _MOST_DATA:
                    raise ImageError(f"{name} claims {section['sh_size']} bytes; compile the policy again")
                content = bytes(section["sh_size"]) if kind == "SHT_NOBITS" else section.data()
                self.data[index] = DataSection(name, content, not name.startswith(".rodata"))

    def _named(self, kind: str) -> list[tuple[str, int, int]]:
        return [
            (symbol.name, symbol["st_shndx"], symbol["st_value"])
            for symbol in self.symbols
            if symbol["st_info"]["type"] == kind and isinstance(symbol["st_shndx"], int)
        ]

    def _functions(self) -> tuple[dict[str, int], dict[str, str]]:
        functions, homes = {}, {}
        for name, section, value in self._named("STT_FUNC"):
            if section not in self.bases:
                raise ImageError(f"function {name} stands in no code section")
            entry = self.bases[section] + value // 8
            if value % 8 or entry >= len(self.code) or self.code[entry] is None:
                raise ImageError(f"function {name} does not begin at an instruction")
            functions[name], homes[name] = entry, self.sections[section].name
        return functions, homes

    def _relocate(self, relocations: RelocationSection) -> None:
        base = self.bases[relocations["sh_info"]]
        size = self.sections[relocations["sh_info"]]["sh_size"]
        for relocation in relocations.iter_relocations():
            offset, kind = relocation["r_offset"], relocation["r_info_type"]
            if offset % 8 or offset >= size:
                raise ImageError(f"{relocations.name} relocates byte {offset}, where no instruction is")
            pc, symbol = base + offset // 8, self.symbols[relocation["r_info_sym"]]
            instruction = self.code[pc]
            if kind == _R_BPF_64_64 and instruction and instruction.code == isa.LD_IMM64:
                self.references[pc] = self._reference(symbol, instruction)
            elif kind == _R_BPF_64_32 and instruction and instruction.code == isa.JMP | isa.CALL:
                self.calls[pc] = self._callee(symbol, instruction)
            else:
                raise ImageError(f"instruction {pc} ({instruction}) has a relocation of type {kind}")

    def _reference(self, symbol: Any, instruction: Instruction) -> MapReference | DataReference:
        section, value = symbol["st_shndx"], symbol["st_value"]
        if self.maps.get(symbol.name) == section:
            return MapReference(symbol.name)
        if section in self.data:
            return DataReference(self.data[section].name, value + instruction.imm)
        raise ImageError(
            f"{instruction} refers to {symbol.name or 'a symbol'}, which is neither map nor data"
        )

    def _callee(self, symbol: Any, instruction: Instruction) -> int:
        section = symbol["st_shndx"]
        if section not in self.bases:
            raise ImageError(f"call of {symbol.name or 'a symbol'}, which the object does not define")
        # The immediate is the distance from the section's start (or the symbol) less the one slot
        # that a relative call counts from.
        base = self.bases[section]
        return base + int(symbol["st_value"]) // 8 + instruction.imm + 1

    def _calls_within_sections(self) -> None:
        for pc, i in enumerate(self.code):
            if i and i.code == isa.JMP | isa.CALL and i.src == isa.PSEUDO_CALL:
                self.calls.setdefault(pc, pc + 1 + i.imm)
