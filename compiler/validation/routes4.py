"""IPv4 addresses to destination classes, as `destination4` of lookup.h finds them."""

from __future__ import annotations

from collections.abc import Iterator

from wardgate.compiler.validation.encoded import Encoded, Spans
from wardgate.compiler.validation.errors import OutOfBoundsError, ValidationError

_ROOTS = 1 << 16
_NODE = 1 << 8


def runs4(encoded: Encoded) -> Iterator[tuple[int, int]]:
    """(first address, destination class) in address order, from address 0; neighbours may be equal.

    OutOfBoundsError where an address leads out of a table.
    """
    return _Trie(encoded).runs()


class _Trie:
    def __init__(self, encoded: Encoded) -> None:
        self._roots = encoded.table("route4_roots")
        self._nodes = encoded.tables.get("route4_nodes")
        # Without nodes, programs do not know of pointers either.
        self._pointer = encoded.parameter("route4_pointer") if self._nodes else 0
        if self._pointer & (self._pointer - 1) or bool(self._nodes) is not bool(self._pointer):
            raise ValidationError("parameter route4_pointer", f"{self._pointer:#x}", "needs one bit")
        self._node_spans = Spans(self._nodes) if self._nodes else None

    def runs(self) -> Iterator[tuple[int, int]]:
        if len(self._roots) < _ROOTS:
            raise OutOfBoundsError("route4_roots", _ROOTS - 1, len(self._roots), "the last address")
        for first, end, entry in Spans(self._roots).within(0, _ROOTS):
            if not entry & self._pointer:
                yield first << 16, entry
                continue
            for root in range(first, end):
                yield from self._node(entry, root << 16, 8)

    def _node(self, entry: int, base: int, shift: int) -> Iterator[tuple[int, int]]:
        """Runs of the node behind `entry`, of which an item is `1 << shift` addresses from `base` on."""
        assert self._nodes is not None  # noqa: S101 - nothing is a pointer without nodes
        assert self._node_spans is not None  # noqa: S101
        start = (entry & ~self._pointer) << 8
        if start + _NODE > len(self._nodes):
            place = f"address {base >> 24}.{base >> 16 & 255}.{base >> 8 & 255}.{base & 255}"
            raise OutOfBoundsError("route4_nodes", start + _NODE - 1, len(self._nodes), place)
        for first, end, value in self._node_spans.within(start, start + _NODE):
            # The third level is the last: what looks like a pointer there is taken for a class.
            if not shift or not value & self._pointer:
                yield base + (first - start << shift), value
                continue
            for index in range(first - start, end - start):
                yield from self._node(value, base + (index << shift), shift - 8)
