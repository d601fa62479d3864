"""Each part of the decoder, on tables of any content, against a reader of one entry at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import groupby

import pytest
from encoded_policy import CODES, EncodedPolicy, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from table_walk import Walk, parts6
from wardgate.compiler.validation.encoded import (
    Encoded,
    EncodedTable,
    Spans,
    integers,
    read_artefact,
    read_encoded,
)
from wardgate.compiler.validation.errors import OutOfBoundsError, ValidationError
from wardgate.compiler.validation.matrix import rows_of
from wardgate.compiler.validation.routes4 import runs4
from wardgate.compiler.validation.routes6 import runs6
from wardgate.compiler.validation.services import decode_services

Tables = dict[str, tuple[int, list[int]]]
"""Elements and entries, by name."""

NARROW = st.sampled_from([1, 2, 4])
BASE = encode('version: 1\npolicies: {"*": {allow: ["10.0.0.0/8 22/tcp", "fd00::/8"]}}\n')


def table(name: str, element: int, values: list[int]) -> EncodedTable:
    """A table of the decoder's."""
    data = struct.pack(f"<{len(values)}{CODES[element]}", *values)
    return EncodedTable(name, element, data, integers(data, element))


@given(st.sampled_from([1, 2, 4, 8]), st.lists(st.integers(0, 3), min_size=1, max_size=70), st.data())
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


def build(tables: Tables, parameters: dict[str, int]) -> tuple[Encoded, Walk]:
    """Tables for both readers; they say nothing else of a policy, and have no form but their own."""
    others = {
        name: value
        for name, value in BASE.manifest.parameters.items()
        if not name.startswith(("route4_", "route6_"))
    }
    manifest = replace(BASE.manifest, parameters=others | parameters)
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
def searches(draw: st.DrawFn) -> tuple[Tables, dict[str, int]]:
    """Tables of IPv6 with boundaries in any order, positions beyond the end, and any number of steps."""
    shared_bits = draw(st.sampled_from([0, 2, 8, 48]))
    index_bits = draw(st.integers(0, 3))
    steps = draw(st.integers(0, 3))
    count = draw(st.sampled_from([4, 8]))
    size = {"min_size": count, "max_size": count}
    shared = draw(st.integers(0, (1 << shared_bits) - 1))
    around = shared << (64 - shared_bits) if shared_bits else 0
    near = st.integers(0, 15).map(lambda step: (around + (step << (60 - shared_bits))) % (1 << 64))
    small = st.integers(0, 3)
    positions = st.integers(0, count)
    tables = {
        "route6_index": (
            draw(NARROW),
            draw(st.lists(positions, min_size=1 << index_bits, max_size=1 << index_bits)),
        ),
        "route6_high": (8, draw(st.lists(near.map(lambda half: parts6(shared_bits, half << 64)[0]), **size))),
        "route6_class": (draw(NARROW), draw(st.lists(small, min_size=count, max_size=count))),
    }
    if draw(st.booleans()):
        tables["route6_low"] = (8, draw(st.lists(small, **size)))
    return tables, {
        "route6_shared_bits": shared_bits,
        "route6_shared": shared,
        "route6_below": 7,
        "route6_above": 8,
        "route6_index_bits": index_bits,
        "route6_steps": steps,
    }


@given(searches())
def test_the_search_of_ipv6(search: tuple[Tables, dict[str, int]]) -> None:
    encoded, walk = build(*search)
    check_runs(walk, walk.destinations6, lambda: runs6(encoded))


def check_runs(
    walk: Walk,
    expected: Iterable[tuple[int, int, int | None]],
    runs: Callable[[], Iterable[tuple[int, int]]],
) -> None:
    """Both readers find the same classes, or something that leads out of a table."""
    if walk.escaped:
        with pytest.raises(OutOfBoundsError) as caught:
            list(runs())
        assert (caught.value.table, caught.value.index) in walk.escaped
    else:
        assert joined(runs()) == [(first, number) for _, first, number in expected]


