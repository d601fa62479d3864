"""The disassembly, between the lines of C and policy that it stems from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from wardgate.compiler.inspect.blocks import calls_function
from wardgate.compiler.inspect.model import (
    Block,
    EdgeKind,
    Function,
    Inspection,
    ListedInstruction,
    ReferenceKind,
)


def listing_lines(inspection: Inspection, functions: Iterable[Function]) -> Iterator[str]:
    """The listing of `functions`.

    A line of an instruction begins as in llvm-objdump: its slot in the section, its bytes, its text. Behind a
    `#` stands what it refers to, or the block that it goes to. Other lines are indented less: functions and
    blocks end with a colon, lines of C and policy begin with `;`.
    """
    for number, function in enumerate(functions):
        if number:
            yield ""
        yield from _function(inspection, function)


def _function(inspection: Inspection, function: Function) -> Iterator[str]:
    first = next(function.instructions)
    kind = f"{function.hook} program" if function.hook else "function"
    what = f"{kind}, section {function.section}, {function.size} instructions"
    yield f"{8 * first.slot:016x} <{function.name}>:  # {what}"
    callers = [one.name for one in inspection.functions.values() if function.name in one.calls]
    if callers:
        yield f"  # called by {', '.join(callers)}"
    shown = None
    came_from = _sources(function)
    for block in function.blocks:
        sources = ", ".join(came_from[block.number])
        yield f"{block.label}:  # {f'from {sources}' if sources else 'entry'}"
        for instruction in block.instructions:
            if instruction.origin != shown:
                shown = instruction.origin
                yield f"; {shown}: {shown.text}" if shown.known else "; of unknown origin"
            yield instruction_line(instruction, block, function)


def _sources(function: Function) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in function.blocks]
    for block in function.blocks:
        for edge in block.edges:
            found[edge.to].append(block.label + (" (loop)" if edge.back else ""))
    return found


def instruction_line(instruction: ListedInstruction, block: Block, function: Function) -> str:
    """An instruction as the listing has it."""
    raw = instruction.raw.hex(" ")
    remark = note(instruction, block, function)
    return f"{instruction.slot:8}:\t{raw}\t{instruction.text}" + (f"  # {remark}" if remark else "")


def note(instruction: ListedInstruction, block: Block, function: Function) -> str:
    """What it refers to, or where it goes; empty where there is nothing to say."""
    if instruction.code.jumps:
        return next(
            (
                function.blocks[edge.to].label + (", back" if edge.back else "")
                for edge in block.edges
                if edge.kind is not EdgeKind.NOT_TAKEN
            ),
            "",
        )
    reference = instruction.reference
    if reference is None:
        return ""
    if calls_function(instruction) or reference.kind is ReferenceKind.HELPER:
        return f"{reference.name}()"
    return str(reference)


def listing_document(functions: Iterable[Function]) -> list[dict[str, Any]]:
    """As docs/json.md describes it."""
    return [
        {
            "name": function.name,
            "hook": function.hook,
            "section": function.section,
            "blocks": [_block_document(block) for block in function.blocks],
        }
        for function in functions
    ]


def _block_document(block: Block) -> dict[str, Any]:
    return {
        "label": block.label,
        "edges": [{"kind": edge.kind.value, "to": f"B{edge.to}", "back": edge.back} for edge in block.edges],
        "instructions": [
            {
                "slot": one.slot,
                "bytes": one.raw.hex(),
                "text": one.text,
                "reference": {**asdict(one.reference), "kind": one.reference.kind.value}
                if one.reference
                else None,
                "file": one.origin.file,
                "line": one.origin.line,
                "column": one.column,
                "source": one.origin.text,
            }
            for one in block.instructions
        ],
    }
