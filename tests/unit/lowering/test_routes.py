"""Destination classes, and each form of the tables that find them, against a plain search."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from table_walk import parts6, reached6
from wardgate.compiler.language.model import Prefix
from wardgate.compiler.lowering.destinations import Destinations, destinations
from wardgate.compiler.lowering.plan import Plan
from wardgate.compiler.lowering.ragged import Integers
from wardgate.compiler.lowering.route4 import Route4, route4_of
from wardgate.compiler.lowering.route6 import Route6, route6_of
from wardgate.compiler.lowering.search import bytes_touched


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


def plan(route4: str = "trie", bits: int = 0) -> Plan:
    return Plan("plain", "plain", route4, bits, bits, 0, 0)  # type: ignore[arg-type]


def encoded(route: Route4 | Route6, form: Plan) -> tuple[dict[str, list[int]], dict[str, int], set[str]]:
    tables, parameters, features = route.encode(form)
    return {found.name: found.values.tolist() for found in tables}, parameters, features


def space_of(prefixes: list[Prefix]) -> Destinations:
    """Their classes, found whatever order they come in."""
    space, numbers = destinations(prefixes[::-1])
    assert list(space.prefixes) == prefixes
    assert numbers == list(range(len(prefixes), 0, -1))
    return space


@given(prefix_sets(4), prefix_sets(6))
def test_classes_are_numbered_in_address_order(four: list[Prefix], six: list[Prefix]) -> None:
    space, numbers = destinations([*six, *four])
    assert numbers == [*range(len(four) + 1, space.count), *range(1, len(four) + 1)]
    assert space.prefixes == (*four, *six)
    assert [*space.of_version(4), *space.of_version(6)] == list(range(1, space.count))
    assert len(space.of_version(4)) == len(four)
    for number, (prefix, parent) in enumerate(zip(space.prefixes, space.parents, strict=True), 1):
        around = [
            (other.prefixlen, i)
            for i, other in enumerate(space.prefixes, 1)
            if i != number and other.version == prefix.version and prefix.subnet_of(other)
        ]
        assert parent == (max(around)[1] if around else 0)


@given(prefix_sets(4))
@example([ip_network("0.0.0.0/0")])
@example([ip_network("10.0.0.0/16"), ip_network("10.0.0.0/24"), ip_network("10.0.0.0/32")])
def test_trie4(prefixes: list[Prefix]) -> None:
    route = route4_of(space_of(prefixes).boundaries(4))
    tables, parameters, features = encoded(route, plan())
    roots, nodes = tables["route4_roots"], tables.get("route4_nodes", [])
    pointer = parameters["route4_pointer"]
    assert len(roots) == 1 << 16
    assert features == ({"V4_TRIE", "V4_NODES"} if nodes else {"V4_TRIE"})
    most = 0
    for address in edges(prefixes):
        entry, loads = roots[address >> 16], 1
        for shift in (8, 0):
            if entry & pointer:
                entry, loads = nodes[(entry - pointer) << 8 | address >> shift & 255], loads + 1
        assert entry == longest(prefixes, address)
        most = max(most, loads)
    assert route.candidates()[0].loads == most


@given(prefix_sets(4), st.integers(0, 20))
@example([ip_network("0.0.0.0/0")], 0)
@example([ip_network("255.255.255.255/32")], 0)
@example([ip_network("255.255.255.255/32")], 20)
@example([ip_network("10.0.0.0/16"), ip_network("10.0.0.0/24"), ip_network("10.0.0.0/32")], 8)
def test_search4(prefixes: list[Prefix], bits: int) -> None:
    route = route4_of(space_of(prefixes).boundaries(4))
    tables, parameters, features = encoded(route, plan("search", bits))
    steps = parameters["route4_steps"]
    assert parameters["route4_index_bits"] == bits
    assert ("V4_STEPS" in features) == ("route4_keys" in tables) == (steps > 0)
    assert ("V4_INDEXED" in features) == ("route4_index" in tables) == (bits > 0)
    if bits:
        assert len(tables["route4_index"]) == 1 << bits
    highest = 0
    for address in edges(prefixes):
        position = tables["route4_index"][address >> (32 - bits)] if bits else 0
        highest = max(highest, position)
        step = 1 << steps >> 1
        while step:
            # Out of the table would be an IndexError.
            if address >= tables["route4_keys"][position + step]:
                position += step
            step >>= 1
        assert tables["route4_class"][position] == longest(prefixes, address)
    size = len(tables["route4_class"])
    assert size == max(len(route.keys), highest + (1 << steps))
    assert not steps or len(tables["route4_keys"]) == size


@given(prefix_sets(4))
@example([ip_network("0.0.0.0/0")])
@example([ip_network("0.0.0.0/32"), ip_network("255.255.255.255/32")])
def test_code4(prefixes: list[Prefix]) -> None:
    route = route4_of(space_of(prefixes).boundaries(4))
    offered = [one for one in route.candidates() if one.variant == "code"]
    assert [one.steps for one in offered] == [len(route.keys) - 1] * (len(route.keys) <= 17)
    tables, parameters, features = encoded(route, plan("code"))
    assert features == {"V4_CODE"}
    constants = [parameters[f"route4_boundary_{n}"] for n in range(1, parameters["route4_boundaries"] + 1)]
    for address in edges(prefixes):
        reached = sum(address >= constant for constant in constants)
        assert tables["route4_class"][reached] == longest(prefixes, address)
    assert len(tables["route4_class"]) == len(constants) + 1


@given(prefix_sets(6))
@example([ip_network("::/0")])
@example([ip_network("2001:db8::/32"), ip_network("2001:db8::1/128")])
@example([ip_network("::/128"), ip_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")])
def test_code6(prefixes: list[Prefix]) -> None:
    route = route6_of(space_of(prefixes).boundaries(6))
    tables, parameters, features = encoded(route, replace(plan(), route6="code"))
    shared_bits = parameters["route6_shared_bits"]
    assert features - {"V6_SHARED", "V6_LOW"} == {"V6_CODE"}
    for address in edges(prefixes):
        high = address >> 64
        shared = high >> (64 - shared_bits) if shared_bits else 0
        if shared != parameters["route6_shared"]:
            side = "route6_below" if shared < parameters["route6_shared"] else "route6_above"
            assert parameters[side] == longest(prefixes, address)
            continue
        reached = 0
        for number in range(1, parameters["route6_boundaries"] + 1):
            name = f"route6_boundary_{number}"
            boundary = parameters[f"{name}_high"] << 64 | parameters[f"{name}_low"]
            parts = parts6(shared_bits, boundary)
            reached += reached6(shared_bits, address, parts, wide="V6_LOW" in features)
        assert tables["route6_class"][reached] == longest(prefixes, address)


@given(prefix_sets(6), st.integers(0, 16))
@example([ip_network("::/0")], 0)
@example([ip_network("::/0")], 7)
@example([ip_network("::/128"), ip_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")], 4)
@example([ip_network("fd00:1::/48"), ip_network("fd00:1::1/128")], 16)
@example([ip_network("2001:db8::/32"), ip_network("2001:db8::1/128")], 0)
@example([ip_network("ffff::/16")], 0)
def test_search6(prefixes: list[Prefix], bits: int) -> None:
    """With the comparison that the programs make: the sign of a difference, where bits are shared."""
    route = route6_of(space_of(prefixes).boundaries(6))
    tables, parameters, features = encoded(route, plan(bits=bits))
    shared_bits, steps = parameters["route6_shared_bits"], parameters["route6_steps"]
    highs, lows = tables.get("route6_high", []), tables.get("route6_low")
    assert ("V6_SHARED" in features) == (shared_bits > 0)
    assert ("V6_LOW" in features) == (lows is not None) or not steps
    assert ("V6_SEARCH" in features) == (steps > 0)
    assert len(tables.get("route6_index", [0])) == 1 << bits
    assert ("route6_index" in tables) == (bits > 0)
    assert ("route6_high" in tables) == (steps > 0)
    for address in edges(prefixes):
        high = address >> 64
        shared = high >> (64 - shared_bits) if shared_bits else 0
        if shared != parameters["route6_shared"]:
            side = "route6_below" if shared < parameters["route6_shared"] else "route6_above"
            assert parameters[side] == longest(prefixes, address)
            continue
        position = 0
        if "V6_INDEXED" in features:
            position = tables["route6_index"][high >> (64 - shared_bits - bits) & (1 << bits) - 1]
        step = 1 << steps >> 1
        while step:
            at = position + step
            boundary = highs[at], lows[at] if lows else 0
            position += step * reached6(shared_bits, address, boundary, wide=lows is not None)
            step >>= 1
        assert tables["route6_class"][position] == longest(prefixes, address)


@pytest.mark.parametrize("version", [4, 6])
@given(st.data())
def test_boundaries_are_where_the_class_changes(version: int, data: st.DataObject) -> None:
    prefixes = data.draw(prefix_sets(version))
    found = space_of(prefixes).boundaries(version)
    assert found[0][0] == 0
    assert all(a[0] < b[0] and a[1] != b[1] for a, b in pairwise(found))
    keys = [key for key, _ in found]
    for address in edges(prefixes):
        assert found[bisect_right(keys, address) - 1][1] == longest(prefixes, address)


def test_lines_touched_are_counted_once() -> None:
    def touched(*pairs: tuple[int, int]) -> int:
        first, end = (as_array([pair[side] for pair in pairs]) for side in (0, 1))
        return bytes_touched(first, end)

    assert touched((0, 1)) == 64
    assert touched((0, 1), (1, 64), (63, 65)) == 128
    assert touched((10, 700), (20, 30), (650, 651), (1280, 1281)) == 64 * 12


def as_array(values: list[int]) -> Integers:
    return np.array(values, np.int64)
