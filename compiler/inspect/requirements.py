"""What an artefact needs of a kernel, and the first Linux release that has each.

The manifest names features; what else there is to need is seen in the code and the maps. Releases are those
of the commits that brought a feature. A kernel may have it longer, by a backport: the runtime asks the kernel
(runtime.probe) and not this list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from wardgate.compiler.inspect.helpers import HELPERS
from wardgate.compiler.inspect.model import Inspection, ReferenceKind
from wardgate.compiler.vm import isa
from wardgate.runtime.layout import features
from wardgate.runtime.layout.maps import MapType

UNKNOWN: Final = "unknown"

_FEATURES: Final = {
    # Commits f56a653c1fd1, 2589726d12a1, 87df15de441b, e5069b9c23b3, fc9702273e2e, 457f44363a88,
    # 71d19214776e, 5576b991e9c1.
    features.BTF: "4.18",
    features.BOUNDED_LOOPS: "5.3",
    features.FROZEN_TABLES: "5.2",
    features.MEMORY_ARGUMENTS: "5.12",
    features.MMAPABLE_ARRAYS: "5.5",
    features.RING_BUFFER: "5.8",
    features.BOOT_CLOCK: "5.8",
    features.TICKS: "5.6",
}
_HOOKS: Final = {"tc": "4.1", "xdp": "4.8"}
_MAPS: Final = {
    MapType.HASH: "3.19", MapType.ARRAY: "3.19", MapType.PERCPU_ARRAY: "4.6", MapType.LRU_HASH: "4.10",
    MapType.RINGBUF: "5.8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Requirement:
    """A feature, and the first release that has it; UNKNOWN for a feature that is not known here."""

    feature: str
    linux: str


def requirements(inspection: Inspection) -> tuple[Requirement, ...]:
    """All that the artefact needs, what is newest first, each once."""
    found = dict.fromkeys(_needed(inspection))
    return tuple(sorted(found, key=lambda one: (_release(one.linux), one.feature), reverse=True))


def oldest_kernel(needed: tuple[Requirement, ...]) -> str:
    """The first release that has all; UNKNOWN where that of one is."""
    return needed[0].linux if needed else UNKNOWN


def _release(linux: str) -> tuple[int, ...]:
    return (999,) if linux == UNKNOWN else tuple(int(part) for part in linux.split("."))


def _needed(inspection: Inspection) -> Iterator[Requirement]:
    manifest = inspection.manifest
    for name in manifest.features:
        yield Requirement(name, _FEATURES.get(name, UNKNOWN))
    for program in inspection.programs:
        yield Requirement(f"{program.hook} programs", _HOOKS.get(program.hook or "", UNKNOWN))
    for spec in inspection.spec.maps.values():
        kind = MapType(spec.type)
        yield Requirement(f"{kind.name.lower()} maps", _MAPS.get(kind, UNKNOWN))
    if manifest.certificate and manifest.certificate.linux:
        yield Requirement("tables this large", manifest.certificate.linux)
    releases = dict(HELPERS.values())
    for _, instruction in inspection.instructions:
        code, reference = instruction.code, instruction.reference
        if reference is not None and reference.kind is ReferenceKind.HELPER:
            yield Requirement(reference.name, releases.get(reference.name, UNKNOWN))
        elif code.kind == isa.JMP32:
            # Commits 092ed0968bb6, 4cd58e9af8b9.
            long = code.operation == isa.JA
            yield Requirement("long jumps", "6.6") if long else Requirement("32-bit jumps", "5.1")
        elif code.kind == isa.STX and code.mode == isa.ATOMIC and code.imm != isa.ADD:
            yield Requirement("atomic operations", "5.12")
        elif _is_version4(code):
            yield Requirement("instructions of -mcpu=v4", "6.6")


def _is_version4(code: isa.Instruction) -> bool:
    """Sign extension, signed division and unconditional byte swaps (commits 1f9a1ea821ff and later)."""
    if code.kind in (isa.ALU, isa.ALU64):
        swap = code.kind == isa.ALU64 and code.operation == isa.END
        return swap or (code.operation in (isa.MOV, isa.DIV, isa.MOD) and bool(code.offset))
    return code.kind == isa.LDX and code.mode == isa.MEMSX
