"""Functions of an artefact: executable sections split by their symbols, references resolved by name.

Instruction format: Documentation/bpf/standardization/instruction-set.rst. Relocations of BPF objects:
Documentation/bpf/llvm_reloc.rst.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from wardgate.runtime.btf import Btf
from wardgate.runtime.btf_ext import BtfExt, LineInfo
from wardgate.runtime.errors import ArtefactError
from wardgate.runtime.sections import EXECUTE, PROGBITS, Container, RawRelocation, Section, Symbol
from wardgate.runtime.spec import (
    INSTRUCTION_BYTES,
    DataSpec,
    FunctionSpec,
    MapSpec,
    ProgramKind,
    ProgramSpec,
    Relocation,
    Target,
)

TEXT: Final = ".text"
LOAD_64: Final = 0x18
"""BPF_LD | BPF_IMM | BPF_DW: a 64-bit constant in two slots."""
CALL: Final = 0x85
PSEUDO_CALL: Final = 1
_R_64_64: Final = 1
_R_64_32: Final = 10
_INSTRUCTION: Final = struct.Struct("<BBhi")

Resolve = Callable[[Section, RawRelocation, int], Relocation]


def program_kind(section: str) -> ProgramKind | None:
    """The hook that a section's name stands for, None for `.text`."""
    if section == TEXT:
        return None
    word = section.partition("/")[0]
    kinds = {
        "tc": ProgramKind.TC,
        "tcx": ProgramKind.TC,
        "classifier": ProgramKind.TC,
        "xdp": ProgramKind.XDP,
        "fentry": ProgramKind.FENTRY,
    }
    if word not in kinds:
        raise ArtefactError(section, "programs in a section of this name; tc, xdp and fentry are known")
    return kinds[word]


