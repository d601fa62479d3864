"""Dead rules: removing them changes no verdict, and none is left that could be removed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from random_policies import RandomPolicy, policies
from small_policies import DOCUMENTS, build
from verdict_tables import Questions, without_rules
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lint.dead import dead_rules
from wardgate.compiler.lint.masks import ServiceMasks
from wardgate.compiler.lint.side import Side
from wardgate.compiler.lowering.classes import policy_classes


def dead_of(policy: Policy) -> set[int]:
    classes, masks = policy_classes(policy), ServiceMasks(policy.rules)
    sides = [Side(policy, classes, masks, inbound=inbound) for inbound in (False, True)]
    return {number for side in sides for number in dead_rules(side).dead}


def assert_exact(policy: Policy) -> None:
    questions = Questions.about(policy)
    verdicts = questions.verdicts()
    dead = dead_of(policy)
    assert questions.verdicts(dead) == verdicts
    for number in dead:
        assert questions.verdicts({number}) == verdicts or dead_of(without_rules(policy, {number}))
    for rule in policy.rules:
        if rule.id not in dead:
            assert questions.verdicts(dead | {rule.id}) != verdicts, rule


@given(DOCUMENTS)
@settings(max_examples=40)
def test_small_policies(document: dict[str, Any]) -> None:
    assert_exact(build(document))


@given(policies(most_rules=8))
@settings(max_examples=20)
def test_random_policies(random: RandomPolicy) -> None:
    assert_exact(parse_policy_text(random.text, "p.json").policy)
