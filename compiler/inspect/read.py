"""From an artefact's bytes to an inspection: what the runtime would load, taken apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Final

from wardgate.compiler.collection import paused_collection
from wardgate.compiler.inspect.blocks import basic_blocks, calls_function, longest_way, loops
from wardgate.compiler.inspect.disassembly import disassemble
from wardgate.compiler.inspect.errors import InspectionError
from wardgate.compiler.inspect.helpers import helper_name
from wardgate.compiler.inspect.model import (
    UNKNOWN_ORIGIN,
    Function,
    Inspection,
    ListedInstruction,
    Origin,
    Reference,
    ReferenceKind,
    Signature,
)
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.errors import ImageError
from wardgate.runtime.btf import Btf
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.layout.maps import TABLE_SECTION_PREFIX
from wardgate.runtime.sections import read_container
from wardgate.runtime.spec import INSTRUCTION_BYTES, FunctionSpec, ProgramSpec, Relocation, Target

MOST_FRAMES: Final = 8
"""Functions that may be in each other, the program included (MAX_CALL_FRAMES of the verifier)."""


def inspect_artefact(data: bytes) -> Inspection:
    """The artefact in `data`, read as the runtime reads it before it loads it, and without the kernel.

    Raises the runtime's ArtefactError or LayoutError where the runtime would refuse it, InspectionError where
    its code is none.
    """
    with paused_collection():
        return _inspect(data)


def _inspect(data: bytes) -> Inspection:
    spec = read_artefact(data)
    if spec.manifest is None:
        raise InspectionError("the object", "it has no manifest")
    container = read_container(data)
    starts = {
        symbol.name: symbol.value // INSTRUCTION_BYTES
        for symbol in container.symbols
        if symbol.kind == "STT_FUNC"
    }
    origins: dict[Origin, Origin] = {}
    parts: dict[str, tuple[FunctionSpec, tuple[ListedInstruction, ...]]] = {}
    for function in (*spec.programs.values(), *spec.functions.values()):
        listed = tuple(_instructions(function, starts[function.name], spec.btf, origins))
        parts[function.name] = function, listed
    functions: dict[str, Function] = {}
    for name in parts:
        _finish(name, parts, functions, ())
    ordered = {name: functions[name] for name in parts}
    signature = Signature.ABSENT
    if spec.signature:
        signature = Signature.SIGNED if any(spec.signature) else Signature.UNSIGNED
    sections = {section.name: section.size for section in container.sections if section.name}
    return Inspection(data, spec, spec.manifest, ordered, sections, signature)


def _instructions(
    function: FunctionSpec, start: int, btf: Btf | None, origins: dict[Origin, Origin]
) -> Iterator[ListedInstruction]:
    try:
        decoded = isa.decode(function.instructions)
    except ImageError as error:
        raise InspectionError(f"function {function.name!r}", str(error)) from None
    references = {one.index: one for one in function.relocations}
    lines = function.lines if btf else ()
    begins = [line.offset // INSTRUCTION_BYTES for line in lines]
    for index, code in enumerate(decoded):
        if code is None:
            continue
        origin, column = UNKNOWN_ORIGIN, 0
        if btf and (place := bisect_right(begins, index)):
            line = lines[place - 1]
            found = Origin(btf.string(line.file), line.line, btf.string(line.text).strip())
            # As many as there are lines, and not as there are instructions.
            origin, column = origins.setdefault(found, found), line.column
        target = index + 1 + code.distance if code.jumps else None
        if target is not None and not (0 <= target < len(decoded) and decoded[target]):
            raise InspectionError(f"function {function.name!r}", f"instruction {index} jumps out of it")
        place_of = slice(index * INSTRUCTION_BYTES, (index + code.slots) * INSTRUCTION_BYTES)
        yield ListedInstruction(
            start + index,
            index,
            code,
            function.instructions[place_of],
            disassemble(code),
            target,
            _reference(code, references.get(index)),
            origin,
            column,
        )


def _reference(code: isa.Instruction, relocation: Relocation | None) -> Reference | None:
    if relocation is None:
        calls_helper = code.kind == isa.JMP and code.operation == isa.CALL and not code.src
        return Reference(ReferenceKind.HELPER, helper_name(code.imm)) if calls_helper else None
    if relocation.target is Target.MAP:
        return Reference(ReferenceKind.MAP, relocation.name)
    if relocation.target is Target.FUNCTION:
        return Reference(ReferenceKind.FUNCTION, relocation.name)
    if relocation.name.startswith(TABLE_SECTION_PREFIX):
        name = relocation.name.removeprefix(TABLE_SECTION_PREFIX)
        return Reference(ReferenceKind.TABLE, name, relocation.offset)
    return Reference(ReferenceKind.DATA, relocation.name, relocation.offset)


def _finish(
    name: str,
    parts: Mapping[str, tuple[FunctionSpec, tuple[ListedInstruction, ...]]],
    done: dict[str, Function],
    around: tuple[str, ...],
) -> None:
    """Puts function `name` and those that it calls into `done`; callees first."""
    if name in done:
        return
    if len(around) >= MOST_FRAMES:
        raise InspectionError(f"function {name!r}", f"calls nest deeper than {MOST_FRAMES}, a kernel's limit")
    spec, instructions = parts[name]
    if not instructions:
        raise InspectionError(f"function {name!r}", "it has no instruction")
    last = instructions[-1].code
    if last.code not in (isa.JMP | isa.EXIT, isa.JMP | isa.JA, isa.JMP32 | isa.JA):
        raise InspectionError(f"function {name!r}", "its end is not its last instruction")
    called = [i.reference.name for i in instructions if i.reference and calls_function(i)]
    for callee in called:
        _finish(callee, parts, done, (*around, name))
    blocks = basic_blocks(instructions)
    worst = longest_way(blocks, {callee: done[callee].worst for callee in called})
    hook = spec.kind.value if isinstance(spec, ProgramSpec) else None
    calls = tuple(dict.fromkeys(called))
    done[name] = Function(name, spec.section, hook, blocks, calls, loops(blocks), worst)
