"""Each part of the decoder, on tables of any content, against a reader of one entry at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

import pytest
from encoded_policy import EncodedPolicy, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from table_walk import Walk
from wardgate.compiler.validation.encoded import (
    Encoded,
    EncodedTable,
    Spans,
    integers,
    read_artefact,
    read_encoded,
)
from wardgate.compiler.validation.errors import OutOfBoundsError, ValidationError
from wardgate.compiler.validation.routes4 import runs4
from wardgate.compiler.validation.routes6 import runs6
from wardgate.compiler.validation.services import decode_services

CODES = {2: "H", 4: "I", 8: "Q"}
BASE = encode('version: 1\npolicies: {"*": {allow: ["10.0.0.0/8 22/tcp", "fd00::/8"]}}\n')


def table(name: str, element: int, values: list[int]) -> EncodedTable:
    """A table of the decoder's."""
    data = struct.pack(f"<{len(values)}{CODES[element]}", *values)
    return EncodedTable(name, element, data, integers(data, element))


@given(st.sampled_from([2, 4, 8]), st.lists(st.integers(0, 3), min_size=1, max_size=70), st.data())
def test_spans_are_runs_of_equal_entries(element: int, values: list[int], data: st.DataObject) -> None:
    scale = data.draw(st.sampled_from([1, 1 << 8 * (element - 1)]))
    values = [value * scale for value in values]
    start = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(start + 1, len(values)))
    expected, first = [], start
    for value, run in groupby(values[start:end]):
        expected.append((first, first + len(list(run)), value))
        first = expected[-1][1]
    assert list(Spans(table("t", element, values)).within(start, end)) == expected


def build(tables: dict[str, tuple[int, list[int]]], parameters: dict[str, int]) -> tuple[Encoded, Walk]:
    """Tables for both readers; they say nothing else of a policy."""
    manifest = replace(BASE.manifest, parameters={**BASE.manifest.parameters, **parameters})
    decoded = {name: table(name, element, values) for name, (element, values) in tables.items()}
    contents = {name: (found.element, found.data) for name, found in decoded.items()}
    return Encoded(manifest, decoded), Walk(EncodedPolicy(BASE.policy, manifest, contents))


