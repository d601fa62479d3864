"""Tables that say the same in another way are proved as well: it is their meaning that is compared."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from encoded_policy import EncodedPolicy
from table_walk import Walk
from validated_policies import POLICIES, encoded, walked
from wardgate.compiler.validation import validate


def proved(changed: EncodedPolicy, name: str) -> None:
    """It says what it said before, to both readers."""
    assert validate(changed.artefact(), changed.policy)
    assert Walk(changed).meaning() == walked(name)[1]


def shuffled(policy: str, matrix: str) -> list[int]:
    """Another number for each column of a matrix."""
    order = list(range(encoded(policy).manifest.parameters[f"{matrix}_per_row"] * 64))
    random.Random(policy).shuffle(order)
    return order


def rearranged(
    right: EncodedPolicy, matrix: str, order: Sequence[int], rows: int, entry: Callable[[int, int], int]
) -> EncodedPolicy:
    """With the columns of a matrix, of which `entry` tells the content, in `order`; no pages are shared."""
    width = len(order)
    pages = [0] * (rows * width)
    for row in range(rows):
        for column in range(width):
            pages[row * width + order[column]] = entry(row, column)
    pages += [0] * ((1 << (len(pages) - 1).bit_length()) - len(pages))
    content = b"".join(value.to_bytes(2, "little") for value in pages)

    def resize(document: Any) -> None:
        next(t for t in document["tables"] if t["name"] == f"{matrix}_pages")["count"] = len(pages)

    described = right.described(resize)
    moved = replace(described, tables={**right.tables, f"{matrix}_pages": (2, content)})
    return moved.changed(f"{matrix}_directory", {index: index for index in range(rows * width // 64)})


@pytest.mark.parametrize("policy", POLICIES)
def test_wider_entries(policy: str) -> None:
    proved(encoded(policy).widened(), policy)


@pytest.mark.parametrize("policy", ["office", "wide"])
def test_destination_classes_in_another_order(policy: str) -> None:
    right, order = encoded(policy), shuffled(policy, "reach")
    parameters = right.manifest.parameters
    walk, _ = walked(policy)
    directions = (False, True)[: 1 + walk.inbound]
    rows = 1 + max(walk.row(number, way) for number in walk.classes() for way in directions)
    other = rearranged(right, "reach", order, rows, Walk(right).bucket)
    for table in ("route4_roots", "route4_nodes", "route6_class"):
        pointer = 0 if table == "route6_class" else parameters["route4_pointer"]
        entries = right.entries(table)
        other = other.changed(table, {i: order[e] for i, e in enumerate(entries) if not e & pointer})
    ends = {name: order[parameters[name]] for name in ("route6_below", "route6_above")}
    proved(other.described(lambda d: d["parameters"].update(ends)), policy)


@pytest.mark.parametrize("policy", ["office", "wide"])
def test_service_classes_in_another_order(policy: str) -> None:
    right, order = encoded(policy), shuffled(policy, "judge")
    other = rearranged(right, "judge", order, len(right.manifest.buckets) + 1, Walk(right).decision)
    for table in ("protocols", "ports_pages"):
        other = other.changed(table, {i: order[e] for i, e in enumerate(right.entries(table))})
    fragments = order[right.manifest.parameters["fragment_class"]]
    proved(other.described(lambda d: d["parameters"].update(fragment_class=fragments)), policy)


def test_policy_classes_in_another_order() -> None:
    right = encoded("office")
    parameters = right.manifest.parameters
    width = parameters["reach_per_row"]
    first, second = right.manifest.subjects["alice"], right.manifest.subjects["carol"]
    other = right
    for base in (0, parameters["inbound_row"]):
        other = other.swapped("reach_directory", (base + first) * width, (base + second) * width, width)
    exchange = {first: second, second: first}
    subjects = {user: exchange.get(number, number) for user, number in right.manifest.subjects.items()}
    other = other.described(lambda d: d.update(subjects=subjects))
    assert validate(other.artefact(), other.policy) == validate(right.artefact(), right.policy)
