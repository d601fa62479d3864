"""Traces hold what the policy lets pass, in the order and form that the harness replays."""

from __future__ import annotations

import struct
from collections import Counter
from ipaddress import IPv4Address, IPv6Address

import pytest
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import TCP, UDP, Packet
from wardgate.compiler.semantics.reference import Session, evaluate
from wardgate.runtime.layout.codes import Verdict

from benchmarks.policies import TUNNEL4, TUNNEL6, GeneratedPolicy, Shape, generate
from benchmarks.traces import Trace, TraceError, TraceMaker, Tuple, class_of, device_address

DEVICES = 40


@pytest.fixture(scope="module")
def generated() -> GeneratedPolicy:
    return generate(Shape.of_rules(300))


def judged(generated: GeneratedPolicy, trace: Trace, session: Session) -> list[bool]:
    """What the reference says, which knows nothing of classes and caches."""
    kind = IPv4Address if trace.version == 4 else IPv6Address
    return [
        evaluate(
            generated.policy,
            class_of(one.device, generated.users),
            Packet(kind(one.remote), trace.protocol, one.port),
            session,
        ).passes
        for one in trace.tuples
    ]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_all_of_a_trace_passes(generated: GeneratedPolicy, version: int, protocol: int) -> None:
    trace = TraceMaker(generated, DEVICES).draw(version, 50, protocol=protocol)
    assert len(set(trace.tuples)) == 50
    assert all(judged(generated, trace, Session.AUTHORISED))
    assert all(0 <= one.device < DEVICES for one in trace.tuples)
    assert len({one.device for one in trace.tuples}) > DEVICES / 3


def test_a_verdict_can_be_asked_for(generated: GeneratedPolicy) -> None:
    maker = TraceMaker(generated, DEVICES)
    allowed = maker.draw(4, 50, verdicts=frozenset({Verdict.ALLOW}))
    asked = maker.draw(4, 50, verdicts=frozenset({Verdict.MFA}))
    assert all(judged(generated, allowed, Session.NONE))
    assert not any(judged(generated, asked, Session.NONE))
    assert all(judged(generated, asked, Session.AUTHORISED))


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_kept_of_verdicts_is_what_the_reference_says(
    generated: GeneratedPolicy, version: int
) -> None:
    """Of many packets of one maker, so that buckets come again."""
    maker = TraceMaker(generated, DEVICES)
    trace, passes = maker.sample(version, 1_000)
    assert passes == judged(generated, trace, Session.AUTHORISED)
    assert any(passes)
    assert not all(passes)


def test_shorter_traces_begin_longer_ones_and_seeds_repeat(generated: GeneratedPolicy) -> None:
    maker = TraceMaker(generated, DEVICES)
    longer = maker.draw(4, 60)
    assert maker.draw(4, 20).tuples == longer.tuples[:20]
    assert TraceMaker(generated, DEVICES).draw(4, 60) == longer
    assert TraceMaker(generated, DEVICES, seed=2).draw(4, 60) != longer


def test_zipf_prefers_some(generated: GeneratedPolicy) -> None:
    maker = TraceMaker(generated, DEVICES)
    uniform, uneven = maker.draw(4, 1_000), maker.draw(4, 1_000, "zipf")
    assert len(uneven.tuples) == 1_000
    assert set(uneven.tuples) <= set(uniform.tuples)
    counts = Counter(uneven.tuples)
    assert 80 < counts[uniform.tuples[0]] < 200
    assert len(counts) < 800


def test_a_sample_has_packets_of_both_kinds_and_says_which(generated: GeneratedPolicy) -> None:
    maker = TraceMaker(generated, DEVICES)
    for version in (4, 6):
        trace, passes = maker.sample(version, 300)
        assert passes == judged(generated, trace, Session.AUTHORISED)
        assert 30 < sum(passes) < 270


def test_records_are_in_network_order() -> None:
    one = Tuple(2, int(IPv4Address("10.0.0.5")), 40_000, 443)
    packed = Trace(4, TCP, (one, one)).records()
    assert packed[:16] == TUNNEL4[3].packed + bytes([10, 0, 0, 5]) + struct.pack(">HHI", 40_000, 443, 0)
    assert packed[16:] == packed[:16]
    six = Tuple(2, int(IPv6Address("fd00::5")), 40_000, 443)
    expected = TUNNEL6[3].packed + IPv6Address("fd00::5").packed + struct.pack(">HHI", 40_000, 443, 0)
    assert Trace(6, TCP, (six,)).records() == expected
    assert device_address(6, 2) == TUNNEL6[3]


def test_a_policy_without_such_packets_is_an_error() -> None:
    text = 'version: 1\ntunnel: [100.64.0.0/15]\npolicies: {"*": {allow: ["10.0.0.5 443/tcp"]}}\n'
    policy = parse_policy_text(text).policy
    maker = TraceMaker(GeneratedPolicy(Shape(1, 1, 1, 1), text, policy, ("user0",)), 1)
    assert len(maker.draw(4, 5).tuples) == 5
    with pytest.raises(TraceError):
        maker.draw(4, 1, verdicts=frozenset({Verdict.MFA}))
    with pytest.raises(TraceError):
        maker.draw(6, 1)
