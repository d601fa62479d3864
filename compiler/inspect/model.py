"""An artefact taken apart: programs and functions, their instructions, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from wardgate.compiler.vm import isa
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.spec import ObjectSpec


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """A line that instructions stem from: of a template (`bpf_templates/NAME`) or of a policy file.

    `line` counts from 1, `text` is the line as the compiler saw it, without the white space around it. An
    object without line info has instructions of no known origin: then `file` is empty and `line` 0.
    """

    file: str
    line: int
    text: str

    @property
    def known(self) -> bool:
        """Whether the object says where it comes from."""
        return self.line > 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.known else "unknown"


UNKNOWN_ORIGIN = Origin("", 0, "")


class ReferenceKind(Enum):
    """What an instruction refers to."""

    MAP = "map"
    TABLE = "table"
    DATA = "data"
    HELPER = "helper"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Reference:
    """What an instruction refers to, by name; `offset` in bytes, into a table or other global data."""

    kind: ReferenceKind
    name: str
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}" + (f"+{self.offset:#x}" if self.offset else "")


@dataclass(frozen=True, slots=True)
class ListedInstruction:
    """One instruction. `slot` counts 8 bytes from its section's start, as llvm-objdump does, `index` from its
    function's; `target` is the `index` that it may jump to. `text` is in llvm-objdump's syntax. `column` is
    in its origin's line, from 1; 0 where it is not known."""

    slot: int
    index: int
    code: isa.Instruction
    raw: bytes
    text: str
    target: int | None
    reference: Reference | None
    origin: Origin
    column: int


class EdgeKind(Enum):
    """How a block is left: a condition that holds, one that does not, or neither."""

    TAKEN = "taken"
    NOT_TAKEN = "not taken"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Edge:
    """From a block to the block `to`; `back`: it closes a loop."""

    kind: EdgeKind
    to: int
    back: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that run one after the other: `number` is its place in the function, from 0.

    `edges` are empty where the function ends.
    """

    number: int
    instructions: tuple[ListedInstruction, ...]
    edges: tuple[Edge, ...]

    @property
    def label(self) -> str:
        """`B7`."""
        return f"B{self.number}"

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The lines that its instructions stem from, each once, in the order of the instructions."""
        return tuple(dict.fromkeys(instruction.origin for instruction in self.instructions))


@dataclass(frozen=True, slots=True)
class Function:
    """A program (`hook` is `tc` or `xdp`), or a function that programs call (`hook` is None).

    `worst` is the longest way through it in instructions, those of functions that it calls included, that
    goes through none of its `loops` a second time.
    """

    name: str
    section: str
    hook: str | None
    blocks: tuple[Block, ...]
    calls: tuple[str, ...]
    loops: int
    worst: int

    @property
    def instructions(self) -> Iterator[ListedInstruction]:
        """All instructions in order."""
        for block in self.blocks:
            yield from block.instructions

    @property
    def size(self) -> int:
        """Instructions; a 64-bit constant is one of them."""
        return sum(len(block.instructions) for block in self.blocks)

    @property
    def slots(self) -> int:
        """What the kernel counts: a 64-bit constant is two."""
        return sum(i.code.slots for i in self.instructions)


class Signature(Enum):
    """What the artefact's signature section says, without a key to check it by."""

    ABSENT = "absent"
    UNSIGNED = "unsigned"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Inspection:
    """An artefact: `functions` has its programs first, each in the order of the object.

    `data` is all of it, `sections` are the ELF's sections with their sizes in bytes.
    """

    data: bytes
    spec: ObjectSpec
    manifest: Manifest
    functions: Mapping[str, Function]
    sections: Mapping[str, int]
    signature: Signature

    @property
    def size(self) -> int:
        """Bytes of the artefact."""
        return len(self.data)

    @property
    def programs(self) -> tuple[Function, ...]:
        """The functions that the kernel calls."""
        return tuple(function for function in self.functions.values() if function.hook)

    @property
    def instructions(self) -> Iterator[tuple[Function, ListedInstruction]]:
        """All instructions of all functions."""
        for function in self.functions.values():
            for instruction in function.instructions:
                yield function, instruction

    def reached(self, program: Function) -> tuple[Function, ...]:
        """A program and the functions that it calls, directly or not, in the order in which calls are met."""
        met = {program.name: program}
        pending = [program]
        while pending:
            for name in pending.pop(0).calls:
                if name not in met:
                    met[name] = self.functions[name]
                    pending.append(met[name])
        return tuple(met.values())
