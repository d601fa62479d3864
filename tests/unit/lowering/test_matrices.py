"""Rows of buckets and of decisions, and each form that their tables can take, against plain ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_policies import DOCUMENTS, build
from wardgate.compiler.language.model import Policy, Rule
from wardgate.compiler.lowering import ragged
from wardgate.compiler.lowering.buckets import Buckets, find_buckets
from wardgate.compiler.lowering.classes import policy_classes
from wardgate.compiler.lowering.contributions import contributions
from wardgate.compiler.lowering.judge import bucket_tables, judge_of
from wardgate.compiler.lowering.kinds import rule_kinds
from wardgate.compiler.lowering.lines import PAGE, LineCollector, Lines
from wardgate.compiler.lowering.patterns import VERDICT_BITS, Patterns, find_patterns
from wardgate.compiler.lowering.plan import Plan
from wardgate.compiler.lowering.ragged import (
    Interned,
    Lists,
    distinct,
    grouped,
    offsets_of,
    ranges,
    ranked,
    sorted_order,
)
from wardgate.compiler.lowering.reach import reach_of
from wardgate.compiler.lowering.services import ServiceClasses
from wardgate.compiler.lowering.tables import narrowest, table
from wardgate.compiler.semantics.effective import buckets as effective_buckets
from wardgate.compiler.semantics.effective import effective_rules
from wardgate.runtime.layout.codes import Verdict


def plan(reach: str = "plain", judge: str = "plain") -> Plan:
    return Plan(reach, judge, "trie", 0, 0, 0, 0)  # type: ignore[arg-type]


def lists(*given_lists: list[int]) -> Lists:
    flat = [value for one in given_lists for value in one]
    return Lists(np.array(flat, np.int64), offsets_of(np.array([len(one) for one in given_lists], np.int64)))


@st.composite
def run_rows(draw: st.DrawFn) -> np.ndarray:
    """Rows of a few runs each, several lines wide."""
    width = draw(st.integers(1, 300))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        starts = sorted({0, *draw(st.lists(st.integers(0, width - 1), max_size=8))})
        values = [draw(st.integers(0, 3) | st.just(70_000)) for _ in starts]
        rows.append(np.repeat(values, np.diff(starts, append=width)))
    return np.array(rows, np.uint32)


def lines_of(rows: np.ndarray) -> Lines:
    collector = LineCollector(rows.shape[1])
    for row in rows:
        collector.add(row[None])
    return collector.lines()


@given(run_rows())
def test_reach(rows: np.ndarray) -> None:
    lines = lines_of(rows)
    width = rows.shape[1]
    found = {}
    for form in ("plain", "paged", "ranked"):
        tables, parameters, features = reach_of(lines).encode(plan(reach=form))
        found[form] = {one.name: one.values.tolist() for one in tables}
        assert parameters == ({"reach_width": width} if form == "plain" else {"reach_per_row": lines.per_row})
        assert features == {f"REACH_{form.upper()}"}
    assert found["plain"]["reach"] == rows.reshape(-1).tolist()
    pages, ranked = found["paged"], found["ranked"]
    stored = [tuple(pages["reach_pages"][i : i + PAGE]) for i in range(0, len(pages["reach_pages"]), PAGE)]
    assert stored[0] == (0,) * PAGE
    assert len(set(stored)) == len(stored) == len(ranked["reach_lines"]) // 2
    assert set(pages["reach_directory"]) | {0} == set(range(len(stored)))
    for row, columns in enumerate(rows.tolist()):
        for column, expected in enumerate(columns):
            place = row * lines.per_row + column // PAGE
            assert pages["reach_pages"][pages["reach_directory"][place] * PAGE + column % PAGE] == expected
            line = ranked["reach_directory"][place]
            starts, base = ranked["reach_lines"][2 * line : 2 * line + 2]
            rank = (starts & (2 << column % PAGE) - 1).bit_count()
            assert not starts & 1
            assert ranked["reach_values"][base + rank] == expected


def test_lines_with_the_same_values_share_them() -> None:
    rows = np.zeros((2, 2 * PAGE), np.uint32)
    rows[0, 3:9], rows[1, 70:75] = 7, 7
    reach = reach_of(lines_of(rows))
    assert len(reach.lines.starts) == 3
    assert reach.values.tolist() == [0, 0, 7, 0]


def lowered(policy: Policy) -> tuple[Buckets, Lines, Patterns, int]:
    space, given_rules = contributions(policy)
    inbound = any(rule.inbound for rule in policy.rules)
    services, kinds = rule_kinds(policy.rules)
    buckets, lines = find_buckets(policy_classes(policy), space, given_rules, inbound=inbound)
    return buckets, lines, find_patterns(buckets, kinds, services.count), services.count


def covered_by(services: ServiceClasses, rule: Rule, version: int) -> set[int]:
    covered = (pair for form in rule.services for pair in services.intervals(form, version))
    return {number for first, last in covered for number in range(first, last + 1)}


@given(DOCUMENTS)
def test_buckets_hold_inside_their_prefixes_and_outside_of_longer_ones(document: dict) -> None:
    policy = build(document)
    buckets, lines, _, _ = lowered(policy)
    rows = lines.written_out()[lines.directory].reshape(-1, lines.per_row * PAGE)
    assert rows[:, lines.width :].max(initial=0) == 0
    classes = policy_classes(policy)
    listed = list(buckets)
    prefixes = buckets.space.prefixes
    for inbound in (False, True)[: 1 + any(rule.inbound for rule in policy.rules)]:
        base = len(classes.classes) + 1 if inbound else 0
        assert not rows[base].any()
        for user in (*policy.users, "nobody-else"):
            row = rows[base + classes.of_user.get(user, 1)].tolist()
            expected = effective_buckets(effective_rules(policy, user, inbound=inbound))
            assert row[0] == 0
            for number, prefix in enumerate(prefixes, 1):
                around = [one for one in expected if one.version == prefix.version and prefix.subnet_of(one)]
                longest = max(around, key=lambda one: one.prefixlen, default=None)
                if longest is None:
                    assert row[number] == 0
                    continue
                told = listed[row[number] - 1]
                ids = tuple(rule.id for rule in expected[longest])
                assert (told.prefix, told.inbound, told.rules) == (longest, inbound, ids)
    keys = [(found.inbound, prefixes.index(found.prefix), found.rules) for found in listed]
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys, key=lambda key: key[:2])


@given(DOCUMENTS)
def test_patterns_decide_as_rules_do(document: dict) -> None:
    policy = build(document)
    buckets, _, patterns, services = lowered(policy)
    rows = patterns.written_out().reshape(-1, patterns.width)
    assert patterns.width == services + 1
    assert not rows[0].any()
    assert len({row.tobytes() for row in rows}) == len(rows)
    assert patterns.of_bucket[0] == 0
    classes, _ = rule_kinds(policy.rules)
    order = [Verdict.DENY, Verdict.MFA, Verdict.ALLOW]
    by_action = {"deny": Verdict.DENY, "mfa": Verdict.MFA, "allow": Verdict.ALLOW}
    for number, bucket in enumerate(buckets, 1):
        row = rows[patterns.of_bucket[number]].tolist()
        rules = [policy.rules[rule - 1] for rule in bucket.rules]
        covered = [covered_by(classes, rule, bucket.prefix.version) for rule in rules]
        for service in range(services):
            matching = [
                (order.index(by_action[rule.action.value]), rule.within or 10**9, local)
                for local, rule in enumerate(rules)
                if service in covered[local]
            ]
            winner = min(matching, default=None)
            assert row[service] == (winner[2] << VERDICT_BITS | order[winner[0]] if winner else 0)
        same = len({entry & 3 for entry in row[:-1]}) == 1
        strictest = min(row[:-1], key=lambda e: (rules[e >> VERDICT_BITS].within or 10**9, e)) if same else 0
        assert row[-1] == strictest


@given(DOCUMENTS)
def test_bucket_tables(document: dict) -> None:
    policy = build(document)
    buckets, _, patterns, _ = lowered(policy)
    within = [rule.within for rule in policy.rules]
    records, entries, *ages = (found.values.tolist() for found in bucket_tables(buckets, patterns, within))
    assert bool(ages) is any(within)
    rules = [entry >> 1 for entry in entries] if ages else entries
    for entry, rule in zip(entries, rules, strict=True):
        seconds = within[rule - 1] if rule else None
        assert not ages or (ages[0][rule] if entry & 1 else None) == seconds
    assert len(records) == len(buckets) + 1
    assert records[0] == 0
    for number, bucket in enumerate(buckets, 1):
        assert records[number] >> 32 == patterns.of_bucket[number]
        first = records[number] & 0xFFFFFFFF
        assert tuple(rules[first : first + len(bucket.rules)]) == bucket.rules


@given(run_rows())
def test_judge(rows: np.ndarray) -> None:
    known = Interned()
    packed = [lists([0]), *(lists(_runs(row)) for row in rows)]
    numbers = np.concatenate([known.numbers(one) for one in packed])
    runs = known.lists()
    patterns = Patterns(
        rows.shape[1],
        Lists(runs.values >> 32, runs.offsets),
        Lists(runs.values & 0xFFFFFFFF, runs.offsets),
        numbers,
    )
    judge = judge_of(patterns)
    plain = judge.encode(plan())[0][0].values.tolist()
    tables, parameters, features = judge.encode(plan(judge="paged"))
    directory, pages = (found.values.tolist() for found in tables)
    assert parameters == {"judge_per_row": judge.per_row}
    assert features == {"JUDGE_PAGED"}
    stored = [tuple(pages[i : i + PAGE]) for i in range(0, len(pages), PAGE)]
    assert stored[0] == (0,) * PAGE
    assert len(set(stored)) == len(stored)
    assert set(directory) | {0} == set(range(len(stored)))
    for row, number in zip(rows.tolist(), numbers[1:].tolist(), strict=True):
        assert plain[number * patterns.width : (number + 1) * patterns.width] == row
        for column, expected in enumerate(row):
            page = directory[number * judge.per_row + column // PAGE]
            assert pages[page * PAGE + column % PAGE] == expected


def _runs(row: np.ndarray) -> list[int]:
    begins = np.flatnonzero(np.diff(row.astype(np.int64), prepend=-1))
    return [int(begin) << 32 | int(row[begin]) for begin in begins]


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=12), st.integers(0, 12))
def test_lists(contents: list[list[int]], cut: int) -> None:
    found = lists(*contents)
    assert found.counts.tolist() == [len(one) for one in contents]
    assert found.owners.tolist() == [index for index, one in enumerate(contents) for _ in one]
    backwards = found.take(np.arange(len(contents))[::-1])
    assert backwards.values.tolist() == [value for one in contents[::-1] for value in one]
    counts = found.counts
    assert ranges(counts * 10, counts).tolist() == [
        len(one) * 10 + place for one in contents for place in range(len(one))
    ]
    met = [one for index, one in enumerate(contents) if one not in contents[:index]]
    numbers, first = distinct(found)
    assert numbers.tolist() == [met.index(one) for one in contents]
    assert first.tolist() == [contents.index(one) for one in met]
    # Some at a time, as all at once.
    known = Interned()
    pieces = [known.numbers(lists(*part)).tolist() for part in (contents[:cut], contents[cut:], contents)]
    assert pieces[0] + pieces[1] == pieces[2] == numbers.tolist()
    assert contents_of(known.lists()) == met


def contents_of(found: Lists) -> list[list[int]]:
    bounds = found.offsets.tolist()
    return [found.values[start:end].tolist() for start, end in pairwise(bounds)]


def test_lists_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "_hashes", lambda found: np.zeros(len(found), np.uint64))
    numbers, first = distinct(lists([1], [2], [1], [], [2, 1]))
    assert numbers.tolist() == [0, 1, 0, 2, 3]
    assert first.tolist() == [0, 1, 3, 4]


@given(st.lists(st.integers(0, 5), max_size=20))
def test_grouping_keeps_the_order(keys: list[int]) -> None:
    distinct, members = grouped(np.array(keys, np.int64), np.arange(len(keys)))
    assert distinct.tolist() == sorted(set(keys))
    for number, key in enumerate(distinct.tolist()):
        chosen = members.values[members.offsets[number] : members.offsets[number + 1]].tolist()
        assert chosen == [place for place, other in enumerate(keys) if other == key]


@pytest.mark.parametrize("scale", [1, 1 << 58])
@given(st.lists(st.integers(0, 5), max_size=20))
def test_sorting_keeps_the_order_of_equal_keys(scale: int, keys: list[int]) -> None:
    scaled = [key * scale for key in keys]
    order, ordered = sorted_order(np.array(scaled, np.int64))
    assert order.tolist() == sorted(range(len(keys)), key=lambda place: keys[place])
    assert ordered.tolist() == sorted(scaled)
    met, places = ranked(np.array(scaled, np.int64))
    assert met.tolist() == sorted(set(scaled))
    assert places.tolist() == [sorted(set(keys)).index(key) for key in keys]


def test_tables_are_exact_and_little_endian() -> None:
    assert [narrowest(largest) for largest in (0, 255, 256, 65_535, 65_536)] == [1, 1, 2, 2, 4]
    data = table("x", 2, [1, 2, 0x1234], "doc")
    assert data.to_bytes() == bytes.fromhex("0100 0200 3412")
    assert (data.section, data.symbol, data.size) == (".rodata.t_x", "t_x", 6)
    assert table("x", 8, np.array([1 << 63], np.uint64), "doc").to_bytes() == bytes.fromhex(
        "0000000000000080"
    )
    assert table("x", 4, [], "doc").to_bytes() == bytes(4)
    with pytest.raises(OverflowError):
        narrowest(1 << 32)
    with pytest.raises(OverflowError):
        table("x", 2, [70_000], "doc")
