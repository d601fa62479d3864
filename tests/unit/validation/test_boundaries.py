"""Boundaries of addresses and ports that are off by one: the proof fails."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from encoded_policy import EncodedPolicy, encode
from surveys import straight_line
from table_walk import Walk
from validated_policies import POLICIES, encoded, is_refused, nobody_can_tell, walked

MOST = 60
CELLS = 30


@pytest.mark.parametrize("policy", ["office", "wide"])
@pytest.mark.parametrize(
    ("table", "size"), [("route4_roots", 1 << 16), ("route4_nodes", 1 << 8), ("ports_pages", 1 << 8)]
)
def test_a_boundary_between_entries(policy: str, table: str, size: int) -> None:
    right, (walk, _) = encoded(policy), walked(policy)
    entries = right.entries(table)
    read = {index for name, index in walk.touched if name == table}
    edges = [index for index in sorted(read) if index % size and entries[index] != entries[index - 1]]
    assert edges
    for edge in edges[:MOST]:
        assert is_refused(right.changed(table, {edge: entries[edge - 1]})), edge
        assert is_refused(right.changed(table, {edge - 1: entries[edge]})), edge


def keys(encoded_policy: EncodedPolicy) -> list[int]:
    """The boundaries of IPv6, padding and all."""
    highs = encoded_policy.entries("route6_high")
    lows = [0] * len(highs)
    if "route6_low" in encoded_policy.tables:
        lows = list(encoded_policy.entries("route6_low"))
    return [high << 64 | low for high, low in zip(highs, lows, strict=True)]


def with_key(right: EncodedPolicy, index: int, key: int) -> EncodedPolicy:
    """With another boundary, cut to the half that the tables have."""
    wrong = right.changed("route6_high", {index: key >> 64})
    return wrong.changed("route6_low", {index: key}) if "route6_low" in right.tables else wrong


@pytest.mark.parametrize("policy", ["office", "subnets", "wide", "everything"])
def test_a_boundary_of_the_search(policy: str) -> None:
    right = encoded(policy)
    all_keys = keys(right)
    step = 1 if "route6_low" in right.tables else 1 << 64
    real = [index for index, key in enumerate(all_keys) if key not in (0, all_keys[-1])]
    caught = 0
    for index in real:
        for moved in (all_keys[index] + step, all_keys[index] - step):
            wrong = with_key(right, index, moved)
            if is_refused(wrong):
                caught += 1
            else:
                # Where the search begins at a boundary, it does not compare with it.
                assert nobody_can_tell(policy, wrong), index
    for first, second in pairwise(real):
        swapped = with_key(with_key(right, first, all_keys[second]), second, all_keys[first])
        assert is_refused(swapped) or nobody_can_tell(policy, swapped), (first, second)
    assert caught >= len(real)


@pytest.mark.parametrize("policy", ["office", "subnets", "wide", "everything"])
def test_where_the_search_begins(policy: str) -> None:
    right = encoded(policy)
    cells = right.entries("route6_index")
    caught = 0
    chance = random.Random(policy)
    for cell in chance.sample(range(len(cells)), min(CELLS, len(cells))):
        for other in (cells[cell] + 1, cells[cell] - 1):
            wrong = right.changed("route6_index", {cell: other})
            if is_refused(wrong):
                caught += 1
            else:
                # The search has steps to spare there.
                assert nobody_can_tell(policy, wrong), (cell, other)
    assert caught


@pytest.mark.parametrize("policy", ["office", "subnets", "everything"])
def test_a_boundary_that_is_a_constant_of_the_program(policy: str) -> None:
    right = encode(POLICIES[policy], straight_line)
    walk = Walk(right)
    meaning = walk.meaning()
    parameters = right.manifest.parameters
    names = [name for name in parameters if "_boundary_" in name or name.endswith("_boundaries")]
    assert any(name.endswith("_boundaries") for name in names)
    caught = 0
    for name in names:
        for other in {parameters[name] + 1, max(parameters[name] - 1, 0)} - {parameters[name]}:
            try:
                wrong = right.described(lambda d, n=name, o=other: d["parameters"].update({n: o}))
                assert is_refused(wrong) or Walk(wrong, walk).meaning() == meaning, (name, other)
            except KeyError:
                # A walk that looks for a boundary which is not there.
                assert is_refused(wrong)
            caught += is_refused(wrong)
    assert caught >= len(names)


@pytest.mark.parametrize("policy", ["office", "subnets"])
@pytest.mark.parametrize("name", ["route6_shared", "route6_shared_bits", "route6_index_bits", "route6_steps"])
def test_a_constant_of_the_search(policy: str, name: str) -> None:
    right = encoded(policy)
    value = right.manifest.parameters[name]
    for other in {value + 1, max(value - 1, 0)} - {value}:
        wrong = right.described(lambda d, other=other: d["parameters"].update({name: other}))
        assert is_refused(wrong) or nobody_can_tell(policy, wrong), other
