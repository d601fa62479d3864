"""Assertions are proved or contradicted as the definition, and a solver, say: of users as they are, and of
users in any groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import smt
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_policies import DESTINATION, DOCUMENTS, GROUPS, SERVICE_WORDS, SUBJECT, USERS, build
from wardgate.compiler.analysis import prover as proving
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.analysis.memberships import Memberships
from wardgate.compiler.analysis.prover import Counterexample, Proved, prove
from wardgate.compiler.language import PolicyError, parse_claim
from wardgate.compiler.language.model import (
    EVERYONE,
    Address,
    Assertion,
    AssertionKind,
    Packet,
    Policy,
)
from wardgate.compiler.semantics import Evaluator, Session, any_matches, evaluate
from wardgate.compiler.semantics.partition import representatives

SLOW = settings(
    max_examples=30, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
"""Each example asks about every packet, for every set of groups."""

STRANGER = "zoe"
KINDS = st.sampled_from(["never", "always", "only"])


@st.composite
def questions(draw: st.DrawFn, any_membership: st.SearchStrategy[bool]) -> Policy:
    """A policy with one assertion."""
    kind = draw(KINDS)
    subject = draw(SUBJECT | st.just("dave"))
    fields: dict[str, Any] = {"as": subject if kind != "only" or subject != EVERYONE else "alice"}
    fields["from" if draw(st.sampled_from([False, False, True])) else "to"] = draw(DESTINATION)
    services = draw(SERVICE_WORDS)
    fields |= {"service": services} if services else {}
    fields |= draw(st.sampled_from([{}, {"authed": "true"}, {"authed": "false"}]))
    if draw(any_membership):
        fields["membership"] = "any"
    document = draw(DOCUMENTS)
    document["assertions"] = [{kind: fields}]
    return build(document)


def memberships(policy: Policy) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every user of every kind, in every set of groups."""
    for user in (*USERS, STRANGER):
        for count in range(len(policy.groups) + 1):
            for groups in combinations(policy.groups, count):
                yield user, groups


def supposed(policy: Policy, user: str, groups: tuple[str, ...]) -> Policy:
    return replace(policy, groups={name: (user,) if name in groups else () for name in policy.groups})


def concerns(assertion: Assertion, user: str, groups: tuple[str, ...]) -> bool:
    own = assertion.subject in (EVERYONE, user, *groups)
    return own is not (assertion.kind is AssertionKind.ONLY)


def packets(policy: Policy, assertion: Assertion) -> list[Packet]:
    """One of all that could matter."""
    asked = replace(policy.rules[0], destinations=assertion.destinations, services=assertion.services)
    # The edges of what is asked about matter like those of rules.
    chosen = representatives(
        replace(policy, rules=(*policy.rules, replace(asked, inbound=assertion.inbound))),
        inbound=assertion.inbound,
    )
    remotes: list[Address] = [r for r in chosen.remotes if any(r in p for p in assertion.destinations)]
    return [
        Packet(remote, *service, assertion.inbound)
        for remote in remotes
        for service in chosen.services
        if any_matches(assertion.services, *service, remote.version)
    ]


SESSIONS = {
    None: (Session.NONE, Session.AUTHORISED),
    True: (Session.AUTHORISED,),
    False: (Session.NONE,),
}


def check_example(policy: Policy, assertion: Assertion, example: Counterexample) -> None:
    """It contradicts the assertion, by the definition."""
    known = policy
    if example.groups is not None:
        known = supposed(policy, example.user, example.groups)
        assert concerns(assertion, example.user, example.groups)
    else:
        groups = tuple(name for name, members in policy.groups.items() if example.user in members)
        assert concerns(assertion, example.user, groups)
    assert (example.groups is not None) is assertion.any_membership
    assert any(example.packet.remote in prefix for prefix in assertion.destinations)
    remote = example.packet.remote
    assert any_matches(assertion.services, example.packet.protocol, example.packet.port, remote.version)
    assert example.session in SESSIONS[assertion.authed]
    decision = evaluate(known, example.user, example.packet, example.session)
    assert decision == example.decision
    assert decision.passes is not (assertion.kind is AssertionKind.ALWAYS)


