"""Findings about prefixes inside others, held against every verdict of small policies."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from hypothesis import example, given, settings
from random_policies import RandomPolicy, policies
from small_policies import DOCUMENTS, GROUPS, HOSTS, NAMED, build
from verdict_tables import Questions, sides_of
from wardgate.compiler.language import Code, parse_policy_text, static_resolver
from wardgate.compiler.language.model import Action, Packet, Policy, Prefix, Rule
from wardgate.compiler.lint import lint_policy
from wardgate.compiler.lint.blanked import blanked_buckets
from wardgate.compiler.lint.overridden import MOST_NAMED, overridden_rules
from wardgate.compiler.semantics import Session, any_matches, effective_rules, evaluate
from wardgate.compiler.semantics.reference import VERDICTS, matching_rules, verdict_of
from wardgate.runtime.layout.codes import Verdict

PASSING = (Verdict.ALLOW, Verdict.MFA)


class Brute:
    """What is to be found in a policy, by looking at every packet."""

    def __init__(self, policy: Policy) -> None:
        self.overridden: dict[int, set[int]] = {}
        self.blanked: set[tuple[bool, Prefix, int]] = set()
        rules_of = lru_cache(None)(lambda user, inbound: effective_rules(policy, user, inbound=inbound))
        for user, packet, decision in Questions.about(policy).decisions():
            if decision.prefix is None:
                continue
            rules = rules_of(user, packet.inbound)
            if decision.verdict in PASSING:
                winners = [m for m in decision.matching if VERDICTS[m.action] is decision.verdict]
                self._look_for_overridden(rules, packet, decision.prefix, decision.verdict, winners)
            elif decision.verdict is Verdict.NONE and passes_around(rules, packet, decision.prefix):
                first = min(rule.id for rule in rules if decision.prefix in rule.destinations)
                self.blanked.add((packet.inbound, decision.prefix, first))

    def _look_for_overridden(
        self, rules: tuple[Rule, ...], packet: Packet, prefix: Prefix, verdict: Verdict, winners: list[Rule]
    ) -> None:
        for rule in rules:
            weak = rule.action is Action.DENY or (rule.action is Action.MFA and verdict is Verdict.ALLOW)
            if (
                weak
                and any_matches(rule.services, packet.protocol, packet.port, packet.remote.version)
                and any(packet.remote in p and p.prefixlen < prefix.prefixlen for p in rule.destinations)
                and all(winner.subject != rule.subject for winner in winners)
            ):
                self.overridden.setdefault(rule.id, set()).update(winner.id for winner in winners)


def passes_around(rules: tuple[Rule, ...], packet: Packet, prefix: Prefix) -> bool:
    """Whether the packet would pass if nothing were said of `prefix` and of longer ones."""
    around = [
        other
        for rule in rules
        for other in rule.destinations
        if packet.remote in other and other.prefixlen < prefix.prefixlen
    ]
    longest = max(around, key=lambda other: other.prefixlen, default=None)
    bucket = tuple(rule for rule in rules if longest in rule.destinations)
    return verdict_of(matching_rules(bucket, packet))[0] in PASSING


def assert_exact(policy: Policy) -> None:
    brute = Brute(policy)
    sides = sides_of(policy)
    found = {weak.rule.id: set(weak.by) for side in sides for weak in overridden_rules(side)}
    assert found.keys() == brute.overridden.keys()
    for number, by in found.items():
        assert by
        assert by <= brute.overridden[number]
        assert len(by) > MOST_NAMED or by == brute.overridden[number]
    blanked = {
        (side.inbound, side.nodes[blank.node].prefix, blank.rule.id)
        for side in sides
        for blank in blanked_buckets(side)
    }
    assert blanked == brute.blanked


def test_prefixes_that_only_others_have_rules_inside_of() -> None:
    # For bob, the /24 has no address; for alice it has, and there it blanks and defeats.
    assert_exact(
        parse_policy_text(
            """\
