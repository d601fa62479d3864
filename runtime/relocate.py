"""Puts a program together for the kernel: its functions in one run of instructions, its references
filled in. Pure: the fds are given.

As libbpf does it: the program first, then each function that it calls, once, in the order in which
the calls are met; line and function tables follow.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.btf import Btf
from wardgate.runtime.spec import (
    INSTRUCTION_BYTES,
    FunctionSpec,
    ObjectSpec,
    ProgramKind,
    ProgramSpec,
    Relocation,
    Target,
)

_PSEUDO_MAP_FD: Final = 1
_PSEUDO_MAP_VALUE: Final = 2


@dataclass(frozen=True, slots=True)
class SourceLine:
    """From instruction `index` on, the program comes from this line; `file` as the compiler saw it."""

    index: int
    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class LinkedProgram:
    """A program ready to load: `func_info` and `line_info` are records as bpf() takes them (8 and 16
    bytes each), empty where a function has none; `lines` says the same to people. `traced` is the
    kernel's function that a FENTRY program is for."""

    name: str
    kind: ProgramKind
    instructions: bytes
    func_info: bytes
    line_info: bytes
    lines: tuple[SourceLine, ...]
    traced: str = ""


def link_program(spec: ObjectSpec, program: ProgramSpec, fds: Mapping[str, int]) -> LinkedProgram:
    """`program` with the functions it calls, its maps and data sections replaced by `fds` (by name;
    KeyError where one is missing)."""
    starts: dict[str, int] = {}
    order: list[FunctionSpec] = []
    _place(spec, program, starts, order)
    code = bytearray(b"".join(function.instructions for function in order))
    for function in order:
        for relocation in function.relocations:
            _fill(code, starts[function.name] + relocation.index, relocation, fds, starts)
    func_info = b""
    if all(function.func_type for function in order):
        func_info = b"".join(struct.pack("<II", starts[f.name], f.func_type) for f in order)
    line_info: bytes = b""
    lines: tuple[SourceLine, ...] = ()
    if spec.btf and func_info and all(function.lines for function in order):
        line_info, lines = _join_lines(spec.btf, order, starts)
    return LinkedProgram(program.name, program.kind, bytes(code), func_info, line_info, lines, program.traced)


def _place(spec: ObjectSpec, first: FunctionSpec, starts: dict[str, int], order: list[FunctionSpec]) -> None:
    """Fills `order` and the index of each function's first instruction."""
    pending, end = [first], 0
    while pending:
        function = pending.pop(0)
        if function.name in starts:
            continue
        starts[function.name] = end
        order.append(function)
        end += len(function.instructions) // INSTRUCTION_BYTES
        pending.extend(spec.functions[r.name] for r in function.relocations if r.target is Target.FUNCTION)


def _fill(
    code: bytearray, index: int, one: Relocation, fds: Mapping[str, int], starts: Mapping[str, int]
) -> None:
    place = index * INSTRUCTION_BYTES
    if one.target is Target.FUNCTION:
        # A call is relative to the instruction after it.
        struct.pack_into("<i", code, place + 4, starts[one.name] - index - 1)
        return
    pseudo = _PSEUDO_MAP_FD if one.target is Target.MAP else _PSEUDO_MAP_VALUE
    code[place + 1] = code[place + 1] & 0x0F | pseudo << 4
    struct.pack_into("<i", code, place + 4, fds[one.name])
    struct.pack_into("<i", code, place + INSTRUCTION_BYTES + 4, one.offset)


def _join_lines(
    btf: Btf, order: list[FunctionSpec], starts: Mapping[str, int]
) -> tuple[bytes, tuple[SourceLine, ...]]:
    raw, lines = bytearray(), []
    for function in order:
        for line in function.lines:
            index = starts[function.name] + line.offset // INSTRUCTION_BYTES
            raw += struct.pack("<IIII", index, line.file, line.text, line.line << 10 | line.column)
            lines.append(
                SourceLine(
                    index, btf.string(line.file), line.line, line.column, btf.string(line.text).strip()
                )
            )
    return bytes(raw), tuple(lines)
