"""Random programs give the same registers, stack and packet in the interpreter and in the kernel."""

from __future__ import annotations

import struct

import pytest
from bpf_assembly import EXIT, alu, atomic, jump, load, store
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.runtime.program import load_program
from wardgate.runtime.relocate import LinkedProgram
from wardgate.runtime.spec import ProgramKind
from wardgate.runtime.testrun import test_run

pytestmark = pytest.mark.root

PACKET = 6
"""The register that points to the packet; all others are inputs and outputs."""
INPUTS = (0, 1, 2, 3, 4, 5, 7, 8, 9)
SCRATCH, SCRATCH_BYTES = -72, 64
XDP_PASS = 2

EDGES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 31, 32, 63, 64]
EDGES += [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
VALUES = st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1)
IMMEDIATES = st.sampled_from([0, 1, -1, 2, -(1 << 31), (1 << 31) - 1]) | st.integers(
    -(1 << 31), (1 << 31) - 1
)
REGISTERS = st.sampled_from(INPUTS)
SIZES = st.sampled_from([isa.B, isa.H, isa.W, isa.DW])
SHIFTS = (isa.LSH, isa.RSH, isa.ARSH)
COMPARISONS = [
    isa.JEQ, isa.JNE, isa.JSET, isa.JGT, isa.JGE, isa.JLT, isa.JLE, isa.JSGT, isa.JSGE, isa.JSLT, isa.JSLE,
]  # fmt: skip


@st.composite
def arithmetic(draw: st.DrawFn) -> bytes:
    operation = draw(st.sampled_from([isa.ADD, isa.SUB, isa.MUL, isa.DIV, isa.OR, isa.AND, *SHIFTS, isa.MOD,
                                      isa.XOR, isa.MOV, isa.NEG]))  # fmt: skip
    dst, wide = draw(REGISTERS), draw(st.booleans())
    if operation == isa.NEG:
        return alu(operation, dst, wide=wide)
    if draw(st.booleans()):
        return alu(operation, dst, src=draw(REGISTERS), wide=wide)
    imm = draw(IMMEDIATES)
    if operation in SHIFTS:
        imm %= 64 if wide else 32
    elif operation in (isa.DIV, isa.MOD):
        imm = imm or 1
    return alu(operation, dst, imm=imm, wide=wide)


@st.composite
def byte_order(draw: st.DrawFn) -> bytes:
    big = draw(st.booleans())
    code = isa.ALU | isa.END | (isa.REGISTER_SOURCE if big else 0)
    return isa.encode(isa.Instruction(code, draw(REGISTERS), 0, 0, draw(st.sampled_from([16, 32, 64]))))


@st.composite
def branch(draw: st.DrawFn) -> bytes:
    operation, dst, wide = draw(st.sampled_from(COMPARISONS)), draw(REGISTERS), draw(st.booleans())
    skipped = draw(arithmetic())
    if draw(st.booleans()):
        return jump(operation, dst, 1, src=draw(REGISTERS), wide=wide) + skipped
    return jump(operation, dst, 1, imm=draw(IMMEDIATES), wide=wide) + skipped


