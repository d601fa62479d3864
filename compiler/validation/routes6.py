"""IPv6 addresses to destination classes, as `destination6` of lookup.h finds them.

The search is followed for whole intervals of addresses at once: where it compares with a boundary
inside the interval, the interval is cut there, and both parts go on. So every address is accounted for,
whatever order the boundaries are in.
"""

from __future__ import annotations

from collections.abc import Iterator

from wardgate.compiler.validation.encoded import Encoded, Spans
from wardgate.compiler.validation.errors import OutOfBoundsError, ValidationError

_BITS = 128
_HIGH = 64
_MOST_STEPS = 32


def runs6(encoded: Encoded) -> Iterator[tuple[int, int]]:
    """(first address, destination class) in address order, from address 0; neighbours may be equal.

    OutOfBoundsError where an address leads out of a table.
    """
    return _Search(encoded).runs()


class _Search:
    def __init__(self, encoded: Encoded) -> None:
        parameter = encoded.parameter
        self._shared_bits = parameter("route6_shared_bits")
        self._shared = parameter("route6_shared")
        self._below, self._above = parameter("route6_below"), parameter("route6_above")
        self._index_bits = parameter("route6_index_bits")
        self._steps = parameter("route6_steps")
        self._index = encoded.table("route6_index")
        self._classes = encoded.table("route6_class")
        self._highs = encoded.table("route6_high")
        self._lows = encoded.tables.get("route6_low")
        bits = self._shared_bits + self._index_bits
        if bits > _HIGH or self._shared >> self._shared_bits or self._steps > _MOST_STEPS:
            raise ValidationError(
                "the manifest's parameters",
                f"{self._shared_bits} shared bits {self._shared:#x}, {self._index_bits} bits of index, "
                f"{self._steps} steps",
                "has addresses whose first half has both, and 32-bit positions",
            )
        if self._index_bits and len(self._index) != 1 << self._index_bits:
            raise OutOfBoundsError(
                "route6_index", (1 << self._index_bits) - 1, len(self._index), "an address's index"
            )

    def runs(self) -> Iterator[tuple[int, int]]:
        first, after = 0, 1 << _BITS
        if self._shared_bits:
            first = self._shared << (_BITS - self._shared_bits)
            after = self._shared + 1 << (_BITS - self._shared_bits)
            if first:
                yield 0, self._below
        if self._index_bits:
            shift = _BITS - self._shared_bits - self._index_bits
            # The search depends on where it starts alone, so equal neighbours are followed as one.
            for cell, end, position in Spans(self._index).within(0, 1 << self._index_bits):
                yield from self._search(first + (cell << shift), first + (end << shift), position)
        else:
            yield from self._search(first, after, 0)
        if after < 1 << _BITS:
            yield after, self._above

    def _search(self, first: int, after: int, position: int) -> Iterator[tuple[int, int]]:
        pending = [(first, after, position, 1 << self._steps >> 1)]
        while pending:
            low, high, position, step = pending.pop()
            while step:
                probe = position + step
                key = self._key(probe, low)
                step >>= 1
                if key <= low:
                    position = probe
                elif key < high:
                    pending.append((key, high, probe, step))
                    high = key
            if position >= len(self._classes):
                raise self._outside("route6_class", position, len(self._classes), low)
            yield low, self._classes.values[position]

    def _key(self, position: int, address: int) -> int:
        """The boundary that `address` is compared with."""
        if position >= len(self._highs):
            raise self._outside("route6_high", position, len(self._highs), address)
        key = self._highs.values[position] << _HIGH
        if self._lows is None:
            return key
        if position >= len(self._lows):
            raise self._outside("route6_low", position, len(self._lows), address)
        return key | self._lows.values[position]

    def _outside(self, table: str, index: int, count: int, address: int) -> OutOfBoundsError:
        return OutOfBoundsError(table, index, count, f"the search for address {address:#034x}")
