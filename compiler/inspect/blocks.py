"""Basic blocks, loops, and the longest way through a function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wardgate.compiler.inspect.model import Block, Edge, EdgeKind, ListedInstruction
from wardgate.compiler.vm import isa


def basic_blocks(instructions: Sequence[ListedInstruction]) -> tuple[Block, ...]:
    """The blocks of a function, in the order of its instructions."""
    leaders = {0}
    for position, instruction in enumerate(instructions):
        if instruction.code.jumps or _ends(instruction):
            if instruction.target is not None:
                leaders.add(instruction.target)
            if position + 1 < len(instructions):
                leaders.add(instructions[position + 1].index)
    starts = [position for position, one in enumerate(instructions) if one.index in leaders]
    pieces = [
        tuple(instructions[start:end])
        for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True)
    ]
    number_of = {piece[0].index: number for number, piece in enumerate(pieces)}
    ways = [list(_ways(piece[-1], number, number_of)) for number, piece in enumerate(pieces)]
    closing = _closing([[to for _, to in found] for found in ways])
    return tuple(
        Block(number, piece, tuple(Edge(kind, to, (number, to) in closing) for kind, to in ways[number]))
        for number, piece in enumerate(pieces)
    )


def _ends(instruction: ListedInstruction) -> bool:
    return instruction.code.kind == isa.JMP and instruction.code.operation == isa.EXIT


def _ways(
    last: ListedInstruction, number: int, number_of: Mapping[int, int]
) -> Iterator[tuple[EdgeKind, int]]:
    if _ends(last):
        return
    if not last.code.jumps or last.target is None:
        yield EdgeKind.ALWAYS, number + 1
    elif last.code.operation == isa.JA:
        yield EdgeKind.ALWAYS, number_of[last.target]
    else:
        yield EdgeKind.TAKEN, number_of[last.target]
        yield EdgeKind.NOT_TAKEN, number + 1


def _closing(following: Sequence[Sequence[int]]) -> frozenset[tuple[int, int]]:
    """Edges to a block that a walk from the first block is still in: each closes a loop."""
    found = set()
    inside: set[int] = set()
    seen: set[int] = set()
    pending: list[tuple[int, Iterator[int]]] = []

    def enter(number: int) -> None:
        seen.add(number)
        inside.add(number)
        pending.append((number, iter(following[number])))

    for first in range(len(following)):
        if first not in seen:
            enter(first)
        while pending:
            number, rest = pending[-1]
            to = next(rest, None)
            if to is None:
                inside.discard(number)
                pending.pop()
            elif to in inside:
                found.add((number, to))
            elif to not in seen:
                enter(to)
    return frozenset(found)


def loops(blocks: Sequence[Block]) -> int:
    """How many blocks loops lead back to."""
    return len({edge.to for block in blocks for edge in block.edges if edge.back})


def longest_way(blocks: Sequence[Block], worst_of: Mapping[str, int]) -> int:
    """The most instructions on a way through that goes back nowhere, with those of the functions that are
    called, whose longest ways are `worst_of`."""
    lengths: dict[int, int] = {}
    for number in _last_first(blocks):
        block = blocks[number]
        own = len(block.instructions)
        for instruction in block.instructions:
            reference = instruction.reference
            if reference is not None and reference.name in worst_of and calls_function(instruction):
                own += worst_of[reference.name]
        lengths[number] = own + max((lengths[edge.to] for edge in block.edges if not edge.back), default=0)
    return lengths[0]


def calls_function(instruction: ListedInstruction) -> bool:
    """Whether it calls a function of the object."""
    code = instruction.code
    return code.kind == isa.JMP and code.operation == isa.CALL and code.src == isa.PSEUDO_CALL


def _last_first(blocks: Sequence[Block]) -> list[int]:
    """The blocks, each after all that it leads to without going back."""
    order: list[int] = []
    seen: set[int] = set()
    for first in range(len(blocks)):
        pending = [(first, False)]
        while pending:
            number, done = pending.pop()
            if done:
                order.append(number)
            elif number not in seen:
                seen.add(number)
                pending.append((number, True))
                pending += [(edge.to, False) for edge in blocks[number].edges if not edge.back]
    return order
