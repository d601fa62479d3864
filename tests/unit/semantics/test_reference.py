"""The reference against a second formulation, and the properties that the language promises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_policies import DOCUMENTS, PACKETS, PREFIXES, SERVICES, USERS, build, judged
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import (
    EVERYONE,
    Action,
    Everything,
    Icmp,
    Packet,
    Ports,
    Prefix,
    Protocol,
)
from wardgate.compiler.language.query import parse_query_address, parse_query_service
from wardgate.compiler.semantics import (
    Decision,
    Evaluator,
    Session,
    any_matches,
    buckets,
    effective_rules,
    evaluate,
    matches,
    subjects_of,
    user_classes,
)
from wardgate.runtime.layout.codes import Reason, Verdict

OFFICE = """
version: 1
groups: {group:contractors: [carol], group:staff: [alice, carol]}
hosts: {lab: [10.1.0.0/16, "fd00:1::/48"]}
policies:
  "*":
    allow: [10.0.0.53 53/any, lab icmp]
    mfa: [lab, 10.0.0.0/8 22/tcp]
  group:contractors: {deny: [lab 22/tcp]}
  group:staff: {allow: [10.1.2.0/24 80/tcp]}
  alice: {allow: [10.0.0.53 80/tcp]}
inbound:
  alice: {allow: [10.0.0.7 22/tcp]}
