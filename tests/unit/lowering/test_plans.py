"""Tables say what the reference says, in every form that they can take, and are as large as surveyed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import groupby, product

import pytest
from encoded_policy import EncodedPolicy, encode
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies
from table_walk import Walk
from validated_policies import POLICIES
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Packet, Policy
from wardgate.compiler.lowering.lowered import Lowered, lower
from wardgate.compiler.lowering.plan import Plan, chosen, default_plan, plan_of
from wardgate.compiler.lowering.survey import STRUCTURES, Candidate, Survey
from wardgate.compiler.semantics import Decision, Evaluator, Session
from wardgate.compiler.semantics.partition import representatives

SLOW = settings(
    max_examples=25, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
"""Each example asks about every packet."""

Answers = dict[tuple[bool, str, str], tuple[str | None, tuple[int, ...], tuple[int, ...]]]


def read(policy: str) -> Policy:
    return parse_policy_text(policy).policy


def as_word(decision: Decision) -> int:
    """As Walk.decision has it."""
    rule = decision.rule
    return ((rule.within or 0) << 40 | rule.id << 2 if rule else 0) | decision.verdict


def meant(policy: Policy) -> Answers:
    """By direction, user and remote: the bucket's prefix and rules, and what it decides of services."""
    evaluator = Evaluator(policy)
    found: Answers = {}
    for inbound in (False, True):
        asked = representatives(policy, inbound=inbound)
        for user, remote in product(asked.users, asked.remotes):
            prefix, rules = evaluator.bucket(user, remote, inbound=inbound)
            decisions = []
            for protocol, port in asked.services if prefix else ():
                packet = Packet(remote, protocol, port, inbound)
                told = evaluator.evaluate(user, packet, Session.NONE)
                decisions.append(as_word(told))
            ids = tuple(rule.id for rule in rules)
            found[inbound, user, str(remote)] = prefix and str(prefix), ids, tuple(decisions)
    return found


def said(encoded: EncodedPolicy) -> Answers:
    """The same, by the tables."""
    walk = Walk(encoded)
    manifest = encoded.manifest
    service = cache(walk.service)
    destination = cache(walk.destination)
    found: Answers = {}
    for inbound in (False, True):
        asked = representatives(encoded.policy, inbound=inbound)
        decided = cache(
            lambda bucket, asked=asked: tuple(
                walk.decision(bucket, service(protocol, port or 0)) for protocol, port in asked.services
            )
        )
        for user, remote in product(asked.users, asked.remotes):
            number = destination(remote.version, int(remote))
            bucket = 0
            if number is not None and (walk.inbound or not inbound):
                bucket = walk.bucket(walk.row(manifest.class_of(user), inbound), number)
            if bucket:
                named = manifest.buckets[bucket - 1]
                assert named.inbound == inbound
                found[inbound, user, str(remote)] = named.prefix, named.rules, decided(bucket)
            else:
                found[inbound, user, str(remote)] = None, (), ()
    assert not walk.escaped
    return found


def combinations(survey: Survey, parameters: int) -> Iterator[Plan]:
    """Every combination of variants, with so many of the parameters that each has; without tunnels,
    whose indexes are in no table."""
    offered = {structure: _some(survey.of(structure), parameters) for structure in STRUCTURES[:4]}
    offered = {structure: found for structure, found in offered.items() if found}
    for combination in product(*offered.values()):
        yield plan_of(dict(zip(offered, combination, strict=True)))


