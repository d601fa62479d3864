"""The model that competitors are made from says what the reference says."""

from __future__ import annotations

import itertools
import random
from ipaddress import ip_address

import pytest
from wardgate.compiler.language.model import Packet
from wardgate.compiler.semantics.evaluator import Evaluator
from wardgate.compiler.semantics.reference import Session
from wardgate.runtime.layout.codes import Verdict

from benchmarks.competitors.identity_lpm import blocks
from benchmarks.competitors.linear import chain
from benchmarks.model import PROTOCOLS, PolicyModel
from benchmarks.nftables import intervals, ruleset
from benchmarks.policies import GeneratedPolicy, Shape, generate


@pytest.fixture(scope="module")
def generated() -> GeneratedPolicy:
    return generate(Shape.of_rules(200))


@pytest.fixture(scope="module")
def model(generated: GeneratedPolicy) -> PolicyModel:
    return PolicyModel(generated.policy, generated.users)


def verdict_in(bucket, protocol: int, port: int) -> Verdict:
    if bucket is None:
        return Verdict.NONE
    return next(v for p, low, high, v in bucket.segments if p == protocol and low <= port <= high)


def test_segments_of_the_deciding_bucket_are_the_reference(generated, model) -> None:
    evaluator = Evaluator(generated.policy)
    generator = random.Random(3)
    positions = list(enumerate(model.prefixes))
    rows = {user: model.deciding(model.classes[model.class_of[user]]) for user in generated.users}
    seen = set()
    for _ in range(3_000):
        position, prefix = generator.choice(positions)
        # An address of which this is the longest prefix of all.
        address = prefix[generator.randrange(min(prefix.num_addresses, 1 << 16))]
        if any(
            address in other
            for other in model.prefixes
            if other != prefix and other.version == prefix.version and other.subnet_of(prefix)
        ):
            continue
        user, protocol = generator.choice(generated.users), generator.choice(PROTOCOLS)
        port = generator.choice((443, 80, 22, 53, generator.randint(1, 65_535)))
        expected = evaluator.evaluate(user, Packet(address, protocol, port), Session.AUTHORISED).verdict
        assert verdict_in(rows[user][position], protocol, port) is expected
        seen.add(expected)
    assert seen == set(Verdict)


def test_segments_cover_all_ports_once(model) -> None:
    for bucket in model.buckets:
        for protocol in PROTOCOLS:
            own = [segment for segment in bucket.segments if segment[0] == protocol]
            assert own[0][1] == 0
            assert own[-1][2] == 65_535
            assert all(a[2] + 1 == b[1] and a[3] is not b[3] for a, b in itertools.pairwise(own))


def test_parents_are_the_next_wider_prefixes(model) -> None:
    for prefix, parent in zip(model.prefixes, model.parents, strict=True):
        wider = [
            p for p in model.prefixes if p != prefix and p.version == prefix.version and prefix.subnet_of(p)
        ]
        assert (model.prefixes[parent] if parent >= 0 else None) == max(
            wider, key=lambda p: p.prefixlen, default=None
        )


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 65_535), (1, 65_535), (443, 443), (1_024, 65_535), (8_000, 8_999), (5, 6), (65_535, 65_535)],
)
def test_blocks_of_ports_are_exactly_the_range(low: int, high: int) -> None:
    covered = []
    for start, bits in blocks(low, high):
        size = 1 << (16 - bits)
        assert start % size == 0
        covered += range(start, start + size)
    assert covered == list(range(low, high + 1))


def test_nftables_intervals_are_disjoint_and_decide_as_the_longest_prefix(model) -> None:
    for one in model.classes:
        buckets = model.own(one, 4)
        found = intervals(buckets)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
        for first, last, bucket in found:
            for address in (first, last):
                own = [p for p in buckets if address in p]
                assert buckets[max(own, key=lambda p: p.prefixlen)] is bucket
        covered = sum(int(last) - int(first) + 1 for first, last, _ in found)
        roots = set(buckets)
        roots = [p for p in roots if not any(p != q and p.subnet_of(q) for q in roots)]
        assert covered == sum(p.num_addresses for p in roots)


def test_a_rule_set_has_all_devices_and_their_classes(model) -> None:
    text = ruleset(model, 10, stateful=False)
    assert all(str(ip_address("100.64.0.1") + number) in text for number in range(10))
    assert "ct state" not in text
    assert "ct state" in ruleset(model, 10, stateful=True)


def test_the_chain_has_a_comparison_for_each_prefix(model) -> None:
    subjects = sorted({rule.subject for rule in model.policy.rules})
    text = chain(model, {subject: number for number, subject in enumerate(subjects)})
    assert text.count("about = 0;") == len(model.prefixes)
