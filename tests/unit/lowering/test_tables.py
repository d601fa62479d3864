"""Each structure of tables gives what a plain search over its input gives."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wardgate.compiler.language.model import Prefix
from wardgate.compiler.lowering.destinations import destinations, runs_of_buckets
from wardgate.compiler.lowering.matrix import PAGE, paged_matrix
from wardgate.compiler.lowering.search6 import Search6, search6
from wardgate.compiler.lowering.tables import TableData, narrowest, power_of_two, table
from wardgate.compiler.lowering.trie4 import trie4


def values(tables: tuple[TableData, ...] | list[TableData], name: str) -> list[int]:
    return next(list(t.values) for t in tables if t.name == name)


@st.composite
def prefix_sets(draw: st.DrawFn, version: int) -> list[Prefix]:
    """Prefixes that overlap and neighbour each other, of all lengths."""
    bits = 32 if version == 4 else 128
    anchors = draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=1, max_size=3))
    found = set()
    for _ in range(draw(st.integers(1, 12))):
        near = draw(st.sampled_from([*anchors, 0, (1 << bits) - 1])) ^ draw(st.integers(0, 3))
        length = draw(st.one_of(st.integers(0, bits), st.sampled_from([0, 8, 16, 17, 24, 25, bits])))
        kind = "0.0.0.0/0" if version == 4 else "::/0"
        found.add(type(ip_network(kind))((near >> (bits - length) << (bits - length), length)))
    return sorted(found, key=lambda p: (int(p.network_address), p.prefixlen))


def edges(prefixes: list[Prefix]) -> list[int]:
    top = prefixes[0].max_prefixlen
    found = {0, (1 << top) - 1}
    for prefix in prefixes:
        first, last = int(prefix.network_address), int(prefix.broadcast_address)
        found |= {first - 1, first, first + 1, last - 1, last, last + 1}
    return sorted(a for a in found if 0 <= a < 1 << top)


def longest(prefixes: list[Prefix], address: int) -> int:
    """1 + the position of the longest prefix with the address; 0: none."""
    inside = [
        (p.prefixlen, i)
        for i, p in enumerate(prefixes, 1)
        if int(p.network_address) <= address <= int(p.broadcast_address)
    ]
    return max(inside)[1] if inside else 0


@given(prefix_sets(4))
@example([ip_network("0.0.0.0/0")])
@example([ip_network("10.0.0.0/16"), ip_network("10.0.0.0/24"), ip_network("10.0.0.0/32")])
def test_trie4(prefixes: list[Prefix]) -> None:
    tables = trie4([(p, i) for i, p in enumerate(prefixes, 1)])
    roots = values(tables, "route4_roots")
    nodes = values(tables, "route4_nodes") if len(tables) > 1 else []
    pointer = 1 << (8 * tables[0].element - 1)
    assert len(roots) == 1 << 16
    for address in edges(prefixes):
        entry = roots[address >> 16]
        for shift in (8, 0):
            if entry & pointer:
                entry = nodes[(entry - pointer) << 8 | address >> shift & 255]
        assert entry == longest(prefixes, address)


def search(found: Search6, address: int) -> int:
    """As the programs search."""
    high, low = address >> 64, address & (1 << 64) - 1
    if found.shared_bits:
        shared = high >> (64 - found.shared_bits)
        if shared != found.shared:
            return found.below if shared < found.shared else found.above
    index, highs = values(found.tables, "route6_index"), values(found.tables, "route6_high")
    lows = values(found.tables, "route6_low") if found.both_halves else None
    position = index[high >> (64 - found.shared_bits - found.index_bits) & (1 << found.index_bits) - 1]
    step = 1 << found.steps >> 1
    while step:
        at = position + step
        assert at < len(highs)
        if high > highs[at] or (high == highs[at] and (lows is None or low >= lows[at])):
            position = at
        step >>= 1
    return values(found.tables, "route6_class")[position]


@given(prefix_sets(6))
@example([ip_network("::/0")])
@example([ip_network("::/128"), ip_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")])
@example([ip_network("fd00:1::/48"), ip_network("fd00:1::1/128")])
def test_search6(prefixes: list[Prefix]) -> None:
    found = search6([(p, i) for i, p in enumerate(prefixes, 1)])
    for address in edges(prefixes):
        assert search(found, address) == longest(prefixes, address)


@given(prefix_sets(4), prefix_sets(6), st.data())
def test_buckets_cover_what_no_longer_bucket_does(
    four: list[Prefix], six: list[Prefix], data: st.DataObject
) -> None:
    space = destinations([*six, *four, *four])
    assert space.prefixes == (*four, *six)
    chosen = data.draw(st.sets(st.sampled_from(range(1, space.count))))
    runs = runs_of_buckets(space, {number: 100 + number for number in chosen})
    assert runs[0][0] == 0
    assert all(a[0] < b[0] < space.count and a[1] != b[1] for a, b in pairwise(runs))
    for number in range(space.count):
        expected = 0
        if number:
            prefix = space.prefixes[number - 1]
            own = [
                (other.prefixlen, i)
                for i, other in enumerate(space.prefixes, 1)
                if i in chosen and other.version == prefix.version and prefix.subnet_of(other)
            ]
            expected = 100 + max(own)[1] if own else 0
        assert [value for start, value in runs if start <= number][-1] == expected


@st.composite
def run_rows(draw: st.DrawFn) -> tuple[int, list[list[tuple[int, int]]]]:
    width = draw(st.integers(1, 300))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        starts = sorted({0, *draw(st.lists(st.integers(0, width - 1), max_size=8))})
        rows.append([(start, draw(st.integers(0, 3) | st.just(70_000))) for start in starts])
    return width, rows


@given(run_rows())
def test_paged_matrix(given_rows: tuple[int, list[list[tuple[int, int]]]]) -> None:
    width, rows = given_rows
    matrix = paged_matrix("m", rows, width, 70_000, "test")
    directory, pages = list(matrix.directory.values), list(matrix.pages.values)
    assert pages[:PAGE] == [0] * PAGE
    stored = [tuple(pages[i : i + PAGE]) for i in range(0, (max(directory) + 1) * PAGE, PAGE)]
    assert len(set(stored)) == len(stored)
    for row, runs in enumerate(rows):
        for column in range(width):
            page = directory[row * matrix.per_row + column // PAGE]
            expected = [value for start, value in runs if start <= column][-1]
            assert pages[page * PAGE + column % PAGE] == expected


def test_tables_are_padded_and_little_endian() -> None:
    assert (narrowest(65_535), narrowest(65_536), power_of_two(0), power_of_two(5)) == (2, 4, 1, 8)
    data = table("x", 2, [1, 2, 0x1234], "doc", padding=7)
    assert data.to_bytes() == bytes.fromhex("0100 0200 3412 0700")
    assert (data.section, data.symbol) == (".rodata.t_x", "t_x")
    with pytest.raises(OverflowError):
        narrowest(1 << 32)
    with pytest.raises(OverflowError):
        table("x", 2, [70_000], "doc")