@SLOW
@given(questions(st.just(True)))
def test_any_membership_is_every_set_of_groups(policy: Policy) -> None:
    (assertion,) = policy.assertions
    if not policy.rules:
        return
    proved = prove(policy, assertion)
    asked = packets(policy, assertion)
    wanted = assertion.kind is AssertionKind.ALWAYS
    count = 0
    holds = True
    for user, groups in memberships(policy):
        if concerns(assertion, user, groups):
            count += 1
            evaluator = Evaluator(supposed(policy, user, groups))
            holds &= all(
                evaluator.evaluate(user, packet, session).passes is wanted
                for packet in asked
                for session in SESSIONS[assertion.authed]
            )
    assert proved.passed is holds
    assert proved.memberships is not None
    assert proved.memberships.count <= count
    if proved.counterexample:
        check_example(policy, assertion, proved.counterexample)


@settings(max_examples=60)
@given(questions(st.booleans()))
def test_a_solver_says_the_same(policy: Policy) -> None:
    (assertion,) = policy.assertions
    proved = prove(policy, assertion)
    assert proved.passed is smt.holds(policy, assertion)
    if proved.counterexample:
        check_example(policy, assertion, proved.counterexample)


BLANKING = """\
version: 1
groups: {group:web: [alice], group:old: [bob], group:empty: []}
policies:
  "*": {allow: [10.0.0.5 443/tcp]}
  group:web: {allow: [10.0.0.0/8 443/tcp]}
  group:old: {allow: [10.0.0.0/16 22/tcp]}
"""


def proved_of(claim: str, policy: str = BLANKING) -> Proved:
    loaded, assertion = parse_claim(policy, claim)
    return prove(loaded.policy, assertion)


def test_a_further_group_can_take_access_away() -> None:
    claim = "always: {as: group:web, to: 10.0.0.0/24, service: 443/tcp"
    assert proved_of(f"{claim}}}").passed
    proved = proved_of(f"{claim}, membership: any}}")
    assert str(proved.counterexample) == (
        "anyone-else, in group:web and group:old (not logged in) to 10.0.0.1 443/tcp is dropped (no rule)"
    )
    assert proved_of("always: {as: group:web, to: 10.0.0.5, service: 443/tcp, membership: any}").passed


def test_what_was_covered_is_counted() -> None:
    proved = proved_of("never: {as: group:empty, to: 10.0.0.5, service: 22/tcp, membership: any}")
    # Nobody's own rules; with each set of the other two groups. Looked at: none, and each alone.
    assert (proved.passed, proved.memberships, proved.classes, proved.cases) == (
        True, Memberships(1, 2), 3, 3 * 2,
    )  # fmt: skip
    proved = proved_of("never: {as: group:empty, to: 10.0.0.5, service: 22/tcp}")
    assert (proved.passed, proved.memberships, proved.classes, proved.cases) == (True, None, 0, 0)


def test_many_groups_are_no_many_cases() -> None:
    groups = ", ".join(f"group:g{number}: []" for number in range(200))
    rules = "\n".join(f"  group:g{number}: {{allow: [10.{number}.0.0/16 22/tcp]}}" for number in range(200))
    text = f"version: 1\ngroups: {{{groups}}}\npolicies:\n{rules}\n"
    proved = proved_of("never: {as: '*', to: 0.0.0.0/0, service: 23/tcp, membership: any}", text)
    assert proved.passed
    assert proved.memberships == Memberships(1, 200)
    assert proved.memberships.count == 1 << 200
    assert proved.classes == 201
    proved = proved_of("only: {as: group:g7, to: 10.7.0.0/16, membership: any}", text)
    assert proved.passed
    assert proved.memberships == Memberships(1, 199)


