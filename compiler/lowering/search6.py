"""Destination classes of IPv6: sorted boundaries, an index on the first bits that vary, and a search.

A boundary is an address from which on another class holds. The bits that all boundaries share are
compared once with constants; the next few index the position where the search starts, which then
takes a fixed number of halving steps.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import Prefix
from wardgate.compiler.lowering.tables import TableData, narrowest, power_of_two, table

_HALF = 64
_MAX_INDEX_BITS = 16


@dataclass(frozen=True, slots=True)
class Search6:
    """Tables and the constants of the search.

    `shared_bits` first bits equal `shared` in every boundary but the first, which is address 0;
    addresses below have class `below`, those above have class `above`. The next `index_bits` bits
    index `route6_index`; `steps` halving steps follow. `both_halves`: keys are 128 bits long.
    """

    tables: tuple[TableData, ...]
    shared_bits: int
    shared: int
    below: int
    above: int
    index_bits: int
    steps: int
    both_halves: bool


def boundaries(prefixes: Sequence[tuple[Prefix, int]]) -> list[tuple[int, int]]:
    """(first address, class) in address order, from address 0, for prefixes in address order."""
    found: list[tuple[int, int]] = [(0, 0)]
    enclosing: list[tuple[int, int]] = []

    def set_from(address: int, number: int) -> None:
        if found[-1][0] == address:
            found.pop()
        if not found or found[-1][1] != number:
            found.append((address, number))

    def close_before(address: int) -> None:
        while enclosing and enclosing[-1][0] < address:
            last, _ = enclosing.pop()
            set_from(last + 1, enclosing[-1][1] if enclosing else 0)

    for prefix, number in prefixes:
        first = int(prefix.network_address)
        close_before(first)
        set_from(first, number)
        enclosing.append((int(prefix.broadcast_address), number))
    close_before(1 << 128)
    if found[-1][0] == 1 << 128:
        found.pop()
    return found


def search6(prefixes: Sequence[tuple[Prefix, int]]) -> Search6:
    """Tables `route6_index`, `route6_high`, `route6_low` (if needed) and `route6_class`."""
    cuts = boundaries(prefixes)
    keys = [key for key, _ in cuts]
    shared_bits = _shared_bits(keys[1:])
    shared = keys[-1] >> (128 - shared_bits) if shared_bits else 0
    both_halves = any(key & ((1 << _HALF) - 1) for key in keys)

    index_bits = min(_MAX_INDEX_BITS, _HALF - shared_bits, len(keys).bit_length() + 1)
    shift = 128 - shared_bits - index_bits
    base = shared << index_bits
    index, span = [], 0
    for cell in range(1 << index_bits):
        first = (base + cell) << shift
        after = (base + cell + 1) << shift
        position = bisect_right(keys, first) - 1
        index.append(position)
        span = max(span, bisect_left(keys, after) - 1 - position)
    steps = span.bit_length()

    size = power_of_two(len(keys) + (1 << steps))
    missing = size - len(keys)
    padded = keys + [(1 << 128) - 1] * missing
    numbers = [number for _, number in cuts]
    tables = [
        table("route6_index", narrowest(size), index, "first varying bits to position"),
        table("route6_high", 8, array("Q", [key >> _HALF for key in padded]), "boundary, first 64 bits"),
    ]
    if both_halves:
        low = array("Q", [key & ((1 << _HALF) - 1) for key in padded])
        tables.append(table("route6_low", 8, low, "boundary, last 64 bits"))
    numbers += [numbers[-1]] * missing
    tables.append(table("route6_class", narrowest(max(numbers)), numbers, "position to destination class"))
    return Search6(
        tuple(tables), shared_bits, shared, numbers[0], cuts[-1][1], index_bits, steps, both_halves
    )


def _shared_bits(keys: Sequence[int]) -> int:
    """How many of the first 48 bits all `keys` share; the index needs some of the first 64."""
    if not keys:
        return 0
    differing = (keys[0] ^ keys[-1]) >> (128 - 48)
    return 48 - differing.bit_length()
