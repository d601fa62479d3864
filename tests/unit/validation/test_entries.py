"""One wrong entry, row or page: the proof fails, unless no packet can tell."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from validated_policies import POLICIES, encoded, is_refused, nobody_can_tell, refused, walked

FLIPS = 25
"""Entries of each table of each policy, at random, of which a bit is flipped: so many of those that some
packet leads to, so many of the others."""
DECIDING = 60

TABLES = [(policy, table) for policy in POLICIES for table in encoded(policy).tables]
WITHOUT_MEANING = {("everything", "protocols"), ("wide", "protocols")}
"""No rule of these policies tells protocols without ports apart, so a flip leads to the same decisions, or
out of the table; out of it only if it is large."""


def reached(policy: str, table: str) -> list[int]:
    """The entries of a table that some packet of some user leads to."""
    walk, _ = walked(policy)
    return sorted(index for name, index in walk.touched if name == table)


@pytest.mark.parametrize(("policy", "table"), TABLES)
def test_a_flipped_entry_is_caught_or_no_packet_can_tell(policy: str, table: str) -> None:
    right, indexes = encoded(policy), reached(policy, table)
    element, _ = right.tables[table]
    entries = right.entries(table)
    chance = random.Random(f"{policy} {table}")
    tried = chance.sample(indexes, min(FLIPS, len(indexes)))
    caught = 0
    for index in tried:
        wrong = right.changed(table, {index: entries[index] ^ 1 << chance.randrange(8 * element)})
        if is_refused(wrong):
            caught += 1
        else:
            assert nobody_can_tell(policy, wrong), index
    if (policy, table) not in WITHOUT_MEANING:
        assert caught or not tried


@pytest.mark.parametrize("policy", POLICIES)
def test_a_flip_that_no_packet_leads_to_is_nobodys_business(policy: str) -> None:
    """What is not caught is never read, and what is caught there tells of buckets that are in shadow."""
    right = encoded(policy)
    chance = random.Random(policy)
    for table, (element, data) in right.tables.items():
        entries = right.entries(table)
        spare = sorted(set(range(len(data) // element)) - set(reached(policy, table)))
        for index in chance.sample(spare, min(FLIPS, len(spare))):
            wrong = right.changed(table, {index: entries[index] ^ 1 << chance.randrange(8 * element)})
            if is_refused(wrong):
                witness = refused(wrong).witness
                assert table.startswith("judge")
                assert witness is None or witness.first is None


@pytest.mark.parametrize("policy", POLICIES)
def test_a_wrong_bucket_is_caught(policy: str) -> None:
    right, indexes = encoded(policy), reached(policy, "reach_pages")
    count, entries = len(right.manifest.buckets), right.entries("reach_pages")
    chance = random.Random(policy)
    for index in chance.sample(indexes, min(DECIDING, len(indexes))):
        for value in {0, entries[index] % count + 1, count + 1} - {entries[index]}:
            error = refused(right.changed("reach_pages", {index: value}))
            assert error.witness is not None


@pytest.mark.parametrize("policy", POLICIES)
def test_a_wrong_verdict_or_rule_is_caught(policy: str) -> None:
    right, indexes = encoded(policy), reached(policy, "judge_pages")
    entries = right.entries("judge_pages")
    chance = random.Random(policy)
    for index in chance.sample(indexes, min(DECIDING, len(indexes))):
        for value in (entries[index] ^ 1, entries[index] ^ 2, entries[index] + 4):
            error = refused(right.changed("judge_pages", {index: value}))
            assert error.witness is not None


@pytest.mark.parametrize("policy", POLICIES)
def test_a_wrong_decision_about_fragments_is_caught(policy: str) -> None:
    right = encoded(policy)
    parameters, pages = right.manifest.parameters, right.entries("judge_directory")
    column = parameters["fragment_class"]
    for bucket in right.manifest.buckets:
        page = pages[bucket.id * parameters["judge_per_row"] + (column >> 6)]
        index = page << 6 | column & 63
        value = right.entries("judge_pages")[index]
        witness = refused(right.changed("judge_pages", {index: value ^ 2})).witness
        assert witness is not None


@pytest.mark.parametrize("policy", POLICIES)
def test_swapped_rows_of_buckets_are_caught(policy: str) -> None:
    walk, _ = walked(policy)
    directions = (False, True)[: 1 + walk.inbound]
    swap_rows(policy, "reach", [walk.row(number, way) for number in walk.classes() for way in directions])


@pytest.mark.parametrize("policy", POLICIES)
def test_swapped_rows_of_decisions_are_caught(policy: str) -> None:
    swap_rows(policy, "judge", [bucket.id for bucket in encoded(policy).manifest.buckets])


def swap_rows(policy: str, matrix: str, rows: list[int]) -> None:
    """Each row that differs from the one before it, in its place."""
    right = encoded(policy)
    width = right.manifest.parameters[f"{matrix}_per_row"]
    directory = right.entries(f"{matrix}_directory")
    for first, second in pairwise(row * width for row in rows):
        if directory[first : first + width] != directory[second : second + width]:
            assert is_refused(right.swapped(f"{matrix}_directory", first, second, width)), (first, second)


@pytest.mark.parametrize("policy", ["office", "wide"])
@pytest.mark.parametrize(
    ("table", "size"), [("reach_pages", 6), ("judge_pages", 6), ("ports_pages", 8), ("route4_nodes", 8)]
)
def test_swapped_pages_are_caught(policy: str, table: str, size: int) -> None:
    right = encoded(policy)
    used = sorted({index >> size for index in reached(policy, table)})
    assert len(used) > 1
    for first, second in pairwise(used[:60]):
        wrong = right.swapped(table, first << size, second << size, 1 << size)
        assert is_refused(wrong) or nobody_can_tell(policy, wrong), (first, second)
