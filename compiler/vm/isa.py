"""The BPF instruction set: decoding, and instructions as text.

Source: RFC 9669 (BPF Instruction Set Architecture), including its sign-extending loads and moves,
signed division, unconditional byte swaps and long jumps, which clang calls `-mcpu=v4`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from wardgate.compiler.vm.errors import ImageError

LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)
"""Instruction classes: the low three bits of the opcode."""

IMM, MEM, MEMSX, ATOMIC = 0x00, 0x60, 0x80, 0xC0
"""Modes of loads and stores: the high three bits."""

W, H, B, DW = 0x00, 0x08, 0x10, 0x18
SIZES: Final = {W: 4, H: 2, B: 1, DW: 8}
"""Operand sizes in bytes."""

REGISTER_SOURCE = 0x08
"""Set in arithmetic and jumps where the second operand is a register; in END: big-endian."""

ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR, MOV, ARSH, END = range(0x00, 0xE0, 0x10)
"""Arithmetic operations: the high four bits."""

JA, JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, CALL, EXIT, JLT, JLE, JSLT, JSLE = range(0x00, 0xE0, 0x10)
"""Jumps: the high four bits."""

FETCH, XCHG, CMPXCHG = 0x01, 0xE1, 0xF1
"""Atomic operations in the immediate: FETCH is a flag beside ADD, OR, AND and XOR."""

LD_IMM64 = LD | IMM | DW
PSEUDO_MAP, PSEUDO_MAP_VALUE = 1, 2
"""Source register of LD_IMM64: what the immediate names once the object is loaded."""
PSEUDO_CALL = 1
"""Source register of CALL: the target is a function of the object."""

_MASK64: Final = (1 << 64) - 1
_FIELDS: Final = struct.Struct("<BBhi")
_ALU_SIGNS: Final = {
    ADD: "+=", SUB: "-=", MUL: "*=", DIV: "/=", OR: "|=", AND: "&=", LSH: "<<=", RSH: ">>=",
    MOD: "%=", XOR: "^=", MOV: "=", ARSH: "s>>=",
}  # fmt: skip
_JUMP_SIGNS: Final = {
    JEQ: "==", JGT: ">", JGE: ">=", JSET: "&", JNE: "!=", JSGT: "s>", JSGE: "s>=", JLT: "<", JLE: "<=",
    JSLT: "s<", JSLE: "s<=",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `offset` and `imm` are signed; `imm` of LD_IMM64 has all its 64 bits."""

    code: int
    dst: int
    src: int
    offset: int
    imm: int

    @property
    def kind(self) -> int:
        """The instruction class."""
        return self.code & 0x07

    @property
    def operation(self) -> int:
        """Operation of an arithmetic instruction or jump."""
        return self.code & 0xF0

    @property
    def mode(self) -> int:
        """Mode of a load or store."""
        return self.code & 0xE0

    @property
    def size(self) -> int:
        """Operand size of a load or store, in bytes."""
        return SIZES[self.code & 0x18]

    @property
    def slots(self) -> int:
        """8-byte slots that the instruction takes."""
        return 2 if self.code == LD_IMM64 else 1

    @property
    def target(self) -> int | None:
        """The register that it sets; None where it sets none, or calls."""
        if self.kind == STX and self.mode == ATOMIC:
            return 0 if self.imm == CMPXCHG else self.src if self.imm & FETCH else None
        return self.dst if self.kind in (LD, LDX, ALU, ALU64) else None

    @property
    def jumps(self) -> bool:
        """Whether it is a jump, conditional or not; calls and exits are none."""
        return self.kind in (JMP, JMP32) and self.operation not in (CALL, EXIT)

    @property
    def distance(self) -> int:
        """Slots to the target of a jump, counted from the slot after it."""
        return self.imm if self.code == JMP32 | JA else self.offset

    def __str__(self) -> str:
        return _text(self)


def decode(code: bytes) -> list[Instruction | None]:
    """The instructions of `code` by slot; the second slot of an LD_IMM64 holds None.

    ImageError where the bytes are no whole instructions, or name registers that do not exist.
    """
    if len(code) % 8:
        raise ImageError(f"{len(code)} bytes of code are not whole instructions")
    result: list[Instruction | None] = []
    slots = _FIELDS.iter_unpack(code)
    for opcode, registers, offset, imm in slots:
        dst, src = registers & 15, registers >> 4
        if dst > 10 or src > 10:
            raise ImageError(f"instruction {len(result)} names a register beyond r10")
        if opcode != LD_IMM64:
            result.append(Instruction(opcode, dst, src, offset, imm))
            continue
        second = next(slots, None)
        if second is None or second[:3] != (0, 0, 0):
            raise ImageError(f"instruction {len(result)}: a 64-bit load lacks its second half")
        whole = (second[3] << 32 | imm & 0xFFFFFFFF) & _MASK64
        result += [Instruction(opcode, dst, src, offset, whole), None]
    return result


def encode(instruction: Instruction) -> bytes:
    """The bytes of `instruction`: 8, or 16 for LD_IMM64."""
    registers = instruction.src << 4 | instruction.dst
    low = (instruction.imm & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
    first = _FIELDS.pack(instruction.code, registers, instruction.offset, low)
    if instruction.code != LD_IMM64:
        return first
    return first + struct.pack("<iI", 0, instruction.imm >> 32 & 0xFFFFFFFF)


def _text(i: Instruction) -> str:
    """In the notation of the kernel's verifier log."""
    name = "w" if i.kind in (ALU, JMP32) else "r"
    dst, src = f"{name}{i.dst}", f"{name}{i.src}"
    operand = src if i.code & REGISTER_SOURCE else str(i.imm)
    if i.code == LD_IMM64:
        return f"r{i.dst} = {i.imm:#x} ll"
    if i.kind in (ALU, ALU64):
        return _alu_text(i, dst, src, operand)
    if i.kind in (JMP, JMP32):
        if i.operation == CALL:
            return f"call pc{i.imm:+d}" if i.src == PSEUDO_CALL else f"call helper {i.imm}"
        if i.operation == EXIT:
            return "exit"
        target = f"goto pc{i.distance:+d}"
        if i.operation == JA:
            return target
        return f"if {dst} {_JUMP_SIGNS.get(i.operation, '?')} {operand} {target}"
    type_name = f"{'s' if i.mode == MEMSX else 'u'}{8 * i.size}"
    if i.kind == LDX:
        return f"r{i.dst} = *({type_name} *)(r{i.src} {i.offset:+d})"
    place = f"*({type_name} *)(r{i.dst} {i.offset:+d})"
    if i.kind == STX and i.mode == ATOMIC:
        return f"lock {place} {i.imm:#x} r{i.src}"
    return f"{place} = {i.imm if i.kind == ST else f'r{i.src}'}"


def _alu_text(i: Instruction, dst: str, src: str, operand: str) -> str:
    if i.operation == NEG:
        return f"{dst} = -{dst}"
    if i.operation == END:
        order = "bswap" if i.kind == ALU64 else "be" if i.code & REGISTER_SOURCE else "le"
        return f"r{i.dst} = {order}{i.imm} r{i.dst}"
    if i.operation == MOV and i.offset:
        return f"{dst} = (s{i.offset}){src}"
    signed = "s" if i.offset and i.operation in (DIV, MOD) else ""
    return f"{dst} {signed}{_ALU_SIGNS.get(i.operation, '?=')} {operand}"