version: 1
groups: {group:a: [alice, bob], group:b: [bob], group:c: [alice, bob]}
policies:
  group:a: {allow: [10.0.0.0/24 80/tcp, 10.0.0.0/8 22/tcp]}
  group:b: {allow: [10.0.0.0/25 22/tcp, 10.0.0.128/25 22/tcp]}
  group:c: {deny: [10.0.0.0/8 80/tcp], mfa: [10.0.0.0/8 79-81/tcp]}
"""
        ).policy
    )


@given(DOCUMENTS)
@settings(max_examples=40)
def test_small_policies(document: dict[str, Any]) -> None:
    assert_exact(build(document))


@given(policies(most_rules=12))
@settings(max_examples=20)
def test_random_policies(random: RandomPolicy) -> None:
    assert_exact(parse_policy_text(random.text, "p.json").policy)


@given(policies())
@settings(max_examples=30)
def test_packets_show_what_findings_say(random: RandomPolicy) -> None:
    loaded = parse_policy_text(random.text, "p.json")
    for finding in lint_policy(loaded).findings:
        witness = finding.witness
        if witness is None:
            assert finding.code in (
                Code.UNUSED_GROUP, Code.UNUSED_HOST, Code.UNUSED_SERVICE, Code.UNGROUPED_USER, Code.DEAD_RULE
            )  # fmt: skip
            continue
        decision = evaluate(loaded.policy, witness.user, witness.packet, Session.NONE)
        assert decision == witness.decision
        if finding.code is Code.DEFEATED_DENY:
            assert decision.verdict in PASSING
        elif finding.code is Code.BYPASSED_MFA:
            assert decision.verdict is Verdict.ALLOW
        elif finding.code is Code.BLANKED_PREFIX:
            assert decision.verdict is Verdict.NONE
            assert decision.prefix is not None


NAMES = {"n.example.org": ["10.1.0.2", "fd00:1::9"], "m.example.org": ["10.255.255.255"]}
SPELT = {"10.1.0.2": "N.example.org", "10.255.255.255": "m.example.org"}


@given(DOCUMENTS)
@example({"policies": {"*": {"allow": ["both tcp"]}}})
@example({"policies": {"*": {"allow": ["10.1.0.2 tcp"]}, "alice": {"mfa": ["10.0.0.0/8"]}}})
@settings(max_examples=40)
def test_names_inside_prefixes(document: dict[str, Any]) -> None:
    hosts = {**HOSTS, "both": ["10.1.0.3", "10.1.0.0/16", "n.example.org"]}
    text = json.dumps({"version": 1, "groups": GROUPS, "hosts": hosts, "services": NAMED, **document})
    for address, name in SPELT.items():
        text = text.replace(f'"{address}', f'"{name}')
    loaded = parse_policy_text(text, "p.json", resolver=static_resolver(NAMES))
    found = [
        (finding.position, finding.diagnostic.message.split("`")[1])
        for finding in lint_policy(loaded).findings
        if finding.code is Code.NAME_IN_PREFIX
    ]
    assert sorted(found) == sorted(names_by_brute_force(loaded.policy))


def names_by_brute_force(policy: Policy) -> set[Any]:
    """Place and name of each rule that has a DNS name, an address of which is inside the prefix of a rule
    that the same user has, and that isn't by this name."""
    found = set()
    users = ("alice", "bob", "carol", "dave")
    for rule in policy.rules:
        for name in names_in(rule):
            for other in policy.rules:
                together = any(
                    {rule, other} <= set(effective_rules(policy, user, inbound=rule.inbound))
                    for user in users
                )
                inside = any(
                    address in prefix and prefix.prefixlen < prefix.max_prefixlen
                    for address in policy.resolved[name]
                    for prefix in other.destinations
                )
                if together and inside and name not in names_in(other):
                    found.add((rule.position, name))
    return found


def names_in(rule: Rule) -> list[str]:
    word = rule.text.split()[0].lower()
    return ["n.example.org"] if word == "both" else [word] if word in NAMES else []