def test_a_user_of_the_same_name_in_other_groups() -> None:
    policy = f"{BLANKING}  carol: {{mfa: [10.1.0.0/16]}}\n"
    claim = "never: {as: carol, to: 10.0.0.9, membership: any}"
    assert proved_of("never: {as: carol, to: 10.0.0.9}", policy).passed
    assert str(proved_of(claim, policy).counterexample) == (
        "carol, in group:old (not logged in) to 10.0.0.9 22/tcp passes by `10.0.0.0/16 22/tcp` at"
        " policy.yaml:6:23"
    )
    # Whoever else is in whatever groups has not carol's rules.
    assert proved_of("only: {as: carol, to: 10.1.0.0/24, service: udp, membership: any}", policy).passed


def test_users_with_rules_of_their_own_are_tried_in_any_group() -> None:
    policy = f"{BLANKING}  carol: {{mfa: [10.1.0.0/16]}}\n"
    claim = "never: {{as: {}, to: 10.1.0.0/16, service: 22/udp, membership: any}}"
    for subject, groups in (("'*'", ()), ("group:empty", ("group:empty",))):
        example = proved_of(claim.format(subject), policy).counterexample
        assert example is not None
        assert (example.user, example.groups) == ("carol", groups)
    assert proved_of(claim.format("bob"), policy).passed


@pytest.mark.parametrize("more", ["", ", membership: any"])
def test_somebody_else_is_not_the_subject_by_another_way(more: str) -> None:
    proved = proved_of(f"only: {{as: anyone-else, to: 10.0.0.5, service: 443/tcp{more}}}")
    assert proved.counterexample is not None
    assert proved.counterexample.user != "anyone-else"
    assert proved_of("never: {as: anyone-else, to: 10.0.0.6}").passed


def test_present_is_the_default_and_can_be_written() -> None:
    loaded, assertion = parse_claim(BLANKING, "never: {as: bob, to: 10.9.0.0/16, membership: present}")
    assert not assertion.any_membership
    assert assertion.text == "never: {as: bob, to: 10.9.0.0/16}"
    loaded, assertion = parse_claim(BLANKING, "never: {as: bob, to: 10.9.0.0/16, membership: any}")
    assert assertion.any_membership
    assert assertion.text == "never: {as: bob, to: 10.9.0.0/16, membership: any}"
    assert loaded.warnings == ()


def test_a_question_that_is_too_big_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "MOST_CELLS", 3)
    with pytest.raises(AnalysisError, match="only 3 pairs of them are tried"):
        proved_of("never: {as: '*', to: 10.0.0.0/8, service: 9999/tcp}")


@pytest.mark.parametrize(
    ("claim", "place", "message"),
    [
        ("never", "ASSERTION:1:1", "an assertion should be a mapping"),
        ("", "ASSERTION:1:1", "nothing is claimed"),
        ("never: {as: alice, to: 10.0.0.0/33}", "ASSERTION:1:33", "33"),
        ("never: {as: group:nix, to: 10.0.0.5}", "ASSERTION:1:13", "no group is called"),
        ("never: {as: alice, to: 10.0.0.5, membership: all}", "ASSERTION:1:46", "none of: present, any"),
        ("never: {as: alice, to: 10.0.0.5\n", "ASSERTION:1:32", "not YAML"),
        ("never: {as: al\u202eice, to: 10.0.0.5}", "ASSERTION:1:15", "not allowed"),
        ("{never: {as: alice, to: 10.0.0.5}, always: {as: bob, to: 10.0.0.5}}", "ASSERTION:1:1", "makes 2"),
    ],
)
def test_errors_point_into_the_argument(claim: str, place: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_claim(BLANKING, claim)
    (error,) = caught.value.errors
    assert str(error.position) == place
    assert message in error.message


def test_errors_of_policy_and_argument_come_together() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_claim("version: 1\npolicies: {alice: {allow: [10.0.0.256]}}\n", "never: {as: alice}")
    assert {error.position.file for error in caught.value.errors} == {"policy.yaml", "ASSERTION"}


def test_groups_of_the_small_policies_are_those_that_are_combined() -> None:
    assert len(list(memberships(build({"policies": {}})))) == (len(USERS) + 1) << len(GROUPS)
