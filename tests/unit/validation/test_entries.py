"""One wrong entry of a table, in each form: the proof fails, unless no packet can tell."""

from __future__ import annotations

import random

import pytest
from validated_policies import (
    EVERY,
    Case,
    cases,
    encoded,
    is_caught,
    is_refused,
    new_tables,
    reached,
    refused,
)

FLIPS = 7
"""Entries of each table of each policy, at random, of which a bit is flipped: so many of those that some
packet leads to, and more until one is caught."""
SPARE = 4
DECIDING = 8

WITHOUT_MEANING = {("everything", "protocols"), ("many", "protocols")}
"""No rule of these policies tells protocols without ports apart, and few flips lead to a class that one does
tell apart."""


def flipped(entry: int, element: int, chance: random.Random) -> int:
    """With another bit, more often a low one: what is near is more like what is meant."""
    return entry ^ 1 << chance.choice((chance.randrange(3), chance.randrange(8 * element)))


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_a_flipped_entry_is_caught_or_no_packet_can_tell(case: Case) -> None:
    right = encoded(case)
    for table in new_tables(case):
        indexes, entries = reached(case, table), right.entries(table)
        element, _ = right.tables[table]
        chance = random.Random(f"{case} {table}")
        caught = 0
        for number, index in enumerate(chance.sample(indexes, min(5 * FLIPS, len(indexes)))):
            if number >= case.some(FLIPS) and caught:
                break
            wrong = right.changed(table, {index: flipped(entries[index], element, chance)})
            caught += is_caught(case, wrong, exactly=not caught)
        if (case.policy, table) not in WITHOUT_MEANING:
            assert caught or not indexes, table


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_an_entry_that_nothing_leads_to_is_nobodys_business(case: Case) -> None:
    """No packet does, and no bucket that is in shadow: the proof is about what is read, and that alone."""
    right = encoded(case)
    tried = 0
    for table in new_tables(case):
        element, data = right.tables[table]
        entries = right.entries(table)
        chance = random.Random(f"{case} {table}")
        spare = sorted({*range(len(data) // element)} - {*reached(case, table, shadows=True)})
        for index in chance.sample(spare, min(case.some(SPARE), len(spare))):
            tried += 1
            wrong = right.changed(table, {index: flipped(entries[index], element, chance)})
            assert not is_refused(wrong), (table, index)
    assert tried or not new_tables(case) or case.policy in {"subnets", "everything", "tiny", "fresh"}


@pytest.mark.parametrize("case", cases("reach"), ids=str)
def test_a_wrong_bucket_is_caught(case: Case) -> None:
    right = encoded(case)
    table = right.content("reach")
    indexes, entries = reached(case, table), right.entries(table)
    count = len(right.manifest.buckets)
    chance = random.Random(f"{case}")
    assert indexes
    for index in chance.sample(indexes, min(case.some(DECIDING), len(indexes))):
        for value in {0, entries[index] % count + 1, count + 1} - {entries[index]}:
            error = refused(right.changed(table, {index: value}))
            assert error.witness is not None


@pytest.mark.parametrize("case", cases("judge"), ids=str)
def test_a_wrong_verdict_is_caught(case: Case) -> None:
    right = encoded(case)
    table = right.content("judge")
    indexes, entries = reached(case, table), right.entries(table)
    chance = random.Random(f"{case}")
    assert indexes
    for index in chance.sample(indexes, min(case.some(DECIDING), len(indexes))):
        for bit in (1, 2):
            error = refused(right.changed(table, {index: entries[index] ^ bit}))
            assert error.witness is not None


@pytest.mark.parametrize("case", cases("judge"), ids=str)
def test_another_rule_of_the_bucket_is_caught(case: Case) -> None:
    right = encoded(case)
    table = right.content("judge")
    entries = right.entries(table)
    deciding = [index for index in reached(case, table) if entries[index]]
    chance = random.Random(f"{case}")
    caught = 0
    tried = chance.sample(deciding, min(case.some(DECIDING), len(deciding)))
    for index in tried:
        for value in {entries[index] + 4, entries[index] - 4, entries[index] | 0xF0} - {entries[index]}:
            # Behind its own rules may be those of another bucket that begin with the same.
            caught += is_caught(case, right.changed(table, {index: value}))
    assert caught >= len(tried)


@pytest.mark.parametrize("case", cases("judge"), ids=str)
def test_a_wrong_decision_about_fragments_is_caught(case: Case) -> None:
    right = encoded(case)
    table, records = right.content("judge"), right.entries("buckets")
    column = right.manifest.parameters["fragment_class"]
    buckets = right.manifest.buckets
    for bucket in random.Random(f"{case}").sample(buckets, min(case.some(DECIDING), len(buckets))):
        index = right.place("judge", records[bucket.id] >> 32, column)
        assert index in reached(case, table, shadows=True)
        value = right.entries(table)[index]
        for other in (value ^ 1, value ^ 2):
            assert refused(right.changed(table, {index: other})).witness is not None


def test_entries_are_of_every_size() -> None:
    """What this folder changes is of one and of two bytes in every table that may have either."""
    sizes: dict[str, set[int]] = {}
    for case in EVERY:
        for table, (element, _) in encoded(case).tables.items():
            sizes.setdefault(table, set()).add(element)
    assert {table: size for table, size in sizes.items() if size != {1, 2}} == {
        "buckets": {8},
        "ports_directory": {1},
        "reach_lines": {8},
        "route4_keys": {4},
        "route4_nodes": {2},
        "route4_roots": {2},
        "route6_high": {8},
        "route6_index": {1},
        "route6_low": {8},
        "within": {4},
    }


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_the_walk_reads_every_table(case: Case) -> None:
    """What is not looked at here, no test of this folder looks at."""
    unused = {table for table in encoded(case).tables if not reached(case, table)}
    assert not unused
