"""Buckets' records and their rules, off by one: the proof fails where a packet can tell."""

from __future__ import annotations

import random
from dataclasses import asdict
from itertools import permutations

import pytest
from table_walk import Walk
from validated_policies import Case, cases, claimed, encoded, is_caught, is_refused, reached, refusal

BUCKETS = 5
"""Buckets, at random, of each policy."""
FIRST = (1 << 32) - 1


@pytest.mark.parametrize("case", cases("judge"), ids=str)
def test_a_record_with_another_pattern_or_other_rules(case: Case) -> None:
    right, (known, _) = encoded(case), claimed(case)
    records = right.entries("buckets")
    rules = len(right.entries("bucket_rules"))
    patterns = 1 + max(record >> 32 for record in records)
    chance = random.Random(f"{case}")
    numbers = range(1, len(records))
    caught = 0
    tried = chance.sample(numbers, min(case.some(BUCKETS), len(numbers)))
    for number in tried:
        pattern, first = records[number] >> 32, records[number] & FIRST
        others = {pattern + 1, pattern - 1, 0, patterns, FIRST} - {pattern}
        changes = {other << 32 | first for other in others}
        changes |= {pattern << 32 | max(other, 0) for other in (first + 1, first - 1, rules, FIRST)}
        changes |= {records[chance.choice(numbers)], 0}
        for record in changes - {records[number]}:
            wrong = right.changed("buckets", {number: record})
            walk = Walk(wrong)
            walk.__dict__["services"] = known.services
            same = walk.judged(number) == known.judged(number) and not walk.escaped
            assert is_refused(wrong) is not same, (number, record)
            caught += not same
    assert caught >= 5 * len(tried)


@pytest.mark.parametrize("case", [case for case in cases("judge") if case.policy == "tiny"], ids=str)
def test_the_pattern_of_a_bucket_of_the_other_ip_version(case: Case) -> None:
    """ICMP is another protocol there, so that rules of the same words have another pattern."""
    right = encoded(case)
    records, rules = right.entries("buckets"), right.policy.rules
    said = {
        bucket: [(rules[number - 1].action, rules[number - 1].services) for number in bucket.rules]
        for bucket in right.manifest.buckets
    }
    pairs = [
        (one.id, other.id)
        for one, other in permutations(said, 2)
        if said[one] == said[other] and records[one.id] >> 32 != records[other.id] >> 32
    ]
    assert pairs
    for one, other in pairs:
        mixed = records[one] & FIRST | records[other] & ~FIRST
        assert is_refused(right.changed("buckets", {one: mixed})), (one, other)


@pytest.mark.parametrize("case", cases("buckets"), ids=str)
def test_another_rule_in_the_place_of_one(case: Case) -> None:
    right = encoded(case)
    rules, count = right.entries("bucket_rules"), len(right.policy.rules)
    read = reached(case, "bucket_rules")
    assert read
    for index in random.Random(f"{case}").sample(read, min(case.some(2 * BUCKETS), len(read))):
        # Whether a rule says `within` is the lowest bit, where any does.
        step = 2 if "within" in right.tables else 1
        for rule in {0, rules[index] + step, rules[index] - step, step * (count + 1)} - {rules[index]}:
            # It decides about some service: that is how it is read.
            assert is_refused(right.changed("bucket_rules", {index: rule})), (index, rule)


@pytest.mark.parametrize("case", [case for case in cases("buckets") if case.policy == "fresh"], ids=str)
def test_a_rule_that_says_what_it_does_not(case: Case) -> None:
    """Of an mfa rule without `within` programs would look up no time at all: no login is as recent."""
    right = encoded(case)
    rules, source = right.entries("bucket_rules"), right.policy.rules
    plain = [
        i
        for i in reached(case, "bucket_rules")
        if (found := source[(rules[i] >> 1) - 1]) and (found.action.value, found.within) == ("mfa", None)
    ]
    assert plain
    for index in plain:
        assert is_refused(right.changed("bucket_rules", {index: rules[index] | 1})), index


@pytest.mark.parametrize("case", cases("buckets"), ids=str)
def test_a_rule_that_decides_nothing_may_be_any(case: Case) -> None:
    right = encoded(case)
    rules = right.entries("bucket_rules")
    for index in {*range(len(rules))} - {*reached(case, "bucket_rules", shadows=True)}:
        assert not is_caught(case, right.changed("bucket_rules", {index: 0}))


@pytest.mark.parametrize("case", cases("buckets"), ids=str)
def test_a_bucket_more(case: Case) -> None:
    """The manifest may name none that nobody has, and none twice, even if tables decide right for it."""
    right = encoded(case)
    records, buckets = right.entries("buckets"), right.manifest.buckets
    for number in (1, len(buckets)):
        more = right.replaced("buckets", 8, [*records, records[number]])
        assert not is_refused(more)
        twin = asdict(buckets[number - 1])
        other = next(b.prefix for b in buckets if (b.prefix, b.rules) != (twin["prefix"], twin["rules"]))
        for change in ({}, {"prefix": other}):
            bucket = {**twin, **change, "id": len(buckets) + 1}
            error = refusal(more.described(lambda document, new=bucket: document["buckets"].append(new)))
            assert error is not None
            assert error.subject == f"bucket {bucket['id']}"
            assert change or error.tables == f"the same as bucket {number}"


@pytest.mark.parametrize("case", cases("buckets"), ids=str)
def test_what_bucket_zero_says_is_nobodys_business(case: Case) -> None:
    right = encoded(case)
    assert 0 not in reached(case, "buckets")
    assert not is_caught(case, right.changed("buckets", {0: right.entries("buckets")[-1]}))
