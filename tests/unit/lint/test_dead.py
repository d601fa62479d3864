"""Dead rules: removing them changes no verdict, and none is left that could be removed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from random_policies import RandomPolicy, policies
from small_policies import DOCUMENTS, build
from verdict_tables import Questions, sides_of
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lint.dead import dead_rules


def dead_of(policy: Policy) -> set[int]:
    return {number for side in sides_of(policy) for number in dead_rules(side).dead}


def assert_exact(policy: Policy) -> None:
    questions = Questions.about(policy)
    verdicts = questions.verdicts()
    dead = dead_of(policy)
    assert questions.verdicts(dead) == verdicts
    for rule in policy.rules:
        if rule.id not in dead:
            assert questions.verdicts(dead | {rule.id}) != verdicts, rule


@given(DOCUMENTS)
@settings(max_examples=15)
def test_small_policies(document: dict[str, Any]) -> None:
    assert_exact(build(document))


@given(policies(most_rules=8))
@settings(max_examples=8)
def test_random_policies(random: RandomPolicy) -> None:
    assert_exact(parse_policy_text(random.text, "p.json").policy)


def dead_texts(text: str) -> list[str]:
    policy = parse_policy_text(f"version: 1\n{text}").policy
    assert_exact(policy)
    return [policy.rules[number - 1].text for number in sorted(dead_of(policy))]


@pytest.mark.parametrize(
    ("rules", "dead"),
    [
        ('{"*": {allow: [10.0.0.5 80/tcp, 10.0.0.5 tcp]}}', ["10.0.0.5 80/tcp"]),
        # Covered by several together, and not by one.
        (
            '{"*": {allow: [10.0.0.5 80-90/tcp, 10.0.0.5 1-85/tcp, 10.0.0.5 86-99/tcp]}}',
            ["10.0.0.5 80-90/tcp"],
        ),
        # The stronger one covers, not the weaker one.
        ('{"*": {allow: [10.0.0.5 80/tcp], deny: [10.0.0.5 tcp]}}', ["10.0.0.5 80/tcp"]),
        ('{"*": {mfa: [10.0.0.5 80/tcp], allow: [10.0.0.5 tcp]}}', []),
        ('{"*": {allow: [10.0.0.5 80/tcp]}, alice: {deny: [10.0.0.5]}}', []),
        ('{alice: {allow: [10.0.0.5 80/tcp]}, "*": {deny: [10.0.0.5]}}', ["10.0.0.5 80/tcp"]),
        # Of two that are the same the later one.
        ('{"*": {allow: [10.0.0.5 icmp]}, alice: {allow: [10.0.0.5 proto/1]}}', ["10.0.0.5 proto/1"]),
        # Longer prefixes leave the /24 no address; with one address less they leave it one.
        (
            '{"*": {allow: [10.0.0.0/24 80/tcp, 10.0.0.0/25 22/tcp, 10.0.0.128/25 22/tcp]}}',
            ["10.0.0.0/24 80/tcp"],
        ),
        ('{"*": {allow: [10.0.0.0/31 80/tcp, 10.0.0.0 22/tcp]}}', []),
        # What the prefix around says anyway; another service would be dropped without the rule.
        ('{"*": {allow: [10.0.0.0/8 tcp, 10.0.0.5 tcp]}}', ["10.0.0.5 tcp"]),
        ('{"*": {allow: [10.0.0.0/8 tcp, 10.0.0.5 80/tcp]}}', []),
        # A bucket of two: without one of them, what it says would be dropped.
        ('{"*": {allow: [10.0.0.0/8 80/tcp, 10.0.0.5 80/tcp, 10.0.0.5 443/tcp]}}', []),
        # The /31 has no address; without it, the prefix around the two inside is the /8.
        (
            '{"*": {allow: [10.0.0.0/8 tcp, 10.0.0.0/31 udp, 10.0.0.0 tcp, 10.0.0.1 tcp]}}',
            ["10.0.0.0/31 udp", "10.0.0.0 tcp", "10.0.0.1 tcp"],
        ),
        # A deny says something that no rule says.
        ('{"*": {allow: [10.0.0.5 80/tcp], deny: [10.0.0.5 22/tcp]}}', []),
    ],
)
def test_what_is_dead(rules: str, dead: list[str]) -> None:
    assert dead_texts(f"policies: {rules}") == dead
    assert dead_texts(f"inbound: {rules}") == dead


def test_rules_that_nobody_has() -> None:
    text = "groups: {group:none: [], group:some: [alice]}\npolicies: "
    rules = "{group:none: {allow: [10.0.0.5]}, group:some: {allow: [10.0.0.5 80/tcp]}}"
    assert dead_texts(text + rules) == ["10.0.0.5"]


def test_a_rule_of_several_prefixes_is_dead_if_it_is_for_each() -> None:
    hosts = "hosts: {two: [10.0.0.5, 10.0.0.6]}\npolicies: "
    assert dead_texts(hosts + '{"*": {allow: [two 80/tcp, 10.0.0.5 tcp]}}') == []
    assert dead_texts(hosts + '{"*": {allow: [two 80/tcp, 10.0.0.5 tcp, 10.0.0.6 tcp]}}') == ["two 80/tcp"]


def test_a_rule_of_prefixes_inside_each_other_goes_with_all_of_them() -> None:
    hosts = "hosts: {two: [10.0.0.0/8, 10.0.0.5]}\npolicies: "
    assert dead_texts(hosts + '{"*": {allow: [0.0.0.0/0 tcp, two tcp]}}') == ["two tcp"]


def test_rules_that_only_some_of_their_users_need() -> None:
    text = "groups: {group:a: [alice, bob], group:b: [bob, carol]}\npolicies: "
    rules = "{group:a: {allow: [10.0.0.5 tcp]}, group:b: {allow: [10.0.0.5 80/tcp]}}"
    assert dead_texts(text + rules) == []
    assert dead_texts(text.replace("carol", "alice") + rules) == ["10.0.0.5 80/tcp"]


def test_longer_prefixes_of_others_leave_their_addresses() -> None:
    text = "groups: {group:a: [alice, bob], group:b: [bob]}\npolicies: "
    halves = "group:b: {allow: [10.0.0.0/25 22/tcp, 10.0.0.128/25 22/tcp]}"
    rules = f"{{group:a: {{allow: [10.0.0.0/24 80/tcp]}}, {halves}}}"
    # Nothing is left of the /24 for bob, and all of it for alice.
    assert dead_texts(text + rules) == []
    assert dead_texts(text.replace("alice, ", "") + rules) == ["10.0.0.0/24 80/tcp"]


def test_many_rules_for_one_prefix() -> None:
    rules = ", ".join(f"10.0.0.5 {low}-{low + 9}/tcp" for low in range(1, 3000))
    policy = parse_policy_text(f'version: 1\npolicies: {{"*": {{allow: [{rules}, 10.0.0.5 tcp]}}}}').policy
    assert dead_of(policy) == set(range(1, 3000))
