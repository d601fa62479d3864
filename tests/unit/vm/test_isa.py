"""Instructions decode to what they are, and encode back to the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.errors import ImageError
from wardgate.compiler.vm.isa import Instruction

SHORT = st.integers(-(1 << 15), (1 << 15) - 1)
WORD = st.integers(-(1 << 31), (1 << 31) - 1)
REGISTER = st.integers(0, 10)


@given(st.integers(0, 255).filter(lambda code: code != isa.LD_IMM64), REGISTER, REGISTER, SHORT, WORD)
def test_round_trip(code: int, dst: int, src: int, offset: int, imm: int) -> None:
    instruction = Instruction(code, dst, src, offset, imm)
    data = isa.encode(instruction)
    assert isa.decode(data) == [instruction]
    assert isa.encode(isa.decode(data)[0]) == data
    assert str(instruction)


@given(REGISTER, REGISTER, st.integers(0, (1 << 64) - 1))
def test_wide_load_round_trip(dst: int, src: int, imm: int) -> None:
    instruction = Instruction(isa.LD_IMM64, dst, src, 0, imm)
    assert isa.decode(isa.encode(instruction)) == [instruction, None]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x95" + bytes(6), "whole instructions"),
        (b"\xb7\x0b" + bytes(6), "beyond r10"),
        (b"\xb7\xb0" + bytes(6), "beyond r10"),
        (b"\x18" + bytes(7), "second half"),
        (b"\x18" + bytes(7) + b"\x95" + bytes(7), "second half"),
    ],
)
def test_damaged_code(data: bytes, complaint: str) -> None:
    with pytest.raises(ImageError, match=complaint):
        isa.decode(data)


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (Instruction(0xBF, 6, 1, 0, 0), "r6 = r1"),
        (Instruction(0xB4, 0, 0, 0, -1), "w0 = -1"),
        (Instruction(0x61, 1, 6, 76, 0), "r1 = *(u32 *)(r6 +76)"),
        (Instruction(0x7B, 10, 1, -8, 0), "*(u64 *)(r10 -8) = r1"),
        (Instruction(0x2D, 2, 3, 4, 0), "if r2 > r3 goto pc+4"),
        (Instruction(0xC6, 2, 0, -4, -1), "if w2 s< -1 goto pc-4"),
        (Instruction(0x06, 0, 0, 0, 70_000), "goto pc+70000"),
        (Instruction(0x85, 0, 0, 0, 125), "call helper 125"),
        (Instruction(0x85, 0, 1, 0, 3), "call pc+3"),
        (Instruction(0xDC, 1, 0, 0, 16), "r1 = be16 r1"),
        (Instruction(0x3F, 1, 2, 1, 0), "r1 s/= r2"),
        (Instruction(0xBF, 1, 2, 8, 0), "r1 = (s8)r2"),
        (Instruction(0x95, 0, 0, 0, 0), "exit"),
    ],
)
def test_text(instruction: Instruction, text: str) -> None:
    assert str(instruction) == text
