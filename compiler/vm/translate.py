"""BPF to Python: each run of instructions becomes one Python function, when it is first reached.

A *chain* begins at a jump's target and follows the code while branches are not taken, over forward
jumps too. It returns the index of the next chain, or -1 at the end of its function. Registers are
global variables of the generated code (r0 to r10, integers from 0 to 2**64 - 1), since CPython reads
those about as fast as locals and a chain need not load and save the ones it does not touch.

Nothing is checked that Python checks by itself: a pointer into no region is a KeyError, an access
beyond one a struct.error or IndexError, a store into a read-only one or arithmetic on a register that
nothing has set a TypeError. The machine says what that means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wardgate.compiler.vm import isa
from wardgate.compiler.vm.errors import ImageError
from wardgate.compiler.vm.helpers import HELPERS
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.isa import Instruction
from wardgate.compiler.vm.memory import OFFSET_MASK, SHIFT, SPECIAL, STACK_SIZE

M32: Final = (1 << 32) - 1
M64: Final = (1 << 64) - 1
_SIGN32: Final = 1 << 31
_SIGN64: Final = 1 << 63
_LONGEST: Final = 24
"""Instructions in a chain; longer ones are cut, since what is not executed costs its compilation."""

_COMPARISONS: Final = {
    isa.JEQ: "==", isa.JNE: "!=", isa.JGT: ">", isa.JGE: ">=", isa.JLT: "<", isa.JLE: "<=",
    isa.JSGT: ">", isa.JSGE: ">=", isa.JSLT: "<", isa.JSLE: "<=",
}  # fmt: skip
_SIGNED: Final = (isa.JSGT, isa.JSGE, isa.JSLT, isa.JSLE)
_PLAIN: Final = {isa.ADD: "+", isa.SUB: "-", isa.MUL: "*", isa.OR: "|", isa.AND: "&", isa.XOR: "^"}


OBSERVED: Final = ("visit", "loaded", "called", "returned")
"""Functions that the code for an observed machine calls, besides those that all code does."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Python source of a chain's function, named `chain`; `lines[i]` is the pc of source line i + 1."""

    source: str
    lines: tuple[int, ...]


class Translator:
    """Makes chains of an image. `resolve` gives the value that an LD_IMM64 with a reference loads;
    with `observe`, the code calls the functions of OBSERVED, as observe.Observer has them."""

    def __init__(self, image: Image, resolve: Callable[[int], int], *, observe: bool) -> None:
        self._image, self._resolve, self._observe = image, resolve, observe

    def chain(self, pc: int) -> Chain:
        """The chain that begins at `pc`, where an instruction must begin."""
        return _Writer(self._image, self._resolve, self._observe).write(pc)


