"""Operations of the instruction set that Python has no operator for (RFC 9669 section 4)."""

from __future__ import annotations

from wardgate.compiler.vm import isa
from wardgate.compiler.vm.errors import AccessError


def signed(value: int, bits: int) -> int:
    """`value` (unsigned, of `bits` bits) read as two's complement."""
    sign = 1 << bits - 1
    return (value ^ sign) - sign


def signed_divide(dividend: int, divisor: int, bits: int) -> int:
    """Quotient rounded towards zero; 0 where the divisor is 0."""
    if not divisor:
        return 0
    a, b = signed(dividend, bits), signed(divisor, bits)
    quotient = abs(a) // abs(b)
    return (quotient if (a < 0) == (b < 0) else -quotient) & (1 << bits) - 1


def signed_modulo(dividend: int, divisor: int, bits: int) -> int:
    """Remainder with the dividend's sign; the dividend where the divisor is 0."""
    if not divisor:
        return dividend
    a, b = signed(dividend, bits), signed(divisor, bits)
    remainder = abs(a) % abs(b)
    return (remainder if a >= 0 else -remainder) & (1 << bits) - 1


def swap(value: int, bits: int) -> int:
    """The low `bits` (16, 32 or 64) with their bytes in opposite order."""
    return int.from_bytes((value & (1 << bits) - 1).to_bytes(bits // 8, "little"), "big")


def atomic(operation: int, old: int, value: int, expected: int) -> int:
    """What an atomic instruction stores; all operands are unsigned and of its size."""
    if operation == isa.XCHG:
        return value
    if operation == isa.CMPXCHG:
        return value if old == expected else old
    match operation & ~isa.FETCH:
        case isa.ADD:
            return old + value
        case isa.OR:
            return old | value
        case isa.AND:
            return old & value
        case isa.XOR:
            return old ^ value
    raise AccessError(f"atomic operation {operation:#x} is none that this interpreter knows")