"""


def ask(user: str, remote: str, service: str, *, inbound: bool = False, policy: str = OFFICE) -> Decision:
    address = parse_query_address(remote)
    packet = Packet(address, *parse_query_service(service, address.version), inbound)
    return evaluate(parse_policy_text(policy).policy, user, packet, Session.NONE)


@pytest.mark.parametrize(
    ("user", "remote", "service", "verdict", "prefix", "rule"),
    [
        ("bob", "10.0.0.53", "53/udp", Verdict.ALLOW, "10.0.0.53/32", "10.0.0.53 53/any"),
        # The bucket of the /32 decides alone: ssh, which 10.0.0.0/8 would let in, has no rule in it.
        ("bob", "10.0.0.53", "22/tcp", Verdict.NONE, "10.0.0.53/32", None),
        ("bob", "10.0.0.54", "22/tcp", Verdict.MFA, "10.0.0.0/8", "10.0.0.0/8 22/tcp"),
        ("bob", "10.0.0.54", "53/udp", Verdict.NONE, "10.0.0.0/8", None),
        ("bob", "11.0.0.0", "53/udp", Verdict.NONE, None, None),
        # Users add to what everyone has; the bucket is the union.
        ("alice", "10.0.0.53", "80/tcp", Verdict.ALLOW, "10.0.0.53/32", "10.0.0.53 80/tcp"),
        ("alice", "10.0.0.53", "53/sctp", Verdict.ALLOW, "10.0.0.53/32", "10.0.0.53 53/any"),
        ("bob", "10.0.0.53", "80/tcp", Verdict.NONE, "10.0.0.53/32", None),
        # mfa before allow, deny before mfa.
        ("bob", "10.1.9.9", "icmp", Verdict.MFA, "10.1.0.0/16", "lab"),
        ("bob", "fd00:1::9", "icmp", Verdict.MFA, "fd00:1::/48", "lab"),
        ("carol", "10.1.9.9", "22/tcp", Verdict.DENY, "10.1.0.0/16", "lab 22/tcp"),
        ("carol", "10.1.9.9", "23/tcp", Verdict.MFA, "10.1.0.0/16", "lab"),
        # A group's longer prefix takes the contractors' deny out of force.
        ("carol", "10.1.2.3", "80/tcp", Verdict.ALLOW, "10.1.2.0/24", "10.1.2.0/24 80/tcp"),
        ("carol", "10.1.2.3", "22/tcp", Verdict.NONE, "10.1.2.0/24", None),
    ],
)
def test_examples(
    user: str, remote: str, service: str, verdict: Verdict, prefix: str | None, rule: str | None
) -> None:
    decision = ask(user, remote, service)
    assert decision.verdict is verdict
    assert (None if decision.prefix is None else str(decision.prefix)) == prefix
    assert (None if decision.rule is None else decision.rule.text) == rule


def test_inbound_is_judged_by_inbound_rules_alone() -> None:
    assert ask("alice", "10.0.0.7", "22/tcp", inbound=True).verdict is Verdict.ALLOW
    assert ask("alice", "10.0.0.7", "23/tcp", inbound=True).reason is Reason.NO_RULE
    assert ask("alice", "10.0.0.53", "80/tcp", inbound=True).reason is Reason.NO_BUCKET
    assert ask("bob", "10.0.0.7", "22/tcp", inbound=True).reason is Reason.NO_BUCKET


@pytest.mark.parametrize(
    ("action", "session", "reason"),
    [
        *(("allow", session, Reason.PASS) for session in Session),
        *(("deny", session, Reason.DENY_RULE) for session in Session),
        ("mfa", Session.NONE, Reason.NEEDS_LOGIN),
        ("mfa", Session.AUTHORISED, Reason.PASS),
        ("mfa", Session.EXPIRED, Reason.SESSION_EXPIRED),
        ("mfa", Session.IDLE, Reason.IDLE),
        ("mfa", Session.LOCKED, Reason.LOCKED),
    ],
)
def test_sessions_matter_to_mfa_only(action: str, session: Session, reason: Reason) -> None:
    policy = parse_policy_text(f"version: 1\npolicies: {{a: {{{action}: [10.0.0.1 22/tcp]}}}}\n").policy
    remote = parse_query_address("10.0.0.1")
    decision = evaluate(policy, "a", Packet(remote, 6, 22), session)
    assert (decision.reason, decision.passes) == (reason, reason is Reason.PASS)
    assert evaluate(policy, "a", Packet(remote, 6, 23), session).reason is Reason.NO_RULE
    assert evaluate(policy, "b", Packet(remote, 6, 22), session).reason is Reason.NO_BUCKET


def test_the_first_of_equal_rules_decides() -> None:
    policy = parse_policy_text(
        "version: 1\npolicies:\n"
        "  a: {allow: [10.0.0.1], deny: [10.0.0.1 22/tcp]}\n  '*': {deny: [10.0.0.1 tcp]}\n"
    ).policy
    decision = evaluate(policy, "a", Packet(parse_query_address("10.0.0.1"), 6, 22), Session.NONE)
    assert decision.rule is policy.rules[1]
    assert decision.matching == policy.rules


USER = st.sampled_from([*USERS, "stranger"])


def shown(prefix: Prefix | None) -> str | None:
    if prefix is None:
        return None
    bits = f"{int(prefix.network_address):0{prefix.max_prefixlen}b}"[: prefix.prefixlen]
    return f"{prefix.version}:{bits}"


AGE = st.sampled_from([0, 9, 10, 11, 900, 901, 86_400, 86_401])
SECONDS = {"10s": 10, "15m": 900, "1d": 86_400}


@given(DOCUMENTS, USER, PACKETS, AGE)
def test_a_second_formulation_agrees(document: dict[str, Any], user: str, packet: Packet, age: int) -> None:
    decision = evaluate(build(document), user, packet, Session.AUTHORISED, age)
    verdict, prefix, within = judged(document, user, packet)
    assert (decision.verdict.name.lower(), shown(decision.prefix)) == (verdict, prefix)
    recent = within is None or age <= SECONDS[within]
    assert decision.passes is (verdict == "allow" or (verdict == "mfa" and recent))
    assert (decision.reason is Reason.LOGIN_TOO_OLD) is (not recent)
    if within is not None:
        assert decision.rule is not None
        assert decision.rule.within == SECONDS[within]
    assert (decision.rule is None) is (decision.verdict is Verdict.NONE)
    if decision.rule is not None:
        assert decision.rule.action.value == decision.verdict.label
        same = [rule for rule in decision.matching if rule.action is decision.rule.action]
        assert decision.rule == min(same, key=lambda rule: (rule.within or 10**9, rule.id))


@given(DOCUMENTS, st.lists(st.tuples(USER, PACKETS), min_size=1, max_size=8), st.sampled_from(Session))
def test_the_evaluator_agrees(
    document: dict[str, Any], asked: list[tuple[str, Packet]], session: Session
) -> None:
    policy = build(document)
    evaluator = Evaluator(policy)
    for user, packet in asked:
        for age in (0, 11, 901, 86_401):
            expected = evaluate(policy, user, packet, session, age)
            assert evaluator.evaluate(user, packet, session, age) == expected


def reversed_document(document: dict[str, Any]) -> dict[str, Any]:
    """The same rules, everything in the opposite order."""
    return {
        name: {
            subject: {action: rules[::-1] for action, rules in reversed(actions.items())}
            for subject, actions in reversed(section.items())
        }
        for name, section in reversed(document.items())
    }


@given(DOCUMENTS, USER, PACKETS, st.sampled_from(Session))
def test_order_is_of_no_account(
    document: dict[str, Any], user: str, packet: Packet, session: Session
) -> None:
    one = evaluate(build(document), user, packet, session)
    other = evaluate(build(reversed_document(document)), user, packet, session)
    assert (one.verdict, one.reason, one.prefix) == (other.verdict, other.reason, other.prefix)
    assert sorted(rule.text for rule in one.matching) == sorted(rule.text for rule in other.matching)


def with_rule(
    document: dict[str, Any], inbound: bool, subject: str, action: str, rule: str
) -> dict[str, Any]:
    name = "inbound" if inbound else "policies"
    section = document.get(name, {})
    actions = section.get(subject, {})
    added = {**actions, action: [*actions.get(action, []), rule]}
    return {**document, name: {**section, subject: added}}


@given(DOCUMENTS, USER, PACKETS)
def test_deny_comes_before_mfa_before_allow(document: dict[str, Any], user: str, packet: Packet) -> None:
    before = evaluate(build(document), user, packet, Session.NONE)
    to = f"{packet.remote}" if before.prefix is None else f"{before.prefix}"
    expected = {
        "deny": Verdict.DENY,
        "mfa": max(before.verdict, Verdict.MFA),
        "allow": max(before.verdict, Verdict.ALLOW),
    }
    for action, verdict in expected.items():
        changed = build(with_rule(document, packet.inbound, EVERYONE, action, to))
        assert evaluate(changed, user, packet, Session.NONE).verdict is verdict


@given(
    DOCUMENTS,
    USER,
    PACKETS,
    st.sampled_from([action.value for action in Action]),
    st.sampled_from(PREFIXES),
    st.lists(st.sampled_from(SERVICES), max_size=2),
)
def test_the_longest_prefix_decides_alone(
    document: dict[str, Any], user: str, packet: Packet, action: str, to: str, words: list[str]
) -> None:
    before = evaluate(build(document), user, packet, Session.NONE)
    rule = " ".join((to, *words))
    changed = build(with_rule(document, packet.inbound, EVERYONE, action, rule))
    after = evaluate(changed, user, packet, Session.NONE)
    added = next(r for r in changed.rules if r.text == rule).destinations
    longest = max((p.prefixlen for p in added if packet.remote in p), default=-1)
    length = before.prefix.prefixlen if before.prefix is not None else -1
    if longest < length or longest == -1:
        assert (after.verdict, after.prefix) == (before.verdict, before.prefix)
    elif longest > length:
        assert after.prefix is not None
        assert after.prefix.prefixlen == longest
        assert after.verdict in (Verdict.NONE, Verdict[action.upper()])


@given(DOCUMENTS)
def test_user_classes(document: dict[str, Any]) -> None:
    policy = build(document)
    found = user_classes(policy)
    users = (*policy.users, "stranger")
    rules = {
        user: tuple(effective_rules(policy, user, inbound=inbound) for inbound in (False, True))
        for user in users
    }
    for user in users:
        users_class = found.classes[found.index(user)]
        assert (users_class.rules(inbound=False), users_class.rules(inbound=True)) == rules[user]
        assert (user in users_class.users) is (user in policy.users)
    for one in users:
        for other in users:
            assert (found.index(one) == found.index(other)) is (rules[one] == rules[other])
    assert found.index("stranger") == 0


@given(DOCUMENTS, USER, st.booleans())
def test_buckets_hold_every_rule_under_each_of_its_prefixes(
    document: dict[str, Any], user: str, inbound: bool
) -> None:
    policy = build(document)
    rules = effective_rules(policy, user, inbound=inbound)
    assert {r.subject for r in rules} <= set(subjects_of(policy, user))
    found = buckets(rules)
    assert all(prefix in rule.destinations for prefix, bucket in found.items() for rule in bucket)
    assert sum(map(len, found.values())) == sum(len(rule.destinations) for rule in rules)


@pytest.mark.parametrize(
    ("form", "protocol", "port", "version", "expected"),
    [
        (Everything(), 0, None, 4, True),
        (Everything(), 6, 0, 6, True),
        (Ports(frozenset({6, 17}), 10, 20), 6, 10, 4, True),
        (Ports(frozenset({6, 17}), 10, 20), 17, 20, 6, True),
        (Ports(frozenset({6, 17}), 10, 20), 132, 10, 4, False),
        (Ports(frozenset({6}), 10, 20), 6, 9, 4, False),
        (Ports(frozenset({6}), 10, 20), 6, 21, 4, False),
        (Ports(frozenset({6}), 0, 65535), 6, 0, 4, True),
        (Ports(frozenset({6}), 0, 65535), 47, None, 4, False),
        (Protocol(47), 47, None, 4, True),
        (Protocol(47), 46, None, 4, False),
        (Icmp(), 1, None, 4, True),
        (Icmp(), 58, None, 4, False),
        (Icmp(), 1, None, 6, False),
        (Icmp(), 58, None, 6, True),
        (Protocol(58), 58, None, 4, True),
    ],
)
def test_services(form: Any, protocol: int, port: int | None, version: int, expected: bool) -> None:
    assert matches(form, protocol, port, version) is expected
    assert any_matches((Protocol(254), form), protocol, port, version) is expected
    assert any_matches((), protocol, port, version) is False
