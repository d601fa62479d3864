"""IPv4 addresses to destination classes, as `destination4` of lookup.h finds them."""

from __future__ import annotations

from collections.abc import Iterator

from wardgate.compiler.validation.encoded import Encoded, Spans
from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.searching import Boundaries, halving_by_pairs, reached

_BITS = 32
_ROOTS = 1 << 16
_NODE = 1 << 8


def has_routes4(encoded: Encoded) -> bool:
    """Whether there are tables for IPv4: programs without them know nothing of it."""
    return "route4_roots" in encoded.tables or "route4_class" in encoded.tables


def runs4(encoded: Encoded) -> Iterator[tuple[int, int]]:
    """(first address, destination class) in address order, from address 0; neighbours may be equal.

    OutOfBoundsError where an address leads out of a table.
    """
    trie = "route4_roots" in encoded.tables
    code = "route4_boundaries" in encoded.manifest.parameters
    search = "route4_steps" in encoded.manifest.parameters
    if trie + code + search != 1:
        raise ValidationError("the tables", f"{trie + code + search} forms of route4", "needs one")
    if trie:
        return _Trie(encoded).runs()
    if code:
        numbers = range(1, encoded.parameter("route4_boundaries") + 1)
        constants = [encoded.parameter(f"route4_boundary_{number}") for number in numbers]
        for constant in constants:
            # Programs compare by the sign of a difference of 64 bits.
            if constant >> _BITS:
                raise ValidationError(
                    "the manifest's parameters", f"boundary {constant:#x}", f"has addresses of {_BITS} bits"
                )
        return reached(constants, encoded.table("route4_class"), range(1 << _BITS))
    return _searched(encoded)


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
        self._roots.check_has(_ROOTS, "the last address")
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
            self._nodes.check_has(start + _NODE, place)
        for first, end, value in self._node_spans.within(start, start + _NODE):
            # The third level is the last: what looks like a pointer there is taken for a class.
            if not shift or not value & self._pointer:
                yield base + (first - start << shift), value
                continue
            for index in range(first - start, end - start):
                yield from self._node(value, base + (index << shift), shift - 8)


def _searched(encoded: Encoded) -> Iterator[tuple[int, int]]:
    index_bits = encoded.parameter("route4_index_bits")
    steps = halving_by_pairs(encoded.parameter("route4_steps"))
    if index_bits > _BITS:
        raise ValidationError("parameter route4_index_bits", f"{index_bits}", f"has addresses of {_BITS}")
    # Without a step, programs do not know of boundaries either.
    parts = [encoded.table("route4_keys")] if steps else []
    keys: list[int] = parts[0].values.tolist() if steps else []
    boundaries = Boundaries(keys, parts, encoded.table("route4_class"), range(1 << _BITS))
    if not index_bits:
        yield from boundaries.followed(0, 1 << _BITS, 0, steps)
        return
    index = encoded.table("route4_index")
    index.check_has(1 << index_bits, "the last address")
    shift = _BITS - index_bits
    # The search depends on where it begins alone, so equal neighbours are followed as one.
    for cell, end, position in Spans(index).within(0, 1 << index_bits):
        yield from boundaries.followed(cell << shift, end << shift, position, steps)
