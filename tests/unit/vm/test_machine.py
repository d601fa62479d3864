"""The interpreter: what instructions do, and what it refuses."""

from __future__ import annotations

import pytest
from bpf_assembly import EXIT, alu, atomic, call, call_local, jump, load, load64, store
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.errors import ImageError, ProgramError
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine

RETURN_ZERO = alu(isa.MOV, 0, imm=0) + EXIT


def run(*code: bytes, packet: bytes = b"", budget: int = 10_000, **fields: int) -> int:
    machine = Machine(Image.from_code(b"".join(code)), budget=budget)
    return machine.run("main", packet, fields).return_value


def packet_bytes(offset: int = 0) -> bytes:
    """r2 = data, r3 = data_end, r0 = the byte at `offset`, without the check a verifier would want."""
    return load(isa.W, 2, 1, 76) + load(isa.W, 3, 1, 80) + load(isa.B, 0, 2, offset)


def test_returns_signed_low_half() -> None:
    assert run(alu(isa.MOV, 0, imm=-1), EXIT) == -1
    assert run(load64(0, 0x1_0000_0002), EXIT) == 2


@pytest.mark.parametrize("size", [isa.B, isa.H, isa.W, isa.DW])
def test_stack_round_trip_and_sign_extension(size: int) -> None:
    sizes = isa.SIZES[size]
    code = [load64(1, 0x8182838485868788), store(size, 10, -8, src=1), load(size, 0, 10, -8)]
    low = 0x8182838485868788 & (1 << 8 * sizes) - 1
    expected = low & 0xFFFFFFFF
    assert run(*code, EXIT) & 0xFFFFFFFF == expected
    code[2] = load(size, 0, 10, -8, isa.MEMSX)
    high = [alu(isa.RSH, 0, imm=32)]
    wanted = 0x81828384 if size == isa.DW else 0xFFFFFFFF
    assert run(*code, *high, EXIT) & 0xFFFFFFFF == wanted


def test_packet_and_data_end() -> None:
    assert run(packet_bytes(3), EXIT, packet=bytes([9, 8, 7, 6])) == 6
    length = load(isa.W, 0, 1, 80) + load(isa.W, 2, 1, 76) + alu(isa.SUB, 0, src=2)
    assert run(length, EXIT, packet=bytes(77)) == 77
    assert run(load(isa.W, 0, 1, 0), EXIT, packet=bytes(77)) == 77
    assert run(load(isa.W, 0, 1, 8), EXIT, mark=5) == 5
    assert run(load(isa.H, 0, 1, 16), EXIT, packet=b"\x45" + bytes(19)) == 0x0008


def test_non_linear_packet_until_pulled() -> None:
    keep = alu(isa.MOV, 6, src=1)
    pull = alu(isa.MOV, 1, src=6) + alu(isa.MOV, 2, imm=4) + call(39)
    restore = alu(isa.MOV, 1, src=6)
    machine = Machine(Image.from_code(keep + pull + restore + packet_bytes(3) + EXIT))
    assert machine.run("main", bytes([9, 8, 7, 6]), linear=2).return_value == 6
    direct = Machine(Image.from_code(packet_bytes(3) + EXIT))
    with pytest.raises(ProgramError, match="has 2 bytes"):
        direct.run("main", bytes([9, 8, 7, 6]), linear=2)
    too_far = keep + alu(isa.MOV, 2, imm=5) + call(39) + EXIT
    assert Machine(Image.from_code(too_far)).run("main", bytes(4)).return_value == -12


def test_pointers_from_before_a_pull_fault() -> None:
    code = load(isa.W, 6, 1, 76) + alu(isa.MOV, 2, imm=0) + call(39) + load(isa.B, 0, 6, 0) + EXIT
    with pytest.raises(ProgramError, match="no region"):
        Machine(Image.from_code(code)).run("main", bytes(4))


def test_writes_reach_the_packet() -> None:
    code = load(isa.W, 2, 1, 76) + store(isa.H, 2, 1, imm=0x1234) + RETURN_ZERO
    machine = Machine(Image.from_code(code))
    assert machine.run("main", bytes(4)).packet == b"\0\x34\x12\0"
    assert machine.run("main", bytes(6), linear=4).packet == b"\0\x34\x12\0\0\0"


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (alu(isa.MOV, 0, src=3) + EXIT, "leaves r0 unset"),
        (alu(isa.ADD, 3, imm=1) + RETURN_ZERO, "reads r3, which nothing has set"),
        (jump(isa.JEQ, 4, 0, imm=0) + RETURN_ZERO, "nothing has set"),
        (load(isa.B, 0, 10, -1) + EXIT, "reads stack at -1"),
        (load(isa.B, 0, 10, 0) + EXIT, "has 512 bytes"),
        (store(isa.DW, 10, -516, imm=0) + RETURN_ZERO, "no region"),
        (alu(isa.MOV, 1, imm=0) + load(isa.W, 0, 1, 0) + EXIT, "address 0x0 is in no region"),
        (packet_bytes(4) + EXIT, "packet, which has 4 bytes"),
        (load(isa.W, 2, 1, 76) + store(isa.W, 2, 2, imm=0) + RETURN_ZERO, "packet, which has 4 bytes"),
        (load(isa.DW, 0, 1, 188) + EXIT, "context, which has 192 bytes"),
        (call(9999) + EXIT, "helper 9999"),
        (jump(isa.JA, 0, -1), "budget"),
        (alu(isa.MOV, 0, imm=0) + call_local(-2) + EXIT, "nested calls"),
        (b"\x2f" + bytes(7) + EXIT, "set"),
        (b"\xef" + bytes(7) + EXIT, "opcode 0xef"),
        (alu(isa.MOV, 1, imm=0) + call(8) + alu(isa.ADD, 1, imm=1) + EXIT, "reads r1"),
        (atomic(isa.W, isa.ADD, 10, -6, 10) + RETURN_ZERO, "aligned"),
        (alu(isa.MOV, 1, imm=0) + alu(isa.MOV, 2, src=10) + call(1) + EXIT, "no map"),
    ],
)
def test_refusals(code: bytes, complaint: str) -> None:
    with pytest.raises(ProgramError, match=complaint):
        run(code, packet=bytes(4))


