"""Just enough of an assembler for tests: one function an instruction, all returning bytes."""

from __future__ import annotations

from wardgate.compiler.vm import isa
from wardgate.compiler.vm.isa import Instruction

EXIT = isa.encode(Instruction(isa.JMP | isa.EXIT, 0, 0, 0, 0))


def alu(
    operation: int, dst: int, *, src: int | None = None, imm: int = 0, wide: bool = True, offset: int = 0
) -> bytes:
    """`dst operation= src` or `imm`."""
    code = operation | (isa.ALU64 if wide else isa.ALU) | (isa.REGISTER_SOURCE if src is not None else 0)
    return isa.encode(Instruction(code, dst, src or 0, offset, imm))


def load64(dst: int, value: int) -> bytes:
    """`dst = value`, 64 bits."""
    return isa.encode(Instruction(isa.LD_IMM64, dst, 0, 0, value))


def load(size: int, dst: int, src: int, offset: int, mode: int = isa.MEM) -> bytes:
    """`dst = *(size *)(src + offset)`; `size` is isa.B, H, W or DW."""
    return isa.encode(Instruction(isa.LDX | mode | size, dst, src, offset, 0))


def store(size: int, dst: int, offset: int, *, src: int | None = None, imm: int = 0) -> bytes:
    """`*(size *)(dst + offset) = src` or `imm`."""
    kind = isa.ST if src is None else isa.STX
    return isa.encode(Instruction(kind | isa.MEM | size, dst, src or 0, offset, imm))


def atomic(size: int, operation: int, dst: int, offset: int, src: int) -> bytes:
    """An atomic operation on `*(size *)(dst + offset)`."""
    return isa.encode(Instruction(isa.STX | isa.ATOMIC | size, dst, src, offset, operation))


def jump(
    operation: int, dst: int, offset: int, *, src: int | None = None, imm: int = 0, wide: bool = True
) -> bytes:
    """A jump over `offset` slots if `dst operation src` or `imm`."""
    code = operation | (isa.JMP if wide else isa.JMP32) | (isa.REGISTER_SOURCE if src is not None else 0)
    return isa.encode(Instruction(code, dst, src or 0, offset, imm))


def call(helper: int) -> bytes:
    """A call of a helper."""
    return isa.encode(Instruction(isa.JMP | isa.CALL, 0, 0, 0, helper))


def call_local(distance: int) -> bytes:
    """A call of the function `distance` slots after the next."""
    return isa.encode(Instruction(isa.JMP | isa.CALL, 0, isa.PSEUDO_CALL, 0, distance))
