"""What `diff` says is what differs, for every packet, and nothing else."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from encoded_policy import encode
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from policy_pairs import STRANGER, Asked, Service, Verdicts, differing, everything, pairs
from random_policies import RandomPolicy, policies
from surveys import FORMS, covering
from wardgate.compiler.analysis import diff
from wardgate.compiler.analysis.artefact_view import view_of_artefact
from wardgate.compiler.analysis.diff import compare
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.analysis.levels import level_label
from wardgate.compiler.analysis.people import Kind, People, Term
from wardgate.compiler.analysis.policy_view import view_of_policy
from wardgate.compiler.analysis.statements import Difference, Statement
from wardgate.compiler.analysis.view import View
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Address, Policy
from wardgate.compiler.semantics import Evaluator, Session
from wardgate.compiler.validation.errors import ValidationError

SLOW = settings(
    max_examples=20, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
"""Each example asks about every packet."""


def views(old: Policy, new: Policy) -> tuple[View, View]:
    return view_of_policy(old, "old.json"), view_of_policy(new, "new.json")


def difference(old: Policy | str, new: Policy | str) -> Difference:
    parsed = [one if isinstance(one, Policy) else parse_policy_text(one).policy for one in (old, new)]
    return compare(*views(*parsed))


def users_of(term: Term, users: tuple[str, ...], old: Policy, new: Policy) -> set[str]:
    match term.kind:
        case Kind.EVERYBODY:
            return set(users)
        case Kind.UNNAMED:
            return set(users) - {*old.users, *new.users}
        case Kind.GROUP:
            return set(new.groups[term.name])
        case Kind.OLD_GROUP:
            return set(old.groups[term.name])
        case Kind.USER:
            return {term.name}


def people_of(people: People, users: tuple[str, ...], old: Policy, new: Policy) -> set[str]:
    meant = [users_of(term, users, old, new) for term in people.terms]
    found = set.intersection(*meant) if people.both else set.union(*meant)
    return found.difference(*(users_of(term, users, old, new) for term in people.excepting))


def said_by(
    statement: Statement, asked: Asked, old: Policy, new: Policy
) -> list[tuple[str, Address, Service]]:
    """The combinations that a statement is about, by its words."""
    users, remotes, services = asked
    return [
        (user, remote, service)
        for user, remote, service in product(people_of(statement.people, users, old, new), remotes, services)
        if any(remote in area for area in statement.areas)
        and statement.services.covers(*service, remote.version)
    ]


def check_statements(found: Difference, old: Policy, new: Policy) -> None:
    for inbound in (False, True):
        asked = everything((old, new), inbound=inbound)
        expected: dict[tuple[str, Address, Service], tuple[Verdicts, tuple[int, int]]] = {
            (user, remote, service): (verdicts, rules)
            for user, remote, service, verdicts, rules in differing(old, new, asked, inbound=inbound)
        }
        said: dict[tuple[str, Address, Service], Statement] = {}
        for statement in found.statements:
            if statement.inbound is not inbound:
                continue
            mine = said_by(statement, asked, old, new)
            assert not said.keys() & mine, "two statements about one packet"
            said |= dict.fromkeys(mine, statement)
            deciding = [expected[key][1] for key in mine]
            for rules, side in ((statement.old_rules, 0), (statement.new_rules, 1)):
                assert {rule.id for rule in rules} == {ids[side] for ids in deciding} - {0}
        assert said.keys() == expected.keys()
        for key, statement in said.items():
            change = statement.change
            assert (level_label(change.before), level_label(change.after)) == expected[key][0]


def check_witnesses(found: Difference, old: Policy, new: Policy) -> None:
    evaluators = Evaluator(old), Evaluator(new)
    for statement in found.statements:
        witness, users = statement.witness, (STRANGER, statement.witness.user, *old.users, *new.users)
        assert witness.packet.inbound is statement.inbound
        assert witness.user in people_of(statement.people, users, old, new)
        assert any(witness.packet.remote in area for area in statement.areas)
        for evaluator, said in zip(evaluators, (witness.before, witness.after), strict=True):
            decision = evaluator.evaluate(witness.user, witness.packet, Session.NONE)
            assert said.label == decision.verdict.label
            assert said.prefix == (str(decision.prefix) if decision.prefix else None)
            assert (said.rule.id if said.rule else None) == (decision.rule.id if decision.rule else None)
            _, bucket = evaluator.bucket(witness.user, witness.packet.remote, inbound=statement.inbound)
            assert [rule.id for rule in said.bucket] == [rule.id for rule in bucket]
        ages = {
            age for rule in (*old.rules, *new.rules) if rule.within for age in (rule.within, rule.within + 1)
        }
        sessions = [(Session.NONE, 0), *((Session.AUTHORISED, age) for age in {0, *ages, 10**9})]
        passes = [
            sum(one.evaluate(witness.user, witness.packet, *session).passes for session in sessions)
            for one in evaluators
        ]
        assert (passes[1] > passes[0]) is statement.change.widens


@SLOW
@given(pairs())
def test_statements_are_exactly_what_differs(pair: tuple[Policy, Policy]) -> None:
    found = difference(*pair)
    check_statements(found, *pair)
    check_witnesses(found, *pair)
    assert found.widens is any(one.change.widens for one in found.statements)


@SLOW
@given(pairs(most_rules=5), st.integers(0, FORMS - 1), st.booleans())
def test_artefacts_in_every_form_say_what_policies_say(
    pair: tuple[Policy, Policy], form: int, old_too: bool
) -> None:
    old, new = views(*pair)
    made = [encode(policy, lambda survey: covering(survey, form)).artefact() for policy in pair]
    artefacts = [
        view_of_artefact(made[0], "old.json") if old_too else old,
        view_of_artefact(made[1], "new.json"),
    ]
    found, expected = compare(artefacts[0], artefacts[1]), compare(old, new)
    # An artefact knows only groups that have rules, so that people may have other names.
    for policy_one, artefact_one in zip(expected.statements, found.statements, strict=True):
        assert policy_one.change == artefact_one.change
    for one in (old, new):
        own = artefacts[0] if one is old else artefacts[1]
        assert all(one.groups[group] == members for group, members in own.groups.items())
    if not expected.statements:
        assert found.widens is False
        return
    check_witnesses(found, *pair)
    check_statements(found, *pair)


@settings(max_examples=30)
@given(policies(), st.integers(0, FORMS - 1))
def test_an_artefact_does_not_differ_from_its_policy(policy: RandomPolicy, form: int) -> None:
    made = encode(policy.text, lambda survey: covering(survey, form))
    artefact = view_of_artefact(made.artefact(), "policy.o")
    for pair in ((artefact, view_of_policy(made.policy, "p")), (artefact, artefact)):
        assert not compare(*pair).statements
        assert not compare(*reversed(pair)).statements


@settings(max_examples=40)
@given(policies(most_rules=5), st.integers(0, FORMS - 1), st.data())
def test_damaged_artefacts_are_refused_or_read(policy: RandomPolicy, form: int, data: st.DataObject) -> None:
    """Whatever tables and manifest say, nothing but the two errors comes of it."""
    made = encode(policy.text, lambda survey: covering(survey, form))
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(made.tables)))
            place = data.draw(st.integers(0, len(made.entries(name)) - 1))
            made = made.changed(name, {place: data.draw(st.integers(0, 1 << 33))})
        else:
            name = data.draw(st.sampled_from(sorted(made.manifest.parameters)))
            made = made.with_parameters(**{name: data.draw(st.integers(0, 300))})
    try:
        artefact = view_of_artefact(made.artefact(), "damaged.o")
    except (ValidationError, AnalysisError):
        return
    compare(view_of_policy(made.policy, "policy"), artefact)


def test_what_bucket_0_says_is_never_asked() -> None:
    made = encode(edited())
    table = made.entries("buckets")
    other = made.changed("buckets", {0: table[1]})
    assert not compare(view_of_policy(made.policy, "p"), view_of_artefact(other.artefact(), "o")).statements


POLICY: dict[str, Any] = {
    "version": 1,
    "groups": {"group:a": ["alice", "bob"], "group:c": ["carol", "dora"]},
    "policies": {
        "*": {"allow": ["10.0.0.5 443/tcp"]},
        "group:a": {"mfa": ["10.0.0.0/8"]},
    },
}


def edited(**changes: Any) -> str:
    return json.dumps({**POLICY, **changes})


def told(found: Difference) -> list[tuple[str, str, str, str]]:
    return [
        (str(one.change), str(one.people), ", ".join(map(str, one.areas)), str(one.services))
        for one in found.statements
    ]


def test_a_rule_for_a_group_is_one_statement() -> None:
    policies_ = {**POLICY["policies"], "group:c": {"allow": ["10.2.0.0/16 22/tcp"]}}
    found = difference(edited(), edited(policies=policies_))
    assert told(found) == [("deny -> allow", "group:c", "10.2.0.0/16", "22/tcp")]
    assert found.widens


def test_a_longer_prefix_takes_the_rest_away() -> None:
    policies_ = {**POLICY["policies"], "alice": {"allow": ["10.2.0.0/16 22/tcp"]}}
    found = difference(edited(), edited(policies=policies_))
    assert told(found) == [
        ("mfa -> allow", "alice", "10.2.0.0/16", "22/tcp"),
        ("mfa -> deny", "alice", "10.2.0.0/16", "every service except 22/tcp"),
    ]
    lost = found.statements[1]
    assert [rule.text for rule in lost.old_rules] == ["10.0.0.0/8"]
    assert lost.new_rules == ()
    assert [rule.text for rule in lost.witness.after.bucket] == ["10.2.0.0/16 22/tcp"]


def test_everybody_is_who_is_not_named_too() -> None:
    policies_ = {**POLICY["policies"], "*": {"allow": ["10.0.0.5 443/tcp icmp", "fd00::5 icmp"]}}
    found = difference(edited(), edited(policies=policies_))
    assert told(found) == [("deny -> allow", "everybody", "10.0.0.5, fd00::5", "icmp")]


def test_who_leaves_a_group_that_vanishes_is_told_by_its_old_name() -> None:
    policies_ = {"*": POLICY["policies"]["*"]}
    found = difference(edited(), edited(groups={}, policies=policies_))
    (statement,) = found.statements
    assert told(found) == [
        ("mfa -> deny", "group:a as it was", "10.0.0.0/8 except 10.0.0.5", "every service")
    ]
    assert statement.people.terms == (Term(Kind.OLD_GROUP, "group:a"),)
    assert not found.widens


def test_a_user_who_is_named_in_one_policy_only() -> None:
    policies_ = {**POLICY["policies"], "zoe": {"deny": ["10.0.0.5"]}}
    found = difference(edited(), edited(policies=policies_))
    assert told(found) == [("allow -> deny", "zoe", "10.0.0.5", "443/tcp")]
    assert not found.widens
    assert told(difference(edited(policies=policies_), edited())) == [
        ("deny -> allow", "zoe", "10.0.0.5", "443/tcp")
    ]


def test_another_text_of_the_same_meaning_is_no_difference() -> None:
    policies_ = {
        "group:a": {"mfa": ["10.0.0.0/8 tcp udp", "10.0.0.0/8"]},
        "*": {"allow": ["wiki 443/tcp"], "deny": ["10.0.0.5 80/tcp"]},
    }
    assert not difference(edited(), edited(policies=policies_, hosts={"wiki": "10.0.0.5"})).statements


def test_empty_policies() -> None:
    nothing = "version: 1\n"
    assert not difference(nothing, nothing).statements
    found = difference(nothing, 'version: 1\npolicies: {"*": {allow: ["0.0.0.0/0", "::/0"]}}\n')
    assert told(found) == [("deny -> allow", "everybody", "0.0.0.0/0, ::/0", "every service")]
    assert not difference('version: 1\npolicies: {"*": {deny: ["0.0.0.0/0"]}}\n', nothing).statements


def test_inbound_rules_are_compared_apart() -> None:
    found = difference(edited(), edited(inbound={"group:c": {"allow": ["10.0.0.9 9100/tcp"]}}))
    (statement,) = found.statements
    assert statement.inbound
    assert told(found) == [("deny -> allow", "group:c", "10.0.0.9", "9100/tcp")]


def test_protocols_that_icmp_has_for_one_version_are_told_apart() -> None:
    policies_ = {"*": {"allow": ["10.0.0.0/8 proto/58", "fd00::/8 proto/58"]}}
    found = difference("version: 1\n", edited(policies=policies_))
    assert sorted(told(found)) == [
        ("deny -> allow", "everybody", "10.0.0.0/8", "proto/58"),
        ("deny -> allow", "everybody", "fd00::/8", "icmp"),
    ]


def test_addresses_that_are_ipv4_in_ipv6_are_compared_and_no_witness_if_another_will_do() -> None:
    old = edited(policies={"*": {"allow": ["::/0"]}})
    new = edited(policies={"*": {"allow": ["::/0"], "deny": ["::fffe:0:0/95"]}})
    (statement,) = difference(old, new).statements
    assert str(statement.areas[0]) == "::fffe:0:0/95"
    assert str(statement.witness.packet.remote) == "::fffe:0:1"


def test_more_than_can_be_told_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "_MOST_ENTRIES", 1)
    policies_ = {"*": {"allow": ["10.0.0.0/8", "fd00::/8"]}}
    with pytest.raises(AnalysisError, match="more than 1 pairs"):
        difference("version: 1\n", edited(policies=policies_))