def test_error_names_program_and_instruction() -> None:
    with pytest.raises(ProgramError) as caught:
        run(alu(isa.MOV, 2, imm=0) + load(isa.W, 0, 2, 4) + EXIT)
    assert (caught.value.program, caught.value.pc) == ("main", 1)
    assert caught.value.instruction == "r0 = *(u32 *)(r2 +4)"
    assert "instruction 1" in str(caught.value)


def test_calls_keep_registers_and_have_their_own_stack() -> None:
    code = (
        alu(isa.MOV, 6, imm=5)
        + store(isa.DW, 10, -8, imm=7)
        + alu(isa.MOV, 1, src=10)
        + alu(isa.ADD, 1, imm=-8)
        + call_local(3)
        + load(isa.DW, 1, 10, -8)
        + alu(isa.ADD, 0, src=1)
        + EXIT
        + load(isa.DW, 0, 1, 0)  # the caller's stack, through a pointer
        + alu(isa.MOV, 6, imm=100)
        + store(isa.DW, 10, -8, src=6)
        + store(isa.DW, 1, 0, src=6)
        + EXIT
    )
    assert run(code) == 107


def test_conditional_jumps_both_ways() -> None:
    code = alu(isa.MOV, 0, imm=0) + alu(isa.MOV, 1, imm=10)
    code += alu(isa.ADD, 0, src=1) + alu(isa.SUB, 1, imm=1) + jump(isa.JNE, 1, -3, imm=0) + EXIT
    assert run(code) == 55


def test_instructions_are_counted() -> None:
    loop = alu(isa.MOV, 1, imm=10) + alu(isa.SUB, 1, imm=1) + jump(isa.JNE, 1, -2, imm=0) + RETURN_ZERO
    machine = Machine(Image.from_code(loop), observe=True)
    assert machine.run("main").instructions == 1 + 2 * 10 + 2
    assert machine.statistics.instructions == len(machine.trace) == 23
    assert machine.statistics.executed[1] == 10
    assert machine.trace[:3] == [0, 1, 2]


@pytest.mark.parametrize(
    ("operation", "old", "value", "stored", "returned"),
    [
        (isa.ADD, 5, 3, 8, None),
        (isa.ADD | isa.FETCH, (1 << 64) - 1, 3, 2, (1 << 64) - 1),
        (isa.OR | isa.FETCH, 12, 3, 15, 12),
        (isa.AND | isa.FETCH, 12, 6, 4, 12),
        (isa.XOR | isa.FETCH, 12, 6, 10, 12),
        (isa.XCHG, 12, 6, 6, 12),
    ],
)
def test_atomics(operation: int, old: int, value: int, stored: int, returned: int | None) -> None:
    code = load64(1, old) + store(isa.DW, 10, -8, src=1) + load64(2, value)
    code += atomic(isa.DW, operation, 10, -8, 2)
    expected = value if returned is None else returned
    check = load64(4, expected) + alu(isa.XOR, 2, src=4)
    result = load(isa.DW, 0, 10, -8) + load64(3, stored) + alu(isa.XOR, 0, src=3) + alu(isa.OR, 0, src=2)
    assert run(code, check, result, EXIT) == 0


@pytest.mark.parametrize("expected", [12, 13])
def test_compare_and_exchange(expected: int) -> None:
    code = store(isa.DW, 10, -8, imm=12) + alu(isa.MOV, 0, imm=expected) + alu(isa.MOV, 2, imm=99)
    code += atomic(isa.DW, isa.CMPXCHG, 10, -8, 2) + load(isa.DW, 1, 10, -8)
    code += alu(isa.MUL, 0, imm=1000) + alu(isa.ADD, 0, src=1) + EXIT
    assert run(code) == 12_000 + (99 if expected == 12 else 12)


def test_unknown_program_and_wild_jump() -> None:
    with pytest.raises(ImageError, match="no program"):
        Machine(Image.from_code(RETURN_ZERO)).run("other")
    with pytest.raises(ImageError, match="jumps out"):
        Image.from_code(jump(isa.JA, 0, 5) + RETURN_ZERO)
    with pytest.raises(ImageError, match="jumps out"):
        Image.from_code(jump(isa.JA, 0, 1) + load64(0, 1) + EXIT)
    with pytest.raises(ImageError, match="frame pointer"):
        Image.from_code(alu(isa.MOV, 10, imm=0) + RETURN_ZERO)
    with pytest.raises(ImageError, match="nothing follows"):
        Image.from_code(alu(isa.MOV, 0, imm=0))
    with pytest.raises(ImageError, match="jumps out"):
        Image.from_code(call_local(-5) + EXIT)


def test_machine_runs_again_after_a_fault() -> None:
    machine = Machine(Image.from_code(packet_bytes(3) + EXIT))
    with pytest.raises(ProgramError):
        machine.run("main", bytes(2))
    assert machine.run("main", bytes([1, 2, 3, 4])).return_value == 4
