"""IPv6 addresses to destination classes, as `destination6` of lookup.h finds them."""

from __future__ import annotations

from collections.abc import Iterator

from wardgate.compiler.validation.encoded import Encoded, EncodedTable, Spans
from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.searching import Boundaries, halving, reached

_BITS = 128
_HALF = 64
_LOW_BITS = 63
"""Of the low part of a boundary in tables, where bits are shared."""
_LEAST_SHARED = 2


def has_routes6(encoded: Encoded) -> bool:
    """Whether there are tables for IPv6: programs without them know nothing of it."""
    return "route6_class" in encoded.tables


def runs6(encoded: Encoded) -> Iterator[tuple[int, int]]:
    """(first address, destination class) in address order, from address 0; neighbours may be equal.

    OutOfBoundsError where an address leads out of a table, ValidationError where the tables have what
    programs cannot compare.
    """
    return _Search(encoded).runs()


class _Search:
    def __init__(self, encoded: Encoded) -> None:
        parameter = encoded.parameter
        self._shared_bits = parameter("route6_shared_bits")
        self._shared = parameter("route6_shared")
        self._below, self._above = parameter("route6_below"), parameter("route6_above")
        self._code = "route6_boundaries" in encoded.manifest.parameters
        if self._code is ("route6_steps" in encoded.manifest.parameters):
            raise ValidationError("the tables", "both or neither form of route6", "needs one")
        self._index_bits = 0 if self._code else parameter("route6_index_bits")
        if self._shared_bits + self._index_bits > _HALF or self._shared >> self._shared_bits:
            raise ValidationError(
                "the manifest's parameters",
                f"{self._shared_bits} shared bits {self._shared:#x}, {self._index_bits} bits of index",
                "has addresses whose first half has both",
            )
        if self._shared_bits and self._shared_bits < _LEAST_SHARED:
            raise ValidationError(
                "the manifest's parameters",
                f"{self._shared_bits} shared bits",
                f"has none or {_LEAST_SHARED} at least, by which programs compare",
            )
        if self._code:
            self._constants = [
                parameter(f"route6_boundary_{number}_high") << _HALF
                | parameter(f"route6_boundary_{number}_low")
                for number in range(1, parameter("route6_boundaries") + 1)
            ]
            self._classes = encoded.table("route6_class")
            for constant in self._constants:
                if constant not in self._comparable():
                    raise ValidationError(
                        "the manifest's parameters",
                        f"boundary {constant:#x}, with which programs cannot compare",
                        "has addresses there",
                    )
            return
        self._steps = halving(parameter("route6_steps"))
        self._index = encoded.table("route6_index") if self._index_bits else None
        # Without a step, programs do not know of boundaries either.
        parts = []
        if self._steps:
            parts = [encoded.table("route6_high")]
            if "route6_low" in encoded.tables:
                parts.append(encoded.table("route6_low"))
        self._boundaries = Boundaries(
            self._keys(parts), parts, encoded.table("route6_class"), self._comparable()
        )

    def _comparable(self) -> range:
        """Where there are shared bits, programs compare by the sign of a difference: right for what begins
        with the same two bits."""
        if not self._shared_bits:
            return range(1 << _BITS)
        first = (self._shared >> self._shared_bits - _LEAST_SHARED) << _BITS - _LEAST_SHARED
        return range(first, first + (1 << _BITS - _LEAST_SHARED))

    def _keys(self, parts: list[EncodedTable]) -> list[int]:
        """The boundaries in tables; what is no low part of one makes one that is beyond all addresses."""
        highs: list[int] = parts[0].values.tolist() if parts else []
        lows: list[int] = parts[1].values.tolist() if parts[1:] else [0] * len(highs)
        if not self._shared_bits:
            return [high << _HALF | low for high, low in zip(highs, lows, strict=False)]
        # The first bit of all is not in the tables.
        base = (self._shared >> self._shared_bits - 1) << _BITS - 1
        return [
            (1 << _BITS if low >> _LOW_BITS else base) | high << _LOW_BITS | low
            for high, low in zip(highs, lows, strict=False)
        ]

    def runs(self) -> Iterator[tuple[int, int]]:
        first, after = 0, 1 << _BITS
        if self._shared_bits:
            first = self._shared << (_BITS - self._shared_bits)
            after = self._shared + 1 << (_BITS - self._shared_bits)
            if first:
                yield 0, self._below
        if self._code:
            yield from reached(self._constants, self._classes, range(first, after))
        elif self._index:
            self._index.check_has(1 << self._index_bits, "an address's index")
            shift = _BITS - self._shared_bits - self._index_bits
            # The search depends on where it begins alone, so equal neighbours are followed as one.
            for cell, end, position in Spans(self._index).within(0, 1 << self._index_bits):
                yield from self._boundaries.followed(
                    first + (cell << shift), first + (end << shift), position, self._steps
                )
        else:
            yield from self._boundaries.followed(first, after, 0, self._steps)
        if after < 1 << _BITS:
            yield after, self._above
