"""Rows, pages, lines and entries in each other's place: the proof fails, unless no packet can tell."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from validated_policies import (
    EVERY,
    Case,
    cases,
    encoded,
    is_caught,
    is_refused,
    new_tables,
    nobody_can_tell,
    reached,
    walked,
)
from wardgate.compiler.language.model import Icmp

SWAPS = 5
"""Swaps of each kind, at random, in each form of each policy."""

PIECES = {
    "reach_pages": 6,
    "judge_pages": 6,
    "ports_pages": 8,
    "route4_nodes": 8,
    "reach_lines": 1,
    "reach_values": 0,
    "buckets": 0,
    "bucket_rules": 0,
    "within": 0,
    "reach_directory": 0,
    "judge_directory": 0,
    "ports_directory": 0,
    "route4_roots": 0,
    "route4_index": 0,
    "route4_class": 0,
    "route6_index": 0,
    "route6_class": 0,
}
"""Tables to the bits of an index that are within what is swapped."""


def some(case: Case, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return random.Random(f"{case}").sample(pairs, min(case.some(SWAPS), len(pairs)))


def test_every_table_has_pieces() -> None:
    tables = {table for case in EVERY for table in encoded(case).tables}
    # Rows of plain matrices, boundaries and protocols are swapped apart.
    assert tables == {*PIECES, "reach", "judge", "route4_keys", "route6_high", "route6_low", "protocols"}


@pytest.mark.parametrize("case", cases("reach"), ids=str)
def test_swapped_rows_of_buckets_are_caught(case: Case) -> None:
    walk, _ = walked(case)
    directions = (False, True)[: 1 + walk.inbound]
    swap_rows(case, "reach", [walk.row(number, way) for number in walk.classes() for way in directions])


@pytest.mark.parametrize("case", cases("judge"), ids=str)
def test_swapped_patterns_are_caught(case: Case) -> None:
    swap_rows(case, "judge", sorted({record >> 32 for record in encoded(case).entries("buckets")} - {0}))


def swap_rows(case: Case, matrix: str, rows: list[int]) -> None:
    """Each row that differs from the one before it, in its place: somebody can tell."""
    right = encoded(case)
    starts = [right.row(matrix, row)[1] for row in rows]
    table, _, width = right.row(matrix, 0)
    entries = right.entries(table)
    pairs = [
        (first, second)
        for first, second in pairwise(starts)
        if entries[first : first + width] != entries[second : second + width]
    ]
    assert pairs
    for first, second in some(case, pairs):
        wrong = right.swapped(table, first, second, width)
        assert is_refused(wrong)
        assert not nobody_can_tell(case, wrong)


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_swapped_pieces_are_caught_or_no_packet_can_tell(case: Case) -> None:
    right = encoded(case)
    for table in new_tables(case):
        if table not in PIECES:
            continue
        entries, bits = right.entries(table), PIECES[table]
        used = sorted({index >> bits for index in reached(case, table)})
        pairs = [
            (first, second)
            for first, second in pairwise(piece << bits for piece in used)
            if entries[first : first + (1 << bits)] != entries[second : second + (1 << bits)]
        ]
        caught = 0
        tried = some(case, pairs)
        for first, second in tried:
            caught += is_caught(case, right.swapped(table, first, second, 1 << bits), exactly=not caught)
        # Pieces that differ are what different packets read.
        assert caught >= len(tried) // 2, table
        assert pairs or len(used) < 2 or table.endswith("_index"), table


@pytest.mark.parametrize("case", cases("protocols"), ids=str)
def test_icmp_of_the_other_ip_version_is_caught(case: Case) -> None:
    """Rules about ICMP are about another protocol where the remote has an IPv6 address."""
    right = encoded(case)
    named = any(Icmp() in rule.services for rule in right.policy.rules)
    assert is_caught(case, right.swapped("protocols", 1, 58), exactly=True) is named