@st.composite
def memory(draw: st.DrawFn) -> bytes:
    size = draw(SIZES)
    width = isa.SIZES[size]
    offset = SCRATCH + width * draw(st.integers(0, SCRATCH_BYTES // width - 1))
    kind = draw(st.sampled_from(["load", "store", "immediate"]))
    if kind == "load":
        return load(size, draw(REGISTERS), 10, offset)
    if kind == "immediate":
        return store(size, 10, offset, imm=draw(IMMEDIATES))
    return store(size, 10, offset, src=draw(REGISTERS))


@st.composite
def atomics(draw: st.DrawFn) -> bytes:
    size = draw(st.sampled_from([isa.W, isa.DW]))
    width = isa.SIZES[size]
    offset = SCRATCH + width * draw(st.integers(0, SCRATCH_BYTES // width - 1))
    plain = draw(st.sampled_from([isa.ADD, isa.OR, isa.AND, isa.XOR]))
    operation = draw(st.sampled_from([plain, plain | isa.FETCH, isa.XCHG, isa.CMPXCHG]))
    return atomic(size, operation, 10, offset, draw(REGISTERS))


@st.composite
def newer(draw: st.DrawFn) -> bytes:
    """What clang calls `-mcpu=v4`."""
    dst, src, wide = draw(REGISTERS), draw(REGISTERS), draw(st.booleans())
    kind = draw(st.sampled_from(["divide", "divide by constant", "extend", "swap", "load", "jump"]))
    if kind == "divide":
        return alu(draw(st.sampled_from([isa.DIV, isa.MOD])), dst, src=src, wide=wide, offset=1)
    if kind == "divide by constant":
        imm = draw(IMMEDIATES) or 1
        return alu(draw(st.sampled_from([isa.DIV, isa.MOD])), dst, imm=imm, wide=wide, offset=1)
    if kind == "extend":
        return alu(
            isa.MOV, dst, src=src, wide=wide, offset=draw(st.sampled_from([8, 16, 32] if wide else [8, 16]))
        )
    if kind == "swap":
        bits = draw(st.sampled_from([16, 32, 64]))
        return isa.encode(isa.Instruction(isa.ALU64 | isa.END, dst, 0, 0, bits))
    if kind == "load":
        size = draw(st.sampled_from([isa.B, isa.H, isa.W]))
        return load(size, dst, 10, SCRATCH + 8 * draw(st.integers(0, 7)), isa.MEMSX)
    long_jump = isa.encode(isa.Instruction(isa.JMP32 | isa.JA, 0, 0, 0, 1))
    return jump(draw(st.sampled_from(COMPARISONS)), dst, 1, src=src) + long_jump + draw(arithmetic())


def assemble(body: bytes) -> bytes:
    """Registers from the packet, `body`, registers and scratch stack back into the packet."""
    slots = len(INPUTS) + SCRATCH_BYTES // 8
    done = alu(isa.MOV, 0, imm=XDP_PASS) + EXIT
    code = load(isa.W, PACKET, 1, 0) + load(isa.W, 7, 1, 4) + alu(isa.MOV, 8, src=PACKET)
    code += alu(isa.ADD, 8, imm=8 * slots) + jump(isa.JLE, 8, 2, src=7) + done
    code += store(isa.DW, 10, -8, src=PACKET)
    for index in range(SCRATCH_BYTES // 8):
        code += load(isa.DW, 1, PACKET, 8 * (len(INPUTS) + index))
        code += store(isa.DW, 10, SCRATCH + 8 * index, src=1)
    for index, register in enumerate(INPUTS):
        code += load(isa.DW, register, PACKET, 8 * index)
    code += body + load(isa.DW, PACKET, 10, -8)
    for index, register in enumerate(INPUTS):
        code += store(isa.DW, PACKET, 8 * index, src=register)
    for index in range(SCRATCH_BYTES // 8):
        code += load(isa.DW, 1, 10, SCRATCH + 8 * index)
        code += store(isa.DW, PACKET, 8 * (len(INPUTS) + index), src=1)
    return code + done


INPUT_BLOCKS = st.lists(st.lists(VALUES, min_size=17, max_size=17), min_size=1, max_size=8)
PROGRAMS = st.lists(arithmetic() | byte_order() | branch() | memory() | atomics(), min_size=1, max_size=40)
NEWER_PROGRAMS = st.lists(arithmetic() | newer(), min_size=1, max_size=20)


def compare(pieces: list[bytes], inputs: list[list[int]]) -> None:
    code = assemble(b"".join(pieces))
    machine = Machine(Image.from_code(code, section="xdp"))
    with load_program(LinkedProgram("random", ProgramKind.XDP, code, b"", b"", ()), "GPL") as program:
        for values in inputs:
            packet = struct.pack("<17Q", *values)
            kernel, emulated = test_run(program, packet), machine.run("main", packet)
            assert emulated.return_value == kernel.retval == XDP_PASS
            assert struct.unpack("<17Q", emulated.packet) == struct.unpack("<17Q", kernel.data_out)


@given(PROGRAMS, INPUT_BLOCKS)
def test_random_programs(pieces: list[bytes], inputs: list[list[int]]) -> None:
    compare(pieces, inputs)


@given(NEWER_PROGRAMS, INPUT_BLOCKS)
def test_random_programs_with_newer_instructions(pieces: list[bytes], inputs: list[list[int]]) -> None:
    compare(pieces, inputs)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("operation", [isa.DIV, isa.MOD])
@pytest.mark.parametrize("offset", [0, 1])
def test_division_at_its_edges(operation: int, offset: int, *, wide: bool) -> None:
    pieces = [alu(operation, 1, src=2, wide=wide, offset=offset)]
    pairs = [(a, b) for a in EDGES for b in (0, 1, (1 << 32) - 1, (1 << 64) - 1, 7)]
    compare(pieces, [[0, a, b, *[0] * 14] for a, b in pairs])
