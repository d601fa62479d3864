"""Lines of the ranked form: where buckets begin, where a line's are, and which they are, off by one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from encoded_policy import EncodedPolicy
from validated_policies import Case, cases, encoded, is_caught, is_refused, reached, walked

RANKED = cases("reach_lines")
LINES = 8
"""Lines, at random, of each policy."""
BITS = 6
"""Starts that are added, at random, to each."""
U64 = (1 << 64) - 1


def columns(case: Case) -> dict[int, set[int]]:
    """Of each line that packets lead to, the columns that they lead to."""
    walk, _ = walked(case)
    right = encoded(case)
    directory = right.entries("reach_directory")
    classes = {number for _, _, number in walk.destinations if number is not None}
    found: dict[int, set[int]] = {}
    for policy_class in walk.classes():
        for inbound in (False, True)[: 1 + walk.inbound]:
            _, first, _ = right.row("reach", walk.row(policy_class, inbound))
            for number in classes:
                found.setdefault(directory[first + (number >> 6)], set()).add(number & 63)
    return found


def buckets(changed: EncodedPolicy, line: int, read: set[int]) -> list[int | None]:
    """What a line has in columns; None: what is in no table."""
    starts, base = changed.entries("reach_lines")[2 * line : 2 * line + 2]
    values = changed.entries("reach_values")
    places = [base + (starts & (2 << column) - 1).bit_count() & U64 for column in sorted(read)]
    return [values[place] if place < len(values) else None for place in places]


def other_starts(starts: int, chance: random.Random) -> Iterator[int]:
    """Each start a column further, a column sooner, and left out; and some more."""
    for column in range(64):
        if not starts >> column & 1:
            continue
        yield starts ^ 1 << column
        for moved in {column - 1, column + 1} & set(range(64)):
            yield starts & ~(1 << column) | 1 << moved
    for column in (0, *chance.sample(range(1, 64), BITS)):
        yield starts | 1 << column


@pytest.mark.parametrize("case", RANKED, ids=str)
def test_where_buckets_begin_in_a_line(case: Case) -> None:
    right, read = encoded(case), columns(case)
    assert {2 * line for line in read} | {2 * line + 1 for line in read} == set(reached(case, "reach_lines"))
    chance = random.Random(f"{case}")
    caught = accepted = 0
    for line in chance.sample(sorted(read), min(case.some(LINES), len(read))):
        starts = right.entries("reach_lines")[2 * line]
        for other in set(other_starts(starts, chance)) - {starts}:
            wrong = right.changed("reach_lines", {2 * line: other})
            same = buckets(wrong, line, read[line]) == buckets(right, line, read[line])
            assert is_refused(wrong) is not same, (line, starts, other)
            caught += not same
            accepted += same
    assert caught >= LINES
    # Columns behind the last destination class.
    assert accepted


@pytest.mark.parametrize("case", RANKED, ids=str)
def test_where_the_buckets_of_a_line_are(case: Case) -> None:
    right, read = encoded(case), columns(case)
    lines, values = right.entries("reach_lines"), right.entries("reach_values")
    chance = random.Random(f"{case}")
    caught = 0
    for line in chance.sample(sorted(read), min(case.some(LINES), len(read))):
        base, other_line = lines[2 * line + 1], chance.randrange(len(lines) // 2)
        # In 64 bits, what is behind the last is the first again.
        for other in {base + 1, base - 1 & U64, len(values), U64, lines[2 * other_line + 1]} - {base}:
            wrong = right.changed("reach_lines", {2 * line + 1: other})
            same = buckets(wrong, line, read[line]) == buckets(right, line, read[line])
            assert is_refused(wrong) is not same, (line, base, other)
            caught += not same
    assert caught >= case.some(LINES)


@pytest.mark.parametrize("case", RANKED, ids=str)
def test_the_buckets_of_a_line(case: Case) -> None:
    right = encoded(case)
    values, count = right.entries("reach_values"), len(right.manifest.buckets)
    read = reached(case, "reach_values")
    for index in random.Random(f"{case}").sample(read, min(case.some(2 * LINES), len(read))):
        for value in {values[index] + 1, max(values[index] - 1, 0), count + 1} - {values[index]}:
            assert is_refused(right.changed("reach_values", {index: value})), (index, value)


@pytest.mark.parametrize("case", RANKED, ids=str)
def test_a_line_for_another(case: Case) -> None:
    right = encoded(case)
    directory, count = right.entries("reach_directory"), len(right.entries("reach_lines")) // 2
    read = reached(case, "reach_directory")
    caught = 0
    for index in random.Random(f"{case}").sample(read, min(case.some(2 * LINES), len(read))):
        line = directory[index]
        for other in {(line + 1) % count, (line - 1) % count, count} - {line}:
            caught += is_caught(case, right.changed("reach_directory", {index: other}))
        assert is_refused(right.changed("reach_directory", {index: count}))
    assert caught >= len(read[: case.some(2 * LINES)])
