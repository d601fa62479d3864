"""Sets of addresses in the fewest prefixes, each with the longer prefixes that it leaves out.

The smallest such description is found over the binary trie of addresses, skipping whatever has no edge
inside: below a prefix that is taken, what is not meant is left out, and what is meant inside of that is taken
again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from wardgate.compiler.analysis.address_space import BITS, Interval
from wardgate.compiler.language.model import Address, Prefix


@dataclass(frozen=True, slots=True)
class Area:
    """The addresses of `prefix` that are in none of `excepting`, which are inside of it."""

    prefix: Prefix
    excepting: tuple[Prefix, ...] = ()

    def __contains__(self, address: Address) -> bool:
        return address in self.prefix and not any(address in inner for inner in self.excepting)

    def __str__(self) -> str:
        left_out = ", ".join(map(short, self.excepting))
        return f"{short(self.prefix)} except {left_out}" if left_out else short(self.prefix)


def short(prefix: Prefix) -> str:
    """A prefix as people write it: an address alone without its length."""
    return str(prefix.network_address) if prefix.prefixlen == prefix.max_prefixlen else str(prefix)


def describe_addresses(intervals: Mapping[int, Sequence[Interval]]) -> tuple[Area, ...]:
    """The areas that are these addresses together, by IP version; intervals are in order and apart."""
    return tuple(
        Area(_network(prefix, version), tuple(_network(inner, version) for inner in sorted(left_out)))
        for version, mine in sorted(intervals.items())
        # What is left out of a prefix is known once all have been looked at.
        for prefix, left_out in list(_Trie(version, mine).best().taken())
    )


_Place = tuple[int, int]
"""A prefix: its first address and its length."""


def _network(prefix: _Place, version: int) -> Prefix:
    return IPv4Network(prefix) if version == 4 else IPv6Network(prefix)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A prefix that is taken or left out, and what is inside of it, or (no prefix) parts side by side."""

    prefix: _Place | None
    parts: tuple[_Plan, ...]

    def taken(self) -> Iterator[tuple[_Place, list[_Place]]]:
        """Each prefix that is taken, with those left out of it. The plan is one of taking."""
        pending: list[tuple[_Plan, list[_Place] | None]] = [(self, None)]
        while pending:
            plan, around = pending.pop()
            inside = around
            if plan.prefix is not None:
                if around is None:
                    inside = []
                    yield plan.prefix, inside
                else:
                    around.append(plan.prefix)
                    inside = None
            pending += [(part, inside) for part in reversed(plan.parts)]


@dataclass(frozen=True, slots=True)
class _Costs:
    """The best plans for a prefix around which nothing is taken (`out`), or all is (`inside`), and how many
    prefixes they name."""

    out: int
    out_plan: _Plan
    inside: int
    inside_plan: _Plan


_NOTHING = _Plan(None, ())


class _Trie:
    def __init__(self, version: int, intervals: Sequence[Interval]) -> None:
        self._bits = BITS[version]
        # Where being in the set begins and ends, in turn.
        self._edges = [edge for first, last in intervals for edge in (first, last + 1)]

    def best(self) -> _Plan:
        return self._costs(0, 0).out_plan

    def _costs(self, first: int, length: int) -> _Costs:
        """Of the prefix that begins at `first`."""
        after = first + (1 << self._bits - length)
        low, high = bisect_left(self._edges, first + 1), bisect_left(self._edges, after)
        meant = low % 2 == 1
        if low == high:
            here = _Plan((first, length), ())
            return _Costs(1, here, 0, _NOTHING) if meant else _Costs(0, _NOTHING, 1, here)
        # An edge is the first address of another kind: what is on both sides of it has to be split.
        around = self._smallest(first, after, low, high)
        if around != (first, length):
            # Where the ends differ, what is meant is in the smaller prefix as a whole.
            return self._skipped(first, length, around, beside=meant and (high - low) % 2 == 0)
        half = 1 << self._bits - length - 1
        left, right = self._costs(first, length + 1), self._costs(first + half, length + 1)
        return self._chosen(
            _Costs(
                left.out + right.out,
                _Plan(None, (left.out_plan, right.out_plan)),
                left.inside + right.inside,
                _Plan(None, (left.inside_plan, right.inside_plan)),
            ),
            first,
            length,
        )

    def _chosen(self, stay: _Costs, first: int, length: int) -> _Costs:
        """The better one of going on, and of taking or leaving out the prefix itself."""
        here = first, length
        out, out_plan, inside, inside_plan = stay.out, stay.out_plan, stay.inside, stay.inside_plan
        if 1 + stay.inside < stay.out:
            out, out_plan = 1 + stay.inside, _Plan(here, (stay.inside_plan,))
        if 1 + stay.out < stay.inside:
            inside, inside_plan = 1 + stay.out, _Plan(here, (stay.out_plan,))
        return _Costs(out, out_plan, inside, inside_plan)

    def _smallest(self, first: int, after: int, low: int, high: int) -> _Place:
        """The smallest prefix in which all is that differs from what is at both ends, if these are alike."""
        begins, ends = self._edges[low], self._edges[high - 1]
        if (high - low) % 2:
            # The ends differ: at one of them, what is alike goes on to the end.
            if low % 2:
                begins = first
            else:
                ends = after
        length = self._bits - (begins ^ (ends - 1)).bit_length()
        return begins >> self._bits - length << self._bits - length, length

    def _skipped(self, first: int, length: int, around: _Place, *, beside: bool) -> _Costs:
        """Of a prefix in which all is alike (`beside`: meant) but for a smaller one."""
        inner = self._costs(*around)
        levels = around[1] - length
        here = first, length
        if beside:
            out, out_plan = 1 + inner.inside, _Plan(here, (inner.inside_plan,))
            if levels + inner.out < out:
                out, out_plan = levels + inner.out, self._beside(around, length, inner.out_plan)
            return _Costs(out, out_plan, inner.inside, inner.inside_plan)
        inside, inside_plan = 1 + inner.out, _Plan(here, (inner.out_plan,))
        if levels + inner.inside < inside:
            inside, inside_plan = levels + inner.inside, self._beside(around, length, inner.inside_plan)
        return _Costs(inner.out, inner.out_plan, inside, inside_plan)

    def _beside(self, around: _Place, length: int, inner: _Plan) -> _Plan:
        return _Plan(None, (*(_Plan(prefix, ()) for prefix in self._siblings(around, length)), inner))

    def _siblings(self, around: _Place, length: int) -> Iterator[_Place]:
        """The prefixes beside `around`, up to one of `length`."""
        first, own = around
        for level in range(own, length, -1):
            shift = self._bits - level
            yield (first >> shift ^ 1) << shift, level
