"""Boundaries of addresses and ports that are off by one, in each form: the proof fails."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from encoded_policy import EncodedPolicy
from table_walk import TOP, Walk, parts6
from validated_policies import EVERY, Case, cases, encoded, is_caught, is_refused, new_tables, reached

EDGES = 8
"""Boundaries, at random, of each table of each policy."""
CELLS = 4

NODES = {"route4_roots": 1 << 16, "route4_nodes": 1 << 8, "ports_pages": 1 << 8, "ports_directory": 1 << 8}
"""Tables of runs, to how many entries one lookup chooses from."""

ROUTES = [
    (case, version)
    for version in (4, 6)
    for case in cases(f"route{version}")
    if f"route{version}_steps" in encoded(case).manifest.parameters
]
COMPARING = [
    (case, version) for case, version in ROUTES if encoded(case).manifest.parameters[f"route{version}_steps"]
]
"""Searches that compare with boundaries."""


@pytest.mark.parametrize("case", cases(*NODES), ids=str)
def test_a_boundary_between_entries(case: Case) -> None:
    right = encoded(case)
    for table, size in NODES.items():
        if table not in new_tables(case):
            continue
        entries = right.entries(table)
        read = reached(case, table)
        edges = [index for index in read if index % size and entries[index] != entries[index - 1]]
        assert edges, table
        for edge in random.Random(f"{case}").sample(edges, min(case.some(EDGES), len(edges))):
            assert is_refused(right.changed(table, {edge: entries[edge - 1]})), (table, edge)
            assert is_refused(right.changed(table, {edge - 1: entries[edge]})), (table, edge)


def keys(right: EncodedPolicy, version: int) -> list[int]:
    """The boundaries, padding and all."""
    if version == 4:
        return list(right.entries("route4_keys"))
    highs = right.entries("route6_high")
    lows = right.entries("route6_low") if "route6_low" in right.tables else [0] * len(highs)
    shared_bits = right.manifest.parameters["route6_shared_bits"]
    low_bits = 63 if shared_bits else 64
    base = right.manifest.parameters["route6_shared"] << 128 - shared_bits & 1 << 127 if shared_bits else 0
    return [base | high << low_bits | low for high, low in zip(highs, lows, strict=True)]


def with_keys(right: EncodedPolicy, version: int, changes: dict[int, int]) -> EncodedPolicy:
    """With other boundaries, cut to what the tables have."""
    if version == 4:
        return right.changed("route4_keys", changes)
    parts = {
        index: parts6(right.manifest.parameters["route6_shared_bits"], key) for index, key in changes.items()
    }
    wrong = right.changed("route6_high", {index: high for index, (high, _) in parts.items()})
    if "route6_low" not in right.tables:
        return wrong
    return wrong.changed("route6_low", {index: low for index, (_, low) in parts.items()})


def real(right: EncodedPolicy, version: int) -> list[int]:
    """The positions at which another class begins: not the first, and no padding."""
    classes = right.entries(f"route{version}_class")
    return [index for index in range(1, len(classes)) if classes[index] != classes[index - 1]]


def is_compared(right: EncodedPolicy, version: int, address: int, index: int) -> bool:
    """Whether the search for an address compares it with the boundary at a position."""
    walk = Walk(right)
    walk.destination(version, address)
    return ("route4_keys" if version == 4 else "route6_high", index) in walk.touched


@pytest.mark.parametrize(("case", "version"), COMPARING, ids=str)
def test_a_boundary_of_the_search(case: Case, version: int) -> None:
    right = encoded(case)
    all_keys, indexes = keys(right, version), real(right, version)
    step = 1 if version == 4 or "route6_low" in right.tables else 1 << 64
    caught = 0
    for index in random.Random(f"{case}").sample(indexes, min(case.some(EDGES), len(indexes))):
        key = all_keys[index]
        # The one address, or /64, that is judged with the other side.
        for moved, address in ((key + step, key), (key - step, key - 1)):
            if moved == TOP[version]:
                continue
            wrong = with_keys(right, version, {index: moved})
            # Where the search begins at a boundary, or ends before it, it does not compare with it.
            compared = is_compared(right, version, address, index)
            assert is_caught(case, wrong, exactly=not compared) is compared, (index, moved)
            caught += compared
    assert caught


@pytest.mark.parametrize(("case", "version"), COMPARING, ids=str)
def test_boundaries_in_each_others_place(case: Case, version: int) -> None:
    right = encoded(case)
    all_keys, indexes = keys(right, version), real(right, version)
    chance = random.Random(f"{case}")
    near = [(first, second) for first, second in combinations(indexes, 2) if second - first < 6]
    caught = 0
    for number, (first, second) in enumerate(chance.sample(near, min(5 * EDGES, len(near)))):
        if number >= case.some(EDGES) and caught:
            break
        wrong = with_keys(right, version, {first: all_keys[second], second: all_keys[first]})
        caught += is_caught(case, wrong, exactly=not caught)
    # Three of IPv4 are compared at once: their order is of no account.
    assert caught or len(indexes) < 4


@pytest.mark.parametrize(("case", "version"), ROUTES, ids=str)
def test_where_the_search_begins(case: Case, version: int) -> None:
    right, table = encoded(case), f"route{version}_index"
    bits = right.manifest.parameters[f"route{version}_index_bits"]
    if not bits:
        assert table not in right.tables or not reached(case, table)
        return
    cells, chance = right.entries(table), random.Random(f"{case}")
    assert len(cells) == 1 << bits
    changes = [cell for cell in range(1, len(cells)) if cells[cell] != cells[cell - 1]]
    tried = {0, *chance.sample(range(len(cells)), min(case.some(CELLS), len(cells)))}
    tried |= {
        cell - way for cell in chance.sample(changes, min(case.some(4), len(changes))) for way in (0, 1)
    }
    boundaries = set(real(right, version))
    caught = further = 0
    for cell in sorted(tried):
        near = {cells[cell] + 1, cells[cell] - 1, cells[cell - 1]}
        for other in near - {cells[cell]}:
            # Where it is less, the search may have steps to spare.
            caught += is_caught(case, right.changed(table, {cell: other}), exactly=not caught)
        if cells[cell] + 1 in boundaries:
            # What is more is never undone.
            assert is_refused(right.changed(table, {cell: cells[cell] + 1})), cell
            further += 1
    assert caught
    assert further or not boundaries


CONSTANTS = [
    (case, version)
    for version in (4, 6)
    for case in EVERY
    if encoded(case).manifest.parameters.get(f"route{version}_boundaries")
]


def test_both_ip_versions_have_boundaries_that_are_constants() -> None:
    assert {version for _, version in CONSTANTS} == {4, 6}


@pytest.mark.parametrize(("case", "version"), CONSTANTS, ids=str)
def test_a_boundary_that_is_a_constant_of_the_program(case: Case, version: int) -> None:
    right = encoded(case)
    parameters = right.manifest.parameters
    names = [name for name in parameters if name.startswith(f"route{version}_boundary_")]
    count = parameters[f"route{version}_boundaries"]
    assert len(names) == (count if version == 4 else 2 * count)
    for name in (*names, f"route{version}_boundaries"):
        assert is_refused(right.with_parameters(**{name: parameters[name] + 1})), name
        assert is_refused(right.described(lambda document, name=name: document["parameters"].pop(name))), name
    caught = 0
    for name in (*names, f"route{version}_boundaries"):
        if parameters[name]:
            # No packet can tell where the boundary is the first address that has the shared bits.
            wrong = right.with_parameters(**{name: parameters[name] - 1})
            caught += is_caught(case, wrong, exactly=True)
    assert caught >= count


@pytest.mark.parametrize(("case", "version"), CONSTANTS, ids=str)
def test_constants_in_another_order(case: Case, version: int) -> None:
    """A program counts those that an address has reached, so that it finds the same."""
    right = encoded(case)
    parameters = right.manifest.parameters
    ends = ("",) if version == 4 else ("_high", "_low")
    count = parameters[f"route{version}_boundaries"]
    assert count > 1
    other = {
        f"route{version}_boundary_{count + 1 - number}{end}": parameters[
            f"route{version}_boundary_{number}{end}"
        ]
        for number in range(1, count + 1)
        for end in ends
    }
    assert not is_caught(case, right.with_parameters(**other))
