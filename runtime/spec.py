"""What an artefact's ELF object says, as plain data: nothing here knows the kernel.

The counterpart is runtime.object, which makes kernel objects of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from wardgate.runtime.btf import Btf
from wardgate.runtime.btf_ext import LineInfo
from wardgate.runtime.layout.manifest import Manifest

INSTRUCTION_BYTES = 8


class ProgramKind(Enum):
    """The hook that a program is written for; the values are the words of the manifest.

    No artefact has FENTRY, the entry of a function of the kernel: programs of the gateway's own have.
    """

    TC = "tc"
    XDP = "xdp"
    FENTRY = "fentry"


class Target(Enum):
    """What an instruction refers to."""

    MAP = "map"
    DATA = "data"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Relocation:
    """Instruction `index` (from the function's first) refers to `name`, at `offset` bytes into it
    where that is a data section."""

    index: int
    target: Target
    name: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function: `instructions` as in the ELF, with its relocations sorted by index.

    `func_type` is its BTF id, 0 for none; the offsets in `lines` count from its first instruction.
    """

    name: str
    section: str
    instructions: bytes
    relocations: tuple[Relocation, ...]
    func_type: int
    lines: tuple[LineInfo, ...]


@dataclass(frozen=True, slots=True)
class ProgramSpec(FunctionSpec):
    """A function that the kernel calls."""

    kind: ProgramKind

    @property
    def traced(self) -> str:
        """The kernel's function that a FENTRY program is for, by its section `fentry/FUNCTION`."""
        return self.section.partition("/")[2]


@dataclass(frozen=True, slots=True)
class MapSpec:
    """A map that the object declares; sizes in bytes, type ids of BTF (0: none)."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    key_type: int
    value_type: int


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A section of global data, which becomes a map of one entry. `type_id` is its BTF id or 0."""

    name: str
    data: bytes
    read_only: bool
    type_id: int


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """A whole object. `functions` are those that programs call; `btf` is ready for the kernel.

    `signature` is the content of its section, empty where that is not there.
    """

    licence: str
    programs: Mapping[str, ProgramSpec]
    functions: Mapping[str, FunctionSpec]
    maps: Mapping[str, MapSpec]
    data: Mapping[str, DataSpec]
    btf: Btf | None
    manifest: Manifest | None
    signature: bytes
