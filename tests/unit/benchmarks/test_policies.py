"""Generated policies: of the size asked for, the same each time, and like real ones."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network

import pytest
from wardgate.compiler.language.model import Action
from wardgate.compiler.semantics.effective import user_classes

from benchmarks.policies import TUNNEL4, TUNNEL6, Shape, document, full_buckets, generate


@pytest.mark.parametrize("rules", [10, 100, 1_000])
def test_a_policy_has_the_shape_that_was_asked_for(rules: int) -> None:
    shape = Shape.of_rules(rules)
    generated = generate(shape)
    assert len(generated.policy.rules) == rules
    prefixes = {prefix for rule in generated.policy.rules for prefix in rule.destinations}
    assert len(prefixes) == shape.prefixes
    assert {prefix.version for prefix in prefixes} == {4, 6}
    assert generated.policy.users == tuple(sorted(generated.users))
    assert len(generated.users) == shape.classes


def test_of_one_ip_version_alone() -> None:
    policy = generate(Shape(50, 20, 5, 5, versions=(6,))).policy
    assert {prefix.version for rule in policy.rules for prefix in rule.destinations} == {6}


def test_the_same_seed_gives_the_same_text_and_another_another() -> None:
    shape = Shape.of_rules(200)
    assert generate(shape).text == generate(shape).text
    assert generate(shape).text != generate(Shape.of_rules(200, seed=2)).text


def test_users_differ_in_policy() -> None:
    generated = generate(Shape.of_rules(1_000))
    classes = user_classes(generated.policy)
    distinct = {classes.index(user) for user in generated.users}
    # A group that happens to have no rule tells nobody apart.
    assert len(distinct) > 0.9 * len(generated.users)


def test_prefixes_and_services_are_spread_as_the_module_says() -> None:
    policy = generate(Shape.of_rules(4_000)).policy
    prefixes = {prefix for rule in policy.rules for prefix in rule.destinations}
    v4 = [prefix.prefixlen for prefix in prefixes if prefix.version == 4]
    assert 0.4 < sum(length == 32 for length in v4) / len(v4) < 0.7
    assert any(length <= 16 for length in v4)
    assert any(a != b and a.subnet_of(b) for a in prefixes for b in prefixes if a.version == b.version)
    actions = Counter(rule.action for rule in policy.rules)
    assert actions[Action.ALLOW] > actions[Action.MFA] > actions[Action.DENY] > 0
    texts = Counter(rule.text.partition(" ")[2] for rule in policy.rules)
    assert texts["443/tcp"] == max(texts.values())
    assert texts[""] > 0


def test_no_prefix_is_about_the_tunnel() -> None:
    for rule in document(Shape.of_rules(1_000))["policies"].values():
        for texts in rule.values():
            for text in texts:
                network = ip_network(text.split()[0])
                assert not network.overlaps(TUNNEL4 if network.version == 4 else TUNNEL6)


def test_full_buckets_have_so_many_rules_each() -> None:
    generated = full_buckets(rules=9, groups=3, classes=5)
    policy = generated.policy
    per_prefix = Counter(prefix for rule in policy.rules for prefix in rule.destinations)
    assert set(per_prefix.values()) == {9}
    assert len(per_prefix) == generated.shape.prefixes == 60
    assert len(policy.rules) == generated.shape.rules == 27