class _Writer:
    def __init__(self, image: Image, resolve: Callable[[int], int], observe: bool) -> None:
        self.image, self.resolve, self.observe = image, resolve, observe
        self.text: list[str] = []
        self.lines: list[int] = []
        self.pc = 0
        self.pending = 0
        """Instructions executed on the way here that `steps` does not have yet."""

    def write(self, pc: int) -> Chain:
        self.pc = pc
        self.emit("def chain():")
        self.emit(" global r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, steps")
        following: int | None = pc
        length = 0
        while following is not None:
            self.pc = following
            instruction = self.image.code[following]
            if instruction is None:
                raise ImageError(f"there is no instruction at {following}")
            if length == _LONGEST:
                self.leave(following)
                break
            following = self.instruction(instruction)
            length += 1
        return Chain("\n".join(self.text), tuple(self.lines))

    def emit(self, line: str) -> None:
        self.text.append(line)
        self.lines.append(self.pc)

    def leave(self, target: int, indent: str = " ") -> None:
        self.emit(f"{indent}steps += {self.pending}")
        if target <= self.pc:
            # Only a jump back can run forever, so only there is the budget looked at.
            self.emit(f"{indent}if steps > budget: exhausted()")
        self.emit(f"{indent}return {target}")

    def instruction(self, i: Instruction) -> int | None:
        """Write one instruction; the index of the one that follows in this chain."""
        if self.observe:
            self.emit(f" visit({self.pc})")
        self.pending += 1
        following = self.pc + i.slots
        match i.kind:
            case isa.ALU | isa.ALU64:
                self.emit(f" r{i.dst} = {self.arithmetic(i)}")
            case isa.JMP | isa.JMP32:
                return self.jump(i, following)
            case isa.LDX if i.mode in (isa.MEM, isa.MEMSX):
                self.load(i)
            case isa.ST | isa.STX if i.mode == isa.MEM:
                self.store(i)
            case isa.STX if i.mode == isa.ATOMIC:
                self.atomic(i)
            case _ if i.code == isa.LD_IMM64:
                refers = self.pc in self.image.references
                self.emit(f" r{i.dst} = {self.resolve(self.pc) if refers else i.imm}")
            case _:
                self.unknown(i)
        return following

    def unknown(self, i: Instruction) -> None:
        self.emit(f" raise AccessError('opcode {i.code:#04x} is none that this interpreter knows')")

    def arithmetic(self, i: Instruction) -> str:
        wide = i.kind == isa.ALU64
        mask, bits = (M64, 64) if wide else (M32, 32)
        dst = f"r{i.dst}" if wide else f"(r{i.dst} & {M32})"
        by_register = bool(i.code & isa.REGISTER_SOURCE)
        source = f"r{i.src}" if wide else f"(r{i.src} & {M32})"
        src = source if by_register else str(i.imm & mask)
        match i.operation:
            case isa.ADD | isa.SUB | isa.MUL:
                # The sum's low bits depend on the operands' low bits only: no mask before it.
                operand = f"r{i.src}" if by_register else f"({i.imm})"
                return f"(r{i.dst} {_PLAIN[i.operation]} {operand}) & {mask}"
            case isa.OR | isa.AND | isa.XOR:
                return f"{dst} {_PLAIN[i.operation]} {src}"
            case isa.DIV if i.offset == 1:
                return f"signed_divide({dst}, {src}, {bits})"
            case isa.MOD if i.offset == 1:
                return f"signed_modulo({dst}, {src}, {bits})"
            case isa.DIV:
                return f"{dst} // {src} if {src} else 0"
            case isa.MOD:
                return f"{dst} % {src} if {src} else {dst}"
            case isa.LSH | isa.RSH | isa.ARSH:
                amount = f"({src} & {bits - 1})" if by_register else str(i.imm & (bits - 1))
                if i.operation == isa.LSH:
                    return f"(r{i.dst} << {amount}) & {mask}"
                if i.operation == isa.RSH:
                    return f"{dst} >> {amount}"
                return f"{_signed(dst, bits)} >> {amount} & {mask}"
            case isa.NEG:
                return f"-r{i.dst} & {mask}"
            case isa.MOV if i.offset in (8, 16, 32):
                narrow = (1 << i.offset) - 1
                return f"{_signed(f'(r{i.src} & {narrow})', i.offset)} & {mask}"
            case isa.MOV if not i.offset:
                return src if by_register or not wide else str(i.imm & M64)
            case isa.END if i.imm in (16, 32, 64):
                if not wide and not by_register:
                    return f"r{i.dst} & {(1 << i.imm) - 1}"
                return f"swap(r{i.dst}, {i.imm})"
        return f"illegal({i.code})"

    def jump(self, i: Instruction, following: int) -> int | None:
        if i.operation == isa.EXIT:
            self.leave_function()
            return None
        if i.operation == isa.CALL:
            self.call(i)
            return following
        target = following + i.distance
        if i.operation == isa.JA:
            if target > self.pc:
                return target
            self.leave(target)
            return None
        self.emit(f" if {self.condition(i)}:")
        self.leave(target, "  ")
        return following

    def leave_function(self) -> None:
        self.emit(f" steps += {self.pending}")
        self.emit(" return -1")

    def condition(self, i: Instruction) -> str:
        wide = i.kind == isa.JMP
        mask, sign = (M64, _SIGN64) if wide else (M32, _SIGN32)
        dst = f"r{i.dst}" if wide else f"(r{i.dst} & {M32})"
        if i.code & isa.REGISTER_SOURCE:
            src = f"r{i.src}" if wide else f"(r{i.src} & {M32})"
            biased = f"({src} ^ {sign})"
        else:
            src, biased = str(i.imm & mask), str(i.imm & mask ^ sign)
        if i.operation == isa.JSET:
            return f"{dst} & {src}"
        comparison = _COMPARISONS.get(i.operation)
        if comparison is None:
            return f"illegal({i.code})"
        if i.operation in _SIGNED:
            # Flipping the sign bit of both turns the signed comparison into an unsigned one.
            return f"({dst} ^ {sign}) {comparison} {biased}"
        return f"{dst} {comparison} {src}"

    def call(self, i: Instruction) -> None:
        if i.src == isa.PSEUDO_CALL:
            self.emit(f" steps += {self.pending}")
            self.pending = 0
            self.emit(f" call({self.image.calls[self.pc]})")
        elif i.src == 0 and i.imm in HELPERS:
            arguments = [f"r{n + 1}" for n in range(HELPERS[i.imm][1])]
            if self.observe:
                self.emit(f" called({i.imm}, ({''.join(f'{argument}, ' for argument in arguments)}))")
            self.emit(f" r0 = helper{i.imm}({', '.join(arguments)})")
            if self.observe:
                self.emit(f" returned({i.imm}, r0)")
        else:
            self.emit(f" raise AccessError('helper {i.imm} is none that this interpreter knows')")
        self.emit(" r1 = r2 = r3 = r4 = r5 = UNSET")

    def place(self, register: int, offset: int) -> None:
        self.emit(f" t = r{register} + {offset}" if offset else f" t = r{register}")

    def load(self, i: Instruction) -> None:
        size, at = i.size, STACK_SIZE + i.offset
        told = False
        if i.src == 10 and 0 <= at <= STACK_SIZE - size:
            self.emit(f" if written[{at}:{at + size}] != VALID{size}: unwritten({i.offset})")
            value = f"frame[{at}]" if size == 1 else f"LOAD{size}(frame, {at})[0]"
        else:
            self.place(i.src, i.offset)
            told = self.observe
            inside = f"mem[t >> {SHIFT}], t & {OFFSET_MASK}"
            direct = f"mem[t >> {SHIFT}][t & {OFFSET_MASK}]" if size == 1 else f"LOAD{size}({inside})[0]"
            value = f"{direct} if t < {SPECIAL} else load(t, {size})"
        if i.mode == isa.MEMSX:
            value = f"{_signed(f'({value})', 8 * size)} & {M64}"
        self.emit(f" r{i.dst} = {value}")
        if told:
            self.emit(f" loaded(t, {size}, r{i.dst})")

    def store(self, i: Instruction) -> None:
        size, at = i.size, STACK_SIZE + i.offset
        mask = (1 << 8 * size) - 1
        value = str(i.imm & mask) if i.kind == isa.ST else f"r{i.src}" + ("" if size == 8 else f" & {mask}")
        if i.dst == 10 and 0 <= at <= STACK_SIZE - size:
            self.emit(f" STORE{size}(frame, {at}, {value})")
            self.emit(f" written[{at}:{at + size}] = VALID{size}")
            return
        self.place(i.dst, i.offset)
        inside = f"mem[t >> {SHIFT}], t & {OFFSET_MASK}"
        self.emit(f" if t < {SPECIAL}: STORE{size}({inside}, {value})")
        self.emit(f" else: store(t, {size}, {value})")

    def atomic(self, i: Instruction) -> None:
        if i.size not in (4, 8):
            self.unknown(i)
            return
        self.place(i.dst, i.offset)
        if i.imm == isa.CMPXCHG:
            self.emit(f" r0 = atomic(t, {i.size}, {i.imm}, r{i.src}, r0)")
        elif i.imm & isa.FETCH:
            self.emit(f" r{i.src} = atomic(t, {i.size}, {i.imm}, r{i.src}, 0)")
        else:
            self.emit(f" atomic(t, {i.size}, {i.imm}, r{i.src}, 0)")


def _signed(value: str, bits: int) -> str:
    sign = 1 << bits - 1
    return f"(({value} ^ {sign}) - {sign})"
