"""How large a table may be: made, filled, frozen, and read by a program at its last entry."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from wardgate.compiler.vm import isa
from wardgate.compiler.vm.isa import Instruction
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout.maps import MapFlag, MapType
from wardgate.runtime.maps import Map
from wardgate.runtime.program import load_program
from wardgate.runtime.relocate import LinkedProgram
from wardgate.runtime.spec import ProgramKind
from wardgate.runtime.testrun import test_run

TABLES: Final = (1 << 22, 1 << 23, 1 << 26)
"""Bytes. 4 MiB is what kmalloc can give (KMALLOC_MAX_SIZE)."""

LARGEST_PER_CPU: Final = 1 << 15
"""Bytes that a value of a per-CPU array may have (PCPU_MIN_UNIT_SIZE)."""

_MARK: Final = 0x1234
_PSEUDO_MAP_VALUE: Final = 2


def observe(_folder: Path) -> dict[str, dict[str, int | str]]:
    """Kind to size to what became of it: what the program read, or the kernel's refusal."""
    return {
        "tables": {str(size): _table(size) for size in TABLES},
        "per CPU": {str(size): _per_cpu(size) for size in (LARGEST_PER_CPU, LARGEST_PER_CPU + 8)},
    }


def _table(size: int) -> int | str:
    flags = MapFlag.MMAPABLE | MapFlag.RDONLY_PROG
    try:
        with Map.create("t_large", MapType.ARRAY, 4, size, 1, flags) as table:
            table.update(bytes(4), bytes(size - 8) + _MARK.to_bytes(8, "little"))
            table.freeze()
            code = _reader(table.fd.fileno(), size // 8)
            linked = LinkedProgram("reader", ProgramKind.XDP, code, b"", b"", ())
            with load_program(linked, "GPL") as program:
                place = (size // 8 - 1).to_bytes(8, "little")
                return test_run(program, place.ljust(64, b"\0"), want_data=False).retval
    except WardgateError as error:
        return str(error)


def _reader(table: int, entries: int) -> bytes:
    """An XDP program: the entry of the table whose number the packet begins with."""
    branch = isa.JMP | isa.REGISTER_SOURCE
    map_value = isa.encode(Instruction(isa.LD_IMM64, 1, _PSEUDO_MAP_VALUE, 0, table))
    after_load = [
        Instruction(isa.ALU64 | isa.REGISTER_SOURCE | isa.ADD, 1, 2, 0, 0),
        Instruction(isa.LDX | isa.MEM | isa.DW, 0, 1, 0, 0),
        Instruction(isa.JMP | isa.EXIT, 0, 0, 0, 0),
    ]
    before_load = [
        Instruction(isa.ALU64 | isa.MOV, 0, 0, 0, 0),
        Instruction(isa.LDX | isa.MEM | isa.W, 2, 1, 0, 0),
        Instruction(isa.LDX | isa.MEM | isa.W, 3, 1, 4, 0),
        Instruction(isa.ALU64 | isa.REGISTER_SOURCE | isa.MOV, 4, 2, 0, 0),
        Instruction(isa.ALU64 | isa.ADD, 4, 0, 0, 8),
        Instruction(branch | isa.JGT, 4, 3, 7, 0),
        Instruction(isa.LDX | isa.MEM | isa.DW, 2, 2, 0, 0),
        Instruction(isa.JMP | isa.JGE, 2, 0, 5, entries),
        Instruction(isa.ALU64 | isa.LSH, 2, 0, 0, 3),
    ]
    return b"".join(map(isa.encode, before_load)) + map_value + b"".join(map(isa.encode, after_load))


def _per_cpu(size: int) -> int | str:
    try:
        with Map.create("counters", MapType.PERCPU_ARRAY, 4, size, 1, 0) as table:
            return table.info.value_size
    except WardgateError as error:
        return str(error)