class FunctionReader:
    """Reads all functions of a container; the sections that they refer to are known by index."""

    def __init__(
        self,
        container: Container,
        maps: Mapping[int, Mapping[int, MapSpec]],
        data: Mapping[int, DataSpec],
        btf: Btf | None,
        ext: BtfExt,
    ) -> None:
        self._container = container
        self._maps = maps
        self._data = data
        self._ext = ext
        self._types = btf.functions() if btf else {}
        self._starts: dict[tuple[int, int], Symbol] = {}

    def read(self) -> tuple[dict[str, ProgramSpec], dict[str, FunctionSpec]]:
        """Programs and the functions that they may call, by name."""
        code = [s for s in self._container.sections if s.flags & EXECUTE and s.size]
        layout = [(section, self._symbols_of(section)) for section in code]
        self._starts = {(s.index, f.value): f for s, functions in layout for f in functions}
        names = Counter(f.name for _, functions in layout for f in functions)
        for name, count in names.items():
            if count > 1:
                raise ArtefactError(".symtab", f"function {name!r} comes twice")
        programs: dict[str, ProgramSpec] = {}
        subprograms: dict[str, FunctionSpec] = {}
        for section, symbols in layout:
            kind = program_kind(section.name)
            relocations = {one.offset: one for one in self._container.relocations(section)}
            for symbol in symbols:
                function = self._function(section, symbol, relocations)
                if kind is None or symbol.local:
                    subprograms[symbol.name] = function
                else:
                    programs[symbol.name] = ProgramSpec(
                        function.name,
                        function.section,
                        function.instructions,
                        function.relocations,
                        function.func_type,
                        function.lines,
                        kind,
                    )
            if relocations:
                offset = min(relocations)
                raise ArtefactError(
                    f"{section.name}+{offset:#x}", "a relocation of no call and no 64-bit load"
                )
        self._check_calls(programs, subprograms)
        return programs, subprograms

    def _symbols_of(self, section: Section) -> list[Symbol]:
        if section.type != PROGBITS or section.size % INSTRUCTION_BYTES:
            raise ArtefactError(section.name, f"{section.size} bytes are not a whole number of instructions")
        found = [s for s in self._container.symbols if s.section == section.index and s.kind == "STT_FUNC"]
        found.sort(key=lambda symbol: symbol.value)
        place = 0
        for symbol in found:
            if symbol.value != place or not symbol.size or symbol.size % INSTRUCTION_BYTES:
                raise ArtefactError(
                    f"{section.name}+{place:#x}",
                    f"function {symbol.name!r} has {symbol.size} bytes at {symbol.value:#x}: functions must "
                    "follow each other without a gap",
                )
            place += symbol.size
        if place != section.size:
            raise ArtefactError(f"{section.name}+{place:#x}", "instructions that belong to no function")
        return found

    def _function(self, section: Section, symbol: Symbol, pending: dict[int, RawRelocation]) -> FunctionSpec:
        """The function of `symbol`; takes its relocations out of `pending`."""
        start, end = symbol.value, symbol.value + symbol.size
        found = []
        place = start
        while place < end:
            opcode, registers, _, constant = _INSTRUCTION.unpack_from(section.data, place)
            where, source = f"{section.name}+{place:#x}", registers >> 4
            raw = pending.pop(place, None)
            index = (place - start) // INSTRUCTION_BYTES
            if opcode == LOAD_64:
                if place + 2 * INSTRUCTION_BYTES > end or section.data[place + INSTRUCTION_BYTES]:
                    raise ArtefactError(where, "a 64-bit load is cut off")
                high = _INSTRUCTION.unpack_from(section.data, place + INSTRUCTION_BYTES)[3]
                if raw is not None:
                    found.append(self._load(raw, index, constant, high, where))
                elif source:
                    raise ArtefactError(
                        where, f"a 64-bit load of pseudo source {source} without a relocation"
                    )
                place += INSTRUCTION_BYTES
            elif opcode == CALL and source:
                if source != PSEUDO_CALL:
                    raise ArtefactError(
                        where, f"a call of pseudo source {source}: only own functions and helpers"
                    )
                found.append(self._call(section, raw, index, place, constant, where))
            elif raw is not None:
                raise ArtefactError(where, f"relocation {raw.type} of an instruction that refers to nothing")
            place += INSTRUCTION_BYTES
        return FunctionSpec(
            symbol.name,
            section.name,
            section.data[start:end],
            tuple(found),
            self._func_type(section, symbol),
            self._lines(section, start, end),
        )

    def _load(self, raw: RawRelocation, index: int, low: int, high: int, where: str) -> Relocation:
        symbol = raw.symbol
        if raw.type != _R_64_64:
            raise ArtefactError(where, f"relocation type {raw.type} of a 64-bit load, which has {_R_64_64}")
        if high:
            raise ArtefactError(where, "the addend of a 64-bit load does not fit into 32 bits")
        if not symbol.section:
            raise ArtefactError(where, f"refers to {symbol.name!r}, which the artefact does not define")
        offset = symbol.value + low
        if symbol.section in self._maps:
            target = self._maps[symbol.section].get(offset)
            if target is None:
                raise ArtefactError(where, f"refers to offset {offset:#x} of .maps, where no map begins")
            return Relocation(index, Target.MAP, target.name)
        if symbol.section in self._data:
            data = self._data[symbol.section]
            if not 0 <= offset < len(data.data):
                raise ArtefactError(
                    where, f"refers to offset {offset:#x} of {data.name}: {len(data.data)} bytes"
                )
            return Relocation(index, Target.DATA, data.name, offset)
        name = self._container.sections[symbol.section].name
        raise ArtefactError(where, f"loads the address of {symbol.name!r} in {name}: neither map nor data")

    def _call(
        self, section: Section, raw: RawRelocation | None, index: int, place: int, constant: int, where: str
    ) -> Relocation:
        if raw is None:
            target = (section.index, place + (1 + constant) * INSTRUCTION_BYTES)
        elif raw.type != _R_64_32:
            raise ArtefactError(where, f"relocation type {raw.type} of a call, which has {_R_64_32}")
        else:
            target = (raw.symbol.section, raw.symbol.value + (1 + constant) * INSTRUCTION_BYTES)
        callee = self._starts.get(target)
        if callee is None:
            name = raw.symbol.name if raw else section.name
            raise ArtefactError(where, f"calls {name!r} at {target[1]:#x}, where no function begins")
        return Relocation(index, Target.FUNCTION, callee.name)

    def _func_type(self, section: Section, symbol: Symbol) -> int:
        """The function's BTF id as .BTF.ext states it; 0 where there is no such table."""
        for info in self._ext.functions.get(section.name, ()):
            if info.offset == symbol.value:
                if self._types.get(symbol.name) != info.type_id:
                    raise ArtefactError(".BTF.ext", f"type {info.type_id} is not function {symbol.name!r}")
                return info.type_id
        return 0

    def _lines(self, section: Section, start: int, end: int) -> tuple[LineInfo, ...]:
        found: list[LineInfo] = []
        for line in self._ext.lines.get(section.name, ()):
            if line.offset >= section.size or line.offset % INSTRUCTION_BYTES:
                raise ArtefactError(".BTF.ext", f"a line at {section.name}+{line.offset:#x}, no instruction")
            if start <= line.offset < end and (not found or found[-1].offset != line.offset - start):
                found.append(replace(line, offset=line.offset - start))
        if found and found[0].offset:
            # The kernel asks for a line at each function's first instruction.
            found.insert(0, replace(found[0], offset=0))
        return tuple(found)

    @staticmethod
    def _check_calls(programs: Mapping[str, ProgramSpec], subprograms: Mapping[str, FunctionSpec]) -> None:
        functions: Sequence[FunctionSpec] = [*programs.values(), *subprograms.values()]
        for function in functions:
            for one in function.relocations:
                if one.target is Target.FUNCTION and one.name in programs:
                    raise ArtefactError(
                        f"{function.section} {function.name!r}", f"calls {one.name!r}, which is a program"
                    )
