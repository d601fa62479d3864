"""Instructions are written as llvm-objdump writes them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_policies import policies
from wardgate.compiler.artefact.elf import ElfObject, Section, SectionFlag, SectionKind, write_object
from wardgate.compiler.compile import compile_parsed
from wardgate.compiler.inspect import inspect_artefact
from wardgate.compiler.inspect.disassembly import UNKNOWN, disassemble
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.isa import Instruction

IMMEDIATES = (0, 1, -1, 255, -(1 << 31), (1 << 31) - 1)
OFFSETS = (0, 5, -5, 32_767, -32_768)
ARITHMETIC = (
    isa.ADD, isa.SUB, isa.MUL, isa.DIV, isa.OR, isa.AND, isa.LSH, isa.RSH, isa.MOD, isa.XOR, isa.MOV,
    isa.ARSH,
)  # fmt: skip
COMPARISONS = (
    isa.JEQ, isa.JGT, isa.JGE, isa.JSET, isa.JNE, isa.JSGT, isa.JSGE, isa.JLT, isa.JLE, isa.JSLT, isa.JSLE,
)  # fmt: skip
SIZES = (isa.B, isa.H, isa.W, isa.DW)
ATOMICS = (
    *(operation | fetch for operation in (isa.ADD, isa.OR, isa.AND, isa.XOR) for fetch in (0, isa.FETCH)),
    isa.XCHG, isa.CMPXCHG,
)  # fmt: skip


def every_instruction():
    """One of each kind, with the operands that could be written in different ways."""
    for kind, operation in product((isa.ALU, isa.ALU64), ARITHMETIC):
        yield Instruction(kind | operation | isa.REGISTER_SOURCE, 3, 10, 0, 0)
        yield from (Instruction(kind | operation, 9, 0, 0, value) for value in IMMEDIATES)
    for kind in (isa.ALU, isa.ALU64):
        yield Instruction(kind | isa.NEG, 3, 0, 0, 0)
        yield from (Instruction(kind | isa.END, 3, 0, 0, bits) for bits in (16, 32, 64))
        for operation in (isa.DIV, isa.MOD):
            yield Instruction(kind | operation | isa.REGISTER_SOURCE, 3, 4, 1, 0)
            yield Instruction(kind | operation, 3, 0, 1, 7)
        yield from (Instruction(kind | isa.MOV | isa.REGISTER_SOURCE, 3, 4, bits, 0) for bits in (8, 16))
    yield Instruction(isa.ALU64 | isa.MOV | isa.REGISTER_SOURCE, 3, 4, 32, 0)
    yield from (Instruction(isa.ALU | isa.END | isa.REGISTER_SOURCE, 3, 0, 0, bits) for bits in (16, 32, 64))
    for kind, comparison, offset in product((isa.JMP, isa.JMP32), COMPARISONS, OFFSETS):
        yield Instruction(kind | comparison | isa.REGISTER_SOURCE, 3, 4, offset, 0)
        yield Instruction(kind | comparison, 3, 0, offset, -7)
    yield from (Instruction(isa.JMP | isa.JA, 0, 0, offset, 0) for offset in OFFSETS)
    yield from (Instruction(isa.JMP32 | isa.JA, 0, 0, 0, distance) for distance in (70_000, -70_000))
    yield Instruction(isa.JMP | isa.EXIT, 0, 0, 0, 0)
    yield from (Instruction(isa.JMP | isa.CALL, 0, 0, 0, number) for number in (1, 125))
    yield Instruction(isa.JMP | isa.CALL, 0, isa.PSEUDO_CALL, 0, -1)
    for value in (0, 1, (1 << 64) - 1, 1 << 63, 0xFFFF_0000_0000, 0x9E37_79B9_7F4A_7C15):
        yield Instruction(isa.LD_IMM64, 3, 0, 0, value)
    for size, offset in product(SIZES, OFFSETS):
        yield Instruction(isa.LDX | isa.MEM | size, 3, 4, offset, 0)
        yield Instruction(isa.STX | isa.MEM | size, 3, 4, offset, 0)
        yield from (Instruction(isa.ST | isa.MEM | size, 10, 0, offset, value) for value in IMMEDIATES)
        if size != isa.DW:
            yield Instruction(isa.LDX | isa.MEMSX | size, 3, 4, offset, 0)
    for size, operation, offset in product((isa.W, isa.DW), ATOMICS, OFFSETS):
        yield Instruction(isa.STX | isa.ATOMIC | size, 3, 4, offset, operation)


def test_every_kind_of_instruction_is_written_as_llvm_does(objdump, tmp_path):
    instructions = list(every_instruction())
    code = b"".join(map(isa.encode, instructions))
    flags = SectionFlag.ALLOC | SectionFlag.EXEC
    section = Section(".text", SectionKind.PROGBITS, flags, 8, code)
    seen = objdump(write_object(ElfObject((section,), ())), tmp_path)[".text"]
    assert [text for _, _, text in seen] == [disassemble(one) for one in instructions]


def assert_as_objdump(data, objdump, folder):
    seen = objdump(data, folder)
    ours = {}
    for function, one in inspect_artefact(data).instructions:
        ours.setdefault(function.section, []).append((one.slot, one.raw.hex(" "), one.text))
    assert {section: sorted(found) for section, found in ours.items()} == seen


def test_examples_are_written_as_llvm_does(example, objdump, tmp_path):
    assert_as_objdump(example.data, objdump, tmp_path)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(policies())
def test_random_artefacts_are_written_as_llvm_does(objdump, tmp_path, policy):
    assert_as_objdump(compile_parsed(parse_policy_text(policy.text).policy).data, objdump, tmp_path)


@pytest.mark.parametrize(
    "code",
    [
        isa.LDX | isa.ATOMIC | isa.W,
        isa.LD | isa.MEM | isa.W,
        isa.STX | isa.ATOMIC | isa.B,
        isa.ALU | 0xE0,
        isa.JMP | 0xE0,
    ],
)
def test_what_is_no_instruction_is_unknown(code):
    assert disassemble(Instruction(code, 1, 2, 0, 0)) == UNKNOWN


@given(st.integers(0, 255), st.integers(0, 10), st.integers(0, 10), st.integers(-9, 9), st.integers(-9, 9))
def test_any_instruction_has_a_text(code, dst, src, offset, imm):
    assert disassemble(Instruction(code, dst, src, offset, imm))