def joined(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs of which neighbours differ."""
    found: list[tuple[int, int]] = []
    for first, number in runs:
        if not found or found[-1][1] != number:
            found.append((first, number))
    return found


@st.composite
def searches(draw: st.DrawFn) -> tuple[dict[str, tuple[int, list[int]]], dict[str, int]]:
    """Tables of IPv6 with boundaries in any order, positions beyond the end, and any number of steps."""
    shared_bits = draw(st.sampled_from([0, 1, 8, 48]))
    index_bits = draw(st.integers(0, 3))
    steps = draw(st.integers(0, 3))
    count = draw(st.sampled_from([4, 8]))
    shared = draw(st.integers(0, (1 << shared_bits) - 1))
    around = shared << (64 - shared_bits) if shared_bits else 0
    near = st.integers(0, 15).map(lambda step: (around + (step << (60 - shared_bits))) % (1 << 64))
    small = st.integers(0, 3)
    positions = st.integers(0, count)
    tables = {
        "route6_index": (2, draw(st.lists(positions, min_size=1 << index_bits, max_size=1 << index_bits))),
        "route6_high": (8, draw(st.lists(near, min_size=count, max_size=count))),
        "route6_class": (2, draw(st.lists(small, min_size=count, max_size=count))),
    }
    if draw(st.booleans()):
        tables["route6_low"] = (8, draw(st.lists(small, min_size=count, max_size=count)))
    return tables, {
        "route6_shared_bits": shared_bits,
        "route6_shared": shared,
        "route6_below": 7,
        "route6_above": 8,
        "route6_index_bits": index_bits,
        "route6_steps": steps,
    }


@given(searches())
def test_the_search_of_ipv6(search: tuple[dict[str, tuple[int, list[int]]], dict[str, int]]) -> None:
    encoded, walk = build(*search)
    expected = [(first, number) for _, first, number in walk.destinations6]
    if walk.escaped:
        with pytest.raises(OutOfBoundsError) as caught:
            list(runs6(encoded))
        assert (caught.value.table, caught.value.index) in walk.escaped
    else:
        assert joined(runs6(encoded)) == expected


@st.composite
def tries(draw: st.DrawFn) -> dict[str, tuple[int, list[int]]]:
    """Roots and nodes with pointers anywhere, also to nodes that are shared or missing."""
    nodes = draw(st.sampled_from([0, 1, 2, 4]))
    pointers = st.integers(0, nodes + draw(st.sampled_from([-1, -1, 0]))) if nodes else st.nothing()
    entries = st.integers(0, 5) | pointers.map(lambda node: 0x8000 | node)
    roots = [0] * (1 << 16)
    for index in draw(st.lists(st.integers(0, 0xFFFF), max_size=3)):
        roots[index] = draw(entries)
    values = [draw(st.integers(0, 5))] * (nodes * 256)
    for index in draw(st.lists(st.integers(0, max(nodes * 256 - 1, 0)), max_size=6)):
        values[index : index + 1] = [draw(entries)] if nodes else []
    tables = {"route4_roots": (2, roots)}
    return tables | ({"route4_nodes": (2, values)} if nodes else {})


@settings(max_examples=20)
@given(tries())
def test_the_trie_of_ipv4(tables: dict[str, tuple[int, list[int]]]) -> None:
    encoded, walk = build(tables, {"route4_pointer": 0x8000})
    expected = [(first, number) for _, first, number in walk.destinations4]
    if walk.escaped:
        with pytest.raises(OutOfBoundsError, match=r"table route4_nodes: .* address \d+\.\d+"):
            list(runs4(encoded))
    else:
        assert joined(runs4(encoded)) == expected


@pytest.mark.parametrize("pointer", [0, 0x8001])
def test_a_pointer_is_one_bit(pointer: int) -> None:
    tables = {"route4_roots": (2, [0] * (1 << 16)), "route4_nodes": (2, [0] * 256)}
    encoded, _ = build(tables, {"route4_pointer": pointer})
    with pytest.raises(ValidationError, match="one bit"):
        list(runs4(encoded))


@st.composite
def port_tables(draw: st.DrawFn) -> dict[str, tuple[int, list[int]]]:
    """Tables of services with a few pages, perhaps one too few."""
    pages = draw(st.sampled_from([1, 2, 4]))
    numbers = st.integers(0, pages - draw(st.sampled_from([0, 1, 1])))
    directory = [0] * 1024
    for index in draw(st.lists(st.integers(0, 1023), max_size=4)):
        directory[index] = draw(numbers)
    values = [0] * (pages * 256)
    for index in draw(st.lists(st.integers(0, pages * 256 - 1), max_size=5)):
        values[index] = draw(st.integers(1, 4))
    tables = {"protocols": (2, [draw(st.integers(0, 3))] * 256)}
    if draw(st.booleans()):
        tables |= {"ports_directory": (2, directory), "ports_pages": (2, values)}
    return tables


@settings(max_examples=20)
@given(port_tables())
def test_services(tables: dict[str, tuple[int, list[int]]]) -> None:
    encoded, walk = build(tables, {})
    expected = list(walk.services)
    if walk.escaped:
        with pytest.raises(OutOfBoundsError, match=r"table ports_pages: .* port "):
            decode_services(encoded)
        return
    decoded = decode_services(encoded)
    found = [(protocol, first, number) for protocol, runs in decoded.ports.items() for first, number in runs]
    found += [(protocol, 0, number) for protocol, number in decoded.protocols.items()]
    assert sorted(found) == expected


@pytest.mark.parametrize(
    ("tables", "decode"),
    [
        ({"protocols": (2, [0] * 128)}, decode_services),
        (
            {"protocols": (2, [0] * 256), "ports_directory": (2, [0] * 512), "ports_pages": (2, [0] * 256)},
            decode_services,
        ),
        ({"route4_roots": (2, [0] * (1 << 15))}, lambda encoded: list(runs4(encoded))),
    ],
)
def test_a_table_that_is_too_small(tables: dict[str, tuple[int, list[int]]], decode: object) -> None:
    encoded, _ = build(tables, {})
    with pytest.raises(OutOfBoundsError):
        decode(encoded)  # type: ignore[operator]


def test_an_object_is_read_as_it_was_written() -> None:
    encoded = read_encoded(read_artefact(BASE.artefact()))
    assert encoded.manifest == BASE.manifest
    assert {name: tuple(found.values) for name, found in encoded.tables.items()} == {
        name: BASE.entries(name) for name in BASE.tables
    }