@st.composite
def searches4(draw: st.DrawFn) -> tuple[Tables, dict[str, int]]:
    """The same of IPv4, where three boundaries are looked at at once. Positions and tables are mostly such
    that nothing leads out of them."""
    index_bits, steps = draw(st.integers(0, 3)), draw(st.integers(0, 5))
    count = draw(st.sampled_from([1 << steps, (1 << steps) + 3, max(1, (1 << steps) - 1)]))
    keys = st.integers(0, 15).map(lambda step: step << 28) | st.sampled_from([1, (1 << 32) - 1])
    cells = st.lists(st.integers(0, draw(st.sampled_from([0, 3, 4]))), min_size=8, max_size=8)
    tables = {
        "route4_keys": (4, draw(st.lists(keys, min_size=count, max_size=count))),
        "route4_class": (draw(NARROW), [number % 7 for number in range(draw(st.integers(1, count + 3)))]),
        "route4_index": (draw(NARROW), draw(cells)[: 1 << index_bits]),
    }
    return tables, {"route4_index_bits": index_bits, "route4_steps": steps}


@settings(max_examples=150)
@given(searches4())
def test_the_search_of_ipv4(search: tuple[Tables, dict[str, int]]) -> None:
    encoded, walk = build(*search)
    check_runs(walk, walk.destinations4, lambda: runs4(encoded))


@given(st.lists(st.integers(0, 5), max_size=6), NARROW, st.integers(0, 1), st.booleans())
def test_boundaries_of_ipv4_that_are_constants(steps: list[int], element: int, less: int, ends: bool) -> None:
    constants = [step << 29 | (step == 5) for step in steps] + [(1 << 32) - 1] * ends
    classes = {"route4_class": (element, [n % 4 for n in range(max(1, len(constants) + 1 - less))])}
    parameters = {f"route4_boundary_{number}": key for number, key in enumerate(constants, 1)}
    encoded, walk = build(classes, {**parameters, "route4_boundaries": len(constants)})
    check_runs(walk, walk.destinations4, lambda: runs4(encoded))


@given(st.lists(st.integers(0, 15), max_size=6), st.integers(0, 1), st.sampled_from([0, 2, 8, 48]))
def test_boundaries_of_ipv6_that_are_constants(steps: list[int], less: int, shared_bits: int) -> None:
    shared = (1 << shared_bits) // 3
    around = shared << 128 - shared_bits
    constants = [around + (step << 124 - shared_bits) + step % 3 for step in steps]
    parameters = {"route6_boundaries": len(steps), "route6_shared_bits": shared_bits, "route6_shared": shared}
    for number, key in enumerate(constants, 1):
        parameters[f"route6_boundary_{number}_high"] = key >> 64
        parameters[f"route6_boundary_{number}_low"] = key & (1 << 64) - 1
    classes = [number % 4 for number in range(max(1, len(steps) + 1 - less))]
    encoded, walk = build(
        {"route6_class": (1, classes)}, {**parameters, "route6_below": 7, "route6_above": 8}
    )
    check_runs(walk, walk.destinations6, lambda: runs6(encoded))


@pytest.mark.parametrize("form", ["search", "code"])
def test_a_boundary_with_which_programs_cannot_compare(form: str) -> None:
    """They look at the sign of a difference, where both begin with other bits."""
    high, shared = 0xBD << 56, {"route6_shared_bits": 8, "route6_shared": 0xFD}
    ends = {"route6_below": 0, "route6_above": 0}
    if form == "code":
        parameters = {"route6_boundaries": 1, "route6_boundary_1_high": high, "route6_boundary_1_low": 0}
        encoded, _ = build({"route6_class": (1, [0, 1])}, {**parameters, **shared, **ends})
    else:
        parameters = {"route6_index_bits": 0, "route6_steps": 1}
        tables = {"route6_high": (8, [0, parts6(8, high << 64)[0]]), "route6_class": (1, [0, 1])}
        encoded, _ = build(tables, {**parameters, **shared, **ends})
    with pytest.raises(ValidationError, match="cannot compare"):
        list(runs6(encoded))


def test_a_low_part_with_a_bit_too_much() -> None:
    parameters = {"route6_index_bits": 0, "route6_steps": 1, "route6_below": 0, "route6_above": 0}
    tables = {
        "route6_high": (8, [0, 0x7D << 57]),
        "route6_low": (8, [0, 1 << 63]),
        "route6_class": (1, [0, 1]),
    }
    shared = {"route6_shared_bits": 8, "route6_shared": 0xFD}
    encoded, _ = build(tables, {**parameters, **shared})
    with pytest.raises(ValidationError, match="cannot compare"):
        list(runs6(encoded))