def _some(candidates: tuple[Candidate, ...], parameters: int) -> list[Candidate]:
    chosen_ones: list[Candidate] = []
    for _, group in groupby(candidates, lambda candidate: candidate.variant):
        found = list(group)
        middle = found[len(found) // 3]
        chosen_ones += dict.fromkeys((found[0], middle, found[-1]) if parameters > 1 else (middle,))
    return chosen_ones


@pytest.mark.parametrize(
    ("name", "parameters"), [("office", 3), ("subnets", 3), ("everything", 3), ("wide", 1)]
)
def test_every_combination_of_forms(name: str, parameters: int) -> None:
    policy = read(POLICIES[name])
    expected = meant(policy)
    plans = list(combinations(lower(policy).survey, parameters))
    assert {(plan.reach, plan.judge) for plan in plans} == set(
        product(("plain", "paged", "ranked"), ("plain", "paged"))
    )
    for plan in plans:
        assert said(encode(policy, lambda _, plan=plan: plan)) == expected


@st.composite
def any_plan(draw: st.DrawFn, survey: Survey) -> Plan:
    return plan_of(
        {
            structure: draw(st.sampled_from(survey.of(structure)))
            for structure in STRUCTURES
            if survey.of(structure)
        }
    )


@SLOW
@given(policies(most_rules=8), st.data())
def test_random_policies_in_random_forms(given_policy: RandomPolicy, data: st.DataObject) -> None:
    policy = read(given_policy.text)
    plan = data.draw(any_plan(lower(policy).survey))
    assert said(encode(policy, lambda _: plan)) == meant(policy)


def check_sizes(lowered: Lowered) -> None:
    """The tables are as surveyed."""
    forms = chosen(lowered.plan, lowered.survey)
    sizes = {found.name: len(found.to_bytes()) for found in lowered.tables}
    for structure in ("route4", "route6", "reach", "judge"):
        candidate = forms.get(structure)
        if candidate is None:
            continue
        assert candidate.bytes == sum(size for name, size in sizes.items() if name.startswith(structure))
        assert 0 < candidate.touched <= candidate.bytes
        if candidate.variant == "search":
            steps = lowered.parameters[f"{structure}_steps"]
            assert candidate.steps == steps
            assert candidate.loads == 1 + steps + bool(lowered.parameters[f"{structure}_index_bits"])
            assert candidate.wide == ("route6_low" in sizes and structure == "route6")
    tables = sum(found.bytes for structure, found in forms.items() if not structure.startswith("tunnel"))
    assert lowered.survey.constant_bytes + tables == sum(sizes.values())
    assert lowered.survey.buckets == len(lowered.buckets)


@SLOW
@given(policies(), st.data())
def test_surveys_are_exact(given_policy: RandomPolicy, data: st.DataObject) -> None:
    policy = read(given_policy.text)
    plan = data.draw(any_plan(lower(policy).survey))
    check_sizes(lower(policy, lambda _: plan))


def test_surveys_are_exact_for_every_form() -> None:
    policy = read(POLICIES["wide"])
    survey = lower(policy).survey
    usual = chosen(default_plan(survey), survey)
    for candidate in survey.candidates:
        plan = plan_of({**usual, candidate.structure: candidate})
        check_sizes(lower(policy, lambda _, plan=plan: plan))


@SLOW
@given(policies())
def test_the_same_policy_gives_the_same_tables(given_policy: RandomPolicy) -> None:
    first, second = (lower(read(given_policy.text)) for _ in range(2))
    assert [(t.name, t.to_bytes()) for t in first.tables] == [(t.name, t.to_bytes()) for t in second.tables]
    assert (first.plan, first.parameters, first.features) == (second.plan, second.parameters, second.features)


TUNNELS = """
version: 1
tunnel: {tunnel}
policies:
  "*": {{allow: ["192.0.2.0/24", "2001:db8::/32"]}}
"""


@pytest.mark.parametrize(
    ("tunnel", "sizes", "usual"),
    [
        ('["10.9.0.0/24", "10.10.0.0/16"]', {0, 256}, (256, 0)),
        ('["10.9.0.7/32"]', {0, 1}, (1, 0)),
        ('["100.64.0.0/15"]', {0, 256, 4096, 65536, 131072}, (131072, 0)),
        ('["10.0.0.0/8"]', {0, 256, 4096, 65536, 131072, 262144, 1048576}, (65536, 0)),
        ('["fd00::/8"]', {0, 256, 4096, 65536, 131072, 262144, 1048576}, (0, 65536)),
        ('["fd09::4:0/111"]', {0, 256, 4096, 65536, 131072}, (0, 131072)),
        ('["fd09::7/128"]', {0, 1}, (0, 1)),
    ],
)
def test_tunnels(tunnel: str, sizes: set[int], usual: tuple[int, int]) -> None:
    policy = read(TUNNELS.format(tunnel=tunnel))
    lowered = lower(policy)
    offered = [*lowered.survey.of("tunnel4"), *lowered.survey.of("tunnel6")]
    assert {candidate.parameter for candidate in offered} == sizes
    assert all(candidate.bytes == 8 * candidate.parameter for candidate in offered)
    assert (lowered.plan.tunnel4_size, lowered.plan.tunnel6_size) == usual
    first = int(policy.tunnel[0].network_address)
    if usual[0]:
        assert lowered.parameters["tunnel4_base"] == first
        assert lowered.parameters["tunnel4_size"] == usual[0]
    else:
        assert lowered.parameters["tunnel6_high"] << 64 | lowered.parameters["tunnel6_low"] == first
        assert lowered.parameters["tunnel6_size"] == usual[1]
    assert {f"TUNNEL{version}" for version in lowered.tunnels} == lowered.features & {"TUNNEL4", "TUNNEL6"}


def test_a_plan_of_what_is_not_offered_is_refused() -> None:
    policy = read(TUNNELS.format(tunnel='["10.9.0.0/24"]'))
    plan = lower(policy).plan
    wrong = Plan(plan.reach, plan.judge, plan.route4, plan.route4_index_bits, plan.route6_index_bits, 512, 0)
    with pytest.raises(ValueError, match=r"tunnel4 as index \(512\)"):
        lower(policy, lambda _: wrong)


def test_a_policy_without_rules_has_tables() -> None:
    lowered = lower(read("version: 1\npolicies: {}\n"))
    assert lowered.survey.of("route4") == lowered.survey.of("route6") == ()
    assert all(len(found.values) for found in lowered.tables)
    assert lowered.features == {"REACH_PLAIN", "JUDGE_PLAIN"}
