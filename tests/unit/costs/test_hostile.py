"""Policies that are as bad as can be for some structure fit a budget, or are refused with what to change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hostile_policies import Document, disjoint, near_hosts, single_ports
from surveys import MIB
from wardgate.compiler import compile_parsed
from wardgate.compiler.costs import BudgetError, choose, planner
from wardgate.compiler.costs.choose import Decision, plan_bytes
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import lower
from wardgate.compiler.lowering.survey import STRUCTURES, Candidate, Structure, Survey

BUDGET = 64 * MIB


def parsed(document: Document) -> Policy:
    return parse_policy_text(json.dumps(document, indent=1), "hostile.json").policy


def surveyed(policy: Policy) -> Survey:
    """The survey, without the tables."""

    class _SurveyedError(Exception):
        pass

    found: list[Survey] = []

    def stop(survey: Survey) -> None:
        found.append(survey)
        raise _SurveyedError

    with pytest.raises(_SurveyedError):
        lower(policy, stop)  # type: ignore[arg-type]
    return found[0]


def smallest(survey: Survey) -> dict[Structure, Candidate]:
    offered = {name: survey.of(name) for name in STRUCTURES}
    return {name: min(found, key=lambda one: one.bytes) for name, found in offered.items() if found}


def least_bytes(policy: Policy) -> int:
    survey = surveyed(policy)
    return plan_bytes(smallest(survey), survey)


def without(policy: Policy, dropped: set[int]) -> Policy:
    """The policy without these rules."""
    kept = [rule for rule in policy.rules if rule.id not in dropped]
    return replace(policy, rules=tuple(replace(rule, id=n) for n, rule in enumerate(kept, 1)))


FITTING = {
    "disjoint prefixes": (lambda: disjoint(100, 100), "route4", "search"),
    "disjoint prefixes, many classes": (lambda: disjoint(40, 100, classes=400), "reach", "ranked"),
    "a bucket of 10,000 ports": (lambda: single_ports(10_000, rules_a_bucket=10_000), "judge", "plain"),
    "16 ports a bucket": (lambda: single_ports(10_000, rules_a_bucket=16), "judge", "paged"),
    "256 hosts that share 120 bits": (lambda: near_hosts(1), "reach", "plain"),
    "groups of 256 hosts": (lambda: near_hosts(40), "route6", "search"),
}


@pytest.mark.parametrize("name", FITTING)
def test_they_fit(name: str) -> None:
    make, structure, variant = FITTING[name]
    decision: Decision = choose(surveyed(parsed(make())), BUDGET)
    assert plan_bytes(decision.chosen, decision.survey) <= BUDGET
    assert decision.chosen[structure].variant == variant  # type: ignore[index]


def test_a_bucket_for_each_port_is_refused() -> None:
    policy = parsed(single_ports(8_000, rules_a_bucket=1, groups=8))
    with pytest.raises(BudgetError) as refused:
        lower(policy, planner(policy, MIB))
    error = refused.value
    assert error.needed == least_bytes(policy) > error.allowed == MIB
    assert "the budget is 1.0 MiB" in error.cause
    assert "8,000 buckets" in error.cause
    assert next(iter(error.structures)) == "judge"
    assert "ranges of ports" in error.remedy
    assert "--budget" in error.remedy
    kinds = [culprit.kind for culprit in error.culprits]
    assert kinds == ["rules of"] * 5 + ["rule"] * 5 + ["prefix"] * 5
    assert {culprit.position.file for culprit in error.culprits} == {"hostile.json"}


def test_all_ports_there_are_compile_or_are_refused() -> None:
    """65,535 rules, and a service class for each."""
    together = compile_parsed(parsed(single_ports(65_535, rules_a_bucket=65_535)), budget=BUDGET)
    assert together.validation
    assert together.validation.service_intervals > 65_535
    apart = parsed(single_ports(65_535, rules_a_bucket=1, groups=8))
    with pytest.raises(BudgetError, match="65,536 service classes") as refused:
        compile_parsed(apart, budget=BUDGET)
    assert refused.value.needed > BUDGET


@pytest.mark.parametrize(
    ("document", "at_least"),
    [
        (single_ports(3_000, rules_a_bucket=1, groups=4), 0.5),
        (disjoint(20, 100), 0.7),
        (disjoint(20, 100, classes=60), 0.7),
        # Hosts and ports side by side: where one group's were, a table still has to say that nothing is.
        (single_ports(3_000, rules_a_bucket=20, groups=4), 0.1),
        (near_hosts(20), 0.1),
    ],
    ids=["ports", "prefixes", "prefixes and classes", "ports in buckets", "near hosts"],
)
def test_about_what_is_said_goes_away(document: Document, at_least: float) -> None:
    policy = parsed(document)
    needed = least_bytes(policy)
    with pytest.raises(BudgetError) as refused:
        lower(policy, planner(policy, 1))
    culprit = refused.value.culprits[0]
    assert culprit.kind == "rules of"
    rules = {rule.id for rule in policy.rules if rule.subject == culprit.name}
    assert at_least < (needed - least_bytes(without(policy, rules))) / culprit.bytes < 1.35


def test_no_rule_is_blamed_for_what_others_need_too() -> None:
    document = near_hosts(2)
    shared = "fd00:5::/64 443/tcp"
    for group in document["policies"].values():
        group["allow"].append(shared)
    policy = parsed(document)
    with pytest.raises(BudgetError) as refused:
        lower(policy, planner(policy, 1))
    assert not [one for one in refused.value.culprits if one.kind == "rule" and shared in one.name]
