"""Tables that say the same in another way are proved as well: it is their meaning that is compared."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from encoded_policy import EncodedPolicy
from table_walk import Walk
from validated_policies import EVERY, Case, cases, claimed, encoded, is_refused, walked
from wardgate.compiler.validation import validate

ROUTES = ("route4_roots", "route4_nodes", "route4_class", "route6_class")
"""Tables that have destination classes."""
SERVICES = ("protocols", "ports_pages")
BIG = [case for case in EVERY if case.policy in {"office", "tiny", "wide", "many"}]


def proved(case: Case, changed: EncodedPolicy) -> None:
    """It says what it said before, to both readers."""
    assert validate(changed.artefact(), changed.policy)
    assert Walk(changed).claims() == claimed(case)[1]


def shuffled(case: Case, count: int) -> list[int]:
    order = list(range(count))
    random.Random(f"{case}").shuffle(order)
    return order


def columns(right: EncodedPolicy, matrix: str) -> int:
    """How many columns the programs have for a matrix: more than there are classes."""
    table, _, width = right.row(matrix, 0)
    return width + 5 if table == matrix else 64 * (width + 1)


def rearranged(
    right: EncodedPolicy, matrix: str, order: Sequence[int], rows: int, entry: Callable[[int, int], int]
) -> EncodedPolicy:
    """With the columns of a matrix, of which `entry` tells the content, in `order`, in the form that it has:
    nothing is shared, and all entries have four bytes."""
    width = len(order)
    count = right.manifest.parameters["destinations" if matrix == "reach" else "fragment_class"] + 1
    cells = [0] * (rows * width)
    for row in range(rows):
        for column in range(min(count, width)):
            cells[row * width + order[column]] = entry(row, column)
    if matrix in right.tables:
        return right.replaced(matrix, 4, cells).with_parameters(**{f"{matrix}_width": width})
    other = right.replaced(f"{matrix}_directory", 4, range(len(cells) // 64))
    other = other.with_parameters(**{f"{matrix}_per_row": width // 64})
    if f"{matrix}_pages" in right.tables:
        return other.replaced(f"{matrix}_pages", 4, cells)
    # A bucket begins in every column, whatever was in the one before.
    lines = [number for line in range(len(cells) // 64) for number in ((1 << 64) - 2, 64 * line)]
    return other.replaced(f"{matrix}_lines", 8, lines).replaced(f"{matrix}_values", 4, cells)


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_wider_entries(case: Case) -> None:
    for least in (4,) if case.form else (2, 4, 8):
        wider = encoded(case).widened(least)
        assert {element for element, _ in wider.tables.values()} <= {least, 4, 8}
        proved(case, wider)


@pytest.mark.parametrize("case", BIG, ids=str)
def test_destination_classes_in_another_order(case: Case) -> None:
    right = encoded(case)
    order = shuffled(case, columns(right, "reach"))
    parameters = right.manifest.parameters
    walk, _ = walked(case)
    directions = (False, True)[: 1 + walk.inbound]
    rows = 1 + max(walk.row(number, way) for number in walk.classes() for way in directions)
    other = rearranged(right, "reach", order, rows, Walk(right).bucket)
    for table in ROUTES:
        if table in right.tables:
            pointer = 0 if table.endswith("_class") else parameters["route4_pointer"]
            entries = (entry if entry & pointer else order[entry] for entry in right.entries(table))
            other = other.replaced(table, 4, entries)
    ends = {name: order[parameters[name]] for name in ("route6_below", "route6_above")}
    proved(case, other.with_parameters(**ends))


@pytest.mark.parametrize("case", cases("judge"), ids=str)
def test_service_classes_in_another_order(case: Case) -> None:
    right = encoded(case)
    order = shuffled(case, columns(right, "judge"))
    patterns = 1 + max(record >> 32 for record in right.entries("buckets"))
    other = rearranged(right, "judge", order, patterns, Walk(right).judgement)
    for table in SERVICES:
        if table in right.tables:
            other = other.replaced(table, 4, (order[entry] for entry in right.entries(table)))
    fragments = order[right.manifest.parameters["fragment_class"]]
    proved(case, other.with_parameters(fragment_class=fragments))


@pytest.mark.parametrize("case", cases("judge"), ids=str)
def test_patterns_in_another_order_and_rules_that_are_not_shared(case: Case) -> None:
    right = encoded(case)
    records = right.entries("buckets")
    patterns = 1 + max(record >> 32 for record in records)
    order = shuffled(case, patterns)
    old = Walk(right).judgement
    same = range(columns(right, "judge"))
    other = rearranged(right, "judge", same, patterns, lambda row, column: old(order.index(row), column))
    said = [rule.within for rule in right.policy.rules]

    def entry_of(rule: int) -> int:
        return rule << 1 | (said[rule - 1] is not None) if any(said) else rule

    rules, numbers = [77], [0] * len(records)
    for bucket in reversed(right.manifest.buckets):
        numbers[bucket.id] = order[records[bucket.id] >> 32] << 32 | len(rules)
        rules += [*map(entry_of, bucket.rules), 0]
    proved(case, other.replaced("buckets", 8, numbers).replaced("bucket_rules", 4, rules))


@pytest.mark.parametrize("case", cases("reach"), ids=str)
def test_buckets_in_another_order(case: Case) -> None:
    """The manifest tells which they are, so that their numbers are of no account."""
    right = encoded(case)
    count = len(right.manifest.buckets)
    number = [0, *(1 + place for place in shuffled(case, count))]
    table = right.content("reach")
    other = right.replaced(table, 4, (number[bucket] for bucket in right.entries(table)))
    records = [0] * (count + 1)
    for bucket, record in enumerate(right.entries("buckets")):
        records[number[bucket]] = record

    def rename(document: Any) -> None:
        for bucket in document["buckets"]:
            bucket["id"] = number[bucket["id"]]
        document["buckets"].sort(key=lambda bucket: bucket["id"])

    other = other.replaced("buckets", 8, records)
    assert is_refused(other)
    proved_as = validate(other.described(rename).artefact(), right.policy)
    assert proved_as == validate(right.artefact(), right.policy)


@pytest.mark.parametrize("case", [case for case in cases("reach") if case.policy == "office"], ids=str)
def test_policy_classes_in_another_order(case: Case) -> None:
    right = encoded(case)
    first, second = right.manifest.subjects["alice"], right.manifest.subjects["carol"]
    other = right
    for base in (0, right.manifest.parameters["inbound_row"]):
        table, of_first, width = right.row("reach", base + first)
        other = other.swapped(table, of_first, right.row("reach", base + second)[1], width)
    assert is_refused(other)
    exchange = {first: second, second: first}
    subjects = {user: exchange.get(number, number) for user, number in right.manifest.subjects.items()}
    other = other.described(lambda document: document.update(subjects=subjects))
    assert validate(other.artefact(), other.policy) == validate(right.artefact(), right.policy)
