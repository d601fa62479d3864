"""Instructions as llvm-objdump writes them: LLVM's BPF assembly, numbers in hexadecimal.

Source: llvm/lib/Target/BPF/BPFInstrInfo.td and BPFInstPrinter.cpp of LLVM 15 and newer, which write loads
and stores of 32 bits and less with w registers (`llvm-objdump -d --mcpu=v4 --print-imm-hex`). Where that
prints a symbol behind a jump's or a call's target, callers add names of their own.
"""

from __future__ import annotations

from typing import Final

from wardgate.compiler.vm import isa
from wardgate.compiler.vm.isa import Instruction

UNKNOWN: Final = "<unknown>"

_SIGN64: Final = 1 << 63
_ARITHMETIC: Final = {
    isa.ADD: "+=", isa.SUB: "-=", isa.MUL: "*=", isa.DIV: "/=", isa.OR: "|=", isa.AND: "&=", isa.LSH: "<<=",
    isa.RSH: ">>=", isa.MOD: "%=", isa.XOR: "^=", isa.MOV: "=", isa.ARSH: "s>>=",
}  # fmt: skip
_COMPARISONS: Final = {
    isa.JEQ: "==", isa.JGT: ">", isa.JGE: ">=", isa.JSET: "&", isa.JNE: "!=", isa.JSGT: "s>",
    isa.JSGE: "s>=", isa.JLT: "<", isa.JLE: "<=", isa.JSLT: "s<", isa.JSLE: "s<=",
}  # fmt: skip
_ATOMICS: Final = {
    isa.ADD: ("+=", "add"),
    isa.OR: ("|=", "or"),
    isa.AND: ("&=", "and"),
    isa.XOR: ("^=", "xor"),
}


def disassemble(instruction: Instruction) -> str:
    """The instruction's text; UNKNOWN for what LLVM does not know either."""
    kind = instruction.kind
    if instruction.code == isa.LD_IMM64:
        # As LLVM has it, a signed number.
        return f"r{instruction.dst} = {_number((instruction.imm ^ _SIGN64) - _SIGN64)} ll"
    if kind in (isa.ALU, isa.ALU64):
        return _arithmetic(instruction)
    if kind in (isa.JMP, isa.JMP32):
        return _jump(instruction)
    if kind == isa.STX and instruction.mode == isa.ATOMIC:
        return _atomic(instruction)
    return _access(instruction)


def _number(value: int) -> str:
    return f"-{-value:#x}" if value < 0 else f"{value:#x}"


def _distance(value: int) -> str:
    return f"{value:+#x}"


def _place(register: int, offset: int) -> str:
    return f"r{register} {'-' if offset < 0 else '+'} {abs(offset):#x}"


def _arithmetic(i: Instruction) -> str:
    name = "w" if i.kind == isa.ALU else "r"
    dst = f"{name}{i.dst}"
    by_register = bool(i.code & isa.REGISTER_SOURCE)
    if i.operation == isa.NEG:
        return f"{dst} = -{dst}"
    if i.operation == isa.END:
        order = "bswap" if i.kind == isa.ALU64 else "be" if by_register else "le"
        return f"r{i.dst} = {order}{i.imm} r{i.dst}"
    sign = _ARITHMETIC.get(i.operation)
    if sign is None:
        return UNKNOWN
    operand = f"{name}{i.src}" if by_register else _number(i.imm)
    if i.operation == isa.MOV and i.offset:
        return f"{dst} = (s{i.offset}){operand}"
    signed = "s" if i.offset and i.operation in (isa.DIV, isa.MOD) else ""
    return f"{dst} {signed}{sign} {operand}"


def _jump(i: Instruction) -> str:
    if i.operation == isa.CALL:
        return f"callx r{i.dst}" if i.code & isa.REGISTER_SOURCE else f"call {_number(i.imm)}"
    if i.operation == isa.EXIT:
        return "exit"
    if i.operation == isa.JA:
        return f"{'gotol' if i.kind == isa.JMP32 else 'goto'} {_distance(i.distance)}"
    sign = _COMPARISONS.get(i.operation)
    if sign is None:
        return UNKNOWN
    name = "w" if i.kind == isa.JMP32 else "r"
    operand = f"{name}{i.src}" if i.code & isa.REGISTER_SOURCE else _number(i.imm)
    return f"if {name}{i.dst} {sign} {operand} goto {_distance(i.offset)}"


def _access(i: Instruction) -> str:
    kind = f"{'s' if i.mode == isa.MEMSX else 'u'}{8 * i.size}"
    if i.mode not in (isa.MEM, isa.MEMSX) or i.kind == isa.LD:
        return UNKNOWN
    # Loads that extend the sign set all of a register.
    name = "r" if i.size == 8 or i.mode == isa.MEMSX else "w"
    if i.kind == isa.LDX:
        return f"{name}{i.dst} = *({kind} *)({_place(i.src, i.offset)})"
    value = _number(i.imm) if i.kind == isa.ST else f"{name}{i.src}"
    return f"*({kind} *)({_place(i.dst, i.offset)}) = {value}"


def _atomic(i: Instruction) -> str:
    if i.size < 4:
        return UNKNOWN
    name = "w" if i.size == 4 else "r"
    bits, place = 8 * i.size, _place(i.dst, i.offset)
    if i.imm == isa.XCHG:
        return f"{name}{i.src} = xchg{'32' if i.size == 4 else ''}_{bits}({place}, {name}{i.src})"
    if i.imm == isa.CMPXCHG:
        return f"{name}0 = cmpxchg{'32' if i.size == 4 else ''}_{bits}({place}, {name}0, {name}{i.src})"
    found = _ATOMICS.get(i.imm & ~isa.FETCH)
    if found is None:
        return UNKNOWN
    if i.imm & isa.FETCH:
        return f"{name}{i.src} = atomic_fetch_{found[1]}((u{bits} *)({place}), {name}{i.src})"
    return f"lock *(u{bits} *)({place}) {found[0]} {name}{i.src}"