def test_one_shared_bit_is_not_enough_to_compare_by() -> None:
    parameters = {"route6_index_bits": 0, "route6_steps": 0, "route6_below": 0, "route6_above": 0}
    encoded, _ = build(
        {"route6_class": (1, [0])}, {**parameters, "route6_shared_bits": 1, "route6_shared": 1}
    )
    with pytest.raises(ValidationError, match="1 shared bits"):
        list(runs6(encoded))


@st.composite
def matrices(draw: st.DrawFn) -> tuple[str, int, Tables, dict[str, int]]:
    """A matrix's name and rows, and its tables in some form, of any content: perhaps too few of them."""
    form = draw(st.sampled_from(["plain", "paged", "ranked"]))
    name = "reach" if form == "ranked" else draw(st.sampled_from(["reach", "judge"]))
    rows, per_row = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    chance = draw(st.randoms(use_true_random=False))
    missing = draw(st.sampled_from([0, 0, 1]))
    if form == "plain":
        width = draw(st.integers(1, 70))
        cells = [chance.randrange(256) for _ in range(rows * width - missing)]
        return name, rows, {name: (draw(NARROW), cells or [0])}, {f"{name}_width": width}
    pages = draw(st.integers(1, 4))
    numbers = [chance.randrange(pages + missing) for _ in range(rows * per_row)]
    tables = {f"{name}_directory": (draw(NARROW), numbers)}
    values = (draw(NARROW), [chance.randrange(256) for _ in range(64 * pages)])
    if form == "paged":
        cut = draw(st.sampled_from([0, 0, 20]))
        return (
            name,
            rows,
            {**tables, f"{name}_pages": (values[0], values[1][: 64 * pages - cut])},
            {f"{name}_per_row": per_row},
        )
    bases = st.integers(0, 63) | st.sampled_from([64 * pages - 1, (1 << 64) - 2])
    lines = [
        number
        for _ in range(pages)
        for number in (chance.getrandbits(64) & chance.getrandbits(64) & chance.getrandbits(64), draw(bases))
    ]
    return (
        name,
        rows,
        {**tables, "reach_lines": (8, lines), "reach_values": values},
        {"reach_per_row": per_row},
    )


@settings(max_examples=150)
@given(matrices(), st.sets(st.integers(0, 129), min_size=1, max_size=6))
def test_rows_of_a_matrix(matrix: tuple[str, int, Tables, dict[str, int]], columns: set[int]) -> None:
    name, rows, tables, parameters = matrix
    encoded, walk = build(tables, parameters)
    look_up = walk.bucket if name == "reach" else walk.judgement
    for row in range(rows):
        walk.escaped.clear()
        expected = {column: look_up(row, column) for column in columns}
        if walk.escaped:
            with pytest.raises(OutOfBoundsError):
                rows_of(encoded, name, columns).row(row)
            continue
        found = rows_of(encoded, name, columns)
        entries = integers(found.row(row), found.element)
        assert {column: int(entries[column]) for column in columns} == expected


@st.composite
def tries(draw: st.DrawFn) -> Tables:
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
def test_the_trie_of_ipv4(tables: Tables) -> None:
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
def port_tables(draw: st.DrawFn) -> Tables:
    """Tables of services with a few pages, perhaps one too few."""
    pages = draw(st.sampled_from([1, 2, 4]))
    numbers = st.integers(0, pages - draw(st.sampled_from([0, 1, 1])))
    directory = [0] * 1024
    for index in draw(st.lists(st.integers(0, 1023), max_size=4)):
        directory[index] = draw(numbers)
    values = [0] * (pages * 256)
    for index in draw(st.lists(st.integers(0, pages * 256 - 1), max_size=5)):
        values[index] = draw(st.integers(1, 4))
    tables = {"protocols": (draw(NARROW), [draw(st.integers(0, 3))] * 256)}
    if draw(st.booleans()):
        tables |= {"ports_directory": (draw(NARROW), directory), "ports_pages": (draw(NARROW), values)}
    return tables


@settings(max_examples=20)
@given(port_tables())
def test_services(tables: Tables) -> None:
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
def test_a_table_that_is_too_small(tables: Tables, decode: object) -> None:
    encoded, _ = build(tables, {})
    with pytest.raises(OutOfBoundsError):
        decode(encoded)  # type: ignore[operator]


def test_an_object_is_read_as_it_was_written() -> None:
    encoded = read_encoded(read_artefact(BASE.artefact()))
    assert encoded.manifest == BASE.manifest
    assert {name: tuple(found.values) for name, found in encoded.tables.items()} == {
        name: BASE.entries(name) for name in BASE.tables
    }
