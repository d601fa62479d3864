"""Tests and assertions of a policy: what holds, what doesn't, and the packet that shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_policies import DESTINATION, DOCUMENTS, SERVICE_WORDS, SUBJECT, USERS, build
from wardgate.compiler.analysis.prover import Proved
from wardgate.compiler.checking import CheckReport, check_policy
from wardgate.compiler.language import Code, parse_policy_text
from wardgate.compiler.language.model import EVERYONE, AssertionKind, Packet, Policy
from wardgate.compiler.semantics import Session, any_matches, evaluate
from wardgate.compiler.semantics.partition import representatives

OFFICE = """\
version: 1
groups: {group:admins: [alice, bob], group:contractors: [carol], group:none: []}
hosts: {lab: [10.1.0.0/16, "fd00:1::/48"], wiki: 10.0.0.5}
policies:
  "*": {allow: [wiki tcp], mfa: [lab]}
  group:contractors: {deny: [lab 22/tcp]}
  alice: {allow: [10.1.2.3 443/tcp, 172.16.0.1]}
inbound:
  group:admins: {allow: [wiki 22/tcp]}
"""


def checked(*assertions: str) -> tuple[Proved, ...]:
    lines = "".join(f"  - {assertion}\n" for assertion in assertions)
    return check_policy(parse_policy_text(f"{OFFICE}assertions:\n{lines}").policy).assertions


def report_on(*tests: str) -> CheckReport:
    lines = "".join(f"  - {{{test}}}\n" for test in tests)
    return check_policy(parse_policy_text(f"{OFFICE}tests:\n{lines}").policy)


def test_tests() -> None:
    report = report_on(
        "as: alice, to: wiki, service: 80/tcp, expect: allow",
        "as: alice, to: wiki, service: 80/udp, expect: deny",
        "as: carol, to: 10.1.2.3, service: 22/tcp, expect: deny",
        "as: nobody, to: 'fd00:1::9', service: proto/47, expect: mfa",
        "as: alice, from: wiki, service: 22/tcp, expect: allow",
        "as: carol, from: wiki, service: 22/tcp, expect: deny",
    )
    assert [test.passed for test in report.tests] == [True] * 6
    assert report.passed
    assert report.diagnostics() == ()


def test_failed_tests_are_errors_with_a_place() -> None:
    report = report_on(
        "as: carol, to: 10.1.2.3, service: 22/tcp, expect: allow",
        "as: carol, to: wiki, service: 22/udp, expect: mfa",
        "as: carol, to: 192.0.2.1, service: icmp, expect: allow",
        "as: carol, to: 192.0.2.1, service: icmp, expect: deny",
    )
    assert not report.passed
    assert [test.passed for test in report.tests] == [False, False, False, True]
    first, second, third = report.diagnostics()
    assert (str(first.position), first.code) == ("policy.yaml:11:5", Code.TEST_FAILED)
    assert first.source_line == "  - {as: carol, to: 10.1.2.3, service: 22/tcp, expect: allow}"
    assert first.message == "expected allow, the policy says deny by `lab 22/tcp` at policy.yaml:6:30"
    assert "no rule for 10.0.0.5/32 matches" in second.message
    assert "no rule's prefix contains the address" in third.message
    assert json.loads(json.dumps(report.to_json()))["tests"][0] == {
        "passed": False,
        "file": "policy.yaml",
        "line": 11,
        "column": 5,
        "text": "{as: carol, to: 10.1.2.3, service: 22/tcp, expect: allow}",
        "expect": "allow",
        "verdict": "deny",
        "prefix": "10.1.0.0/16",
        "rule": {"file": "policy.yaml", "line": 6, "column": 30, "text": "lab 22/tcp"},
    }


@pytest.mark.parametrize(
    ("assertion", "counterexample"),
    [
        # never
        ("never: {as: group:contractors, to: lab, service: 22/tcp}", None),
        ("never: {as: carol, to: 10.1.0.0/16, service: 22/tcp}", None),
        (
            "never: {as: '*', to: lab, service: 22/tcp}",
            "anyone-else (logged in) to 10.1.0.1 22/tcp passes by `lab` at policy.yaml:5:34",
        ),
        ("never: {as: '*', to: lab, service: 22/tcp, authed: false}", None),
        (
            "never: {as: '*', to: lab, authed: false}",
            "alice (not logged in) to 10.1.2.3 443/tcp passes by `10.1.2.3 443/tcp` at policy.yaml:7:19",
        ),
        (
            "never: {as: group:contractors, to: lab, service: [20-24/tcp]}",
            "carol (logged in) to 10.1.0.1 20/tcp passes by `lab` at policy.yaml:5:34",
        ),
        ("never: {as: bob, to: [192.0.2.0/24, '8000::/1']}", "bob (logged in) to fd00:1::1 1/tcp passes"),
        ("never: {as: bob, to: [192.0.2.0/24, '::/8']}", None),
        ("never: {as: group:contractors, from: 0.0.0.0/0}", None),
        ("never: {as: group:admins, from: 0.0.0.0/0}", "alice (not logged in) from 10.0.0.5 22/tcp passes"),
        ("never: {as: group:none, to: 0.0.0.0/0}", None),
        ("never: {as: dora, to: [192.0.2.0/24]}", None),
        ("never: {as: dora, to: wiki}", "dora (not logged in) to 10.0.0.5 1/tcp passes"),
        # always
        ("always: {as: '*', to: wiki, service: [1-65535/tcp, proto/6]}", None),
        ("always: {as: '*', to: wiki, service: 80/any}", "80/udp is dropped (no rule)"),
        ("always: {as: '*', to: 10.0.0.4/31, service: tcp}", "to 10.0.0.4 1/tcp is dropped (no bucket)"),
        ("always: {as: bob, to: lab}", "bob (not logged in) to 10.1.0.1 1/tcp is dropped (needs login)"),
        ("always: {as: bob, to: lab, authed: true}", None),
        ("always: {as: '*', to: lab, authed: true}", "alice (logged in) to 10.1.2.3 1/tcp is dropped"),
        ("always: {as: group:contractors, to: lab, authed: true}", "22/tcp is dropped (deny rule) by"),
        ("always: {as: group:admins, from: wiki, service: 22/tcp}", None),
        ("always: {as: nobody, from: wiki, service: 22/tcp}", "nobody (not logged in) from 10.0.0.5"),
        ("always: {as: alice, to: 172.16.0.1}", None),
        # only
        ("only: {as: alice, to: 172.16.0.0/12}", None),
        ("only: {as: group:admins, to: 172.16.0.0/12}", None),
        ("only: {as: bob, to: 172.16.0.0/12}", "alice (not logged in) to 172.16.0.1 1/tcp passes"),
        ("only: {as: group:admins, to: lab}", "anyone-else (logged in) to 10.1.0.1 1/tcp passes"),
        ("only: {as: group:none, to: 172.16.0.1}", "alice (not logged in)"),
        ("only: {as: group:none, to: 192.0.2.0/24}", None),
        ("only: {as: group:admins, to: lab, authed: false}", None),
        ("only: {as: group:admins, from: 0.0.0.0/0}", None),
        ("only: {as: alice, from: 0.0.0.0/0}", "bob (not logged in) from 10.0.0.5 22/tcp passes"),
    ],
)  # fmt: skip
def test_assertions(assertion: str, counterexample: str | None) -> None:
    (result,) = checked(assertion)
    assert result.passed is (counterexample is None), result.counterexample
    if counterexample is not None:
        assert counterexample in str(result.counterexample)


def test_cases_are_counted() -> None:
    results = checked(
        "never: {as: carol, to: 192.0.2.0/24, service: 22/tcp}",
        "never: {as: carol, to: 192.0.2.0/24, service: 22/tcp, authed: true}",
        "never: {as: group:none, to: 192.0.2.0/24}",
        "only: {as: bob, to: [10.2.0.0/16, 10.2.3.0/24], service: [22/tcp, 80/udp, proto/47]}",
    )
    # Two sessions; one session; nobody; three services x two sessions x the other three classes.
    assert [result.cases for result in results] == [2, 1, 0, 18]


def test_failed_assertions_are_errors_with_a_place() -> None:
    policy = parse_policy_text(f"{OFFICE}assertions:\n  - never: {{as: alice, to: wiki}}\n").policy
    report = check_policy(policy)
    (error,) = report.diagnostics()
    assert (str(error.position), error.code) == ("policy.yaml:11:5", Code.ASSERTION_FAILED)
    assert error.message.startswith("`never: {as: alice, to: wiki}` does not hold: alice")
    (shown,) = json.loads(json.dumps(report.to_json()))["assertions"]
    assert shown["counterexample"] == {
        "as": "alice",
        "to": "10.0.0.5",
        "service": "1/tcp",
        "authed": False,
        "verdict": "allow",
        "pass": True,
        "reason": "pass",
        "prefix": "10.0.0.5/32",
        "rule": {"file": "policy.yaml", "line": 5, "column": 17, "text": "wiki tcp"},
    }


def test_an_assertion_about_a_large_bucket_and_many_users() -> None:
    rules = "".join(f"      - 10.0.0.0/8 {port}/tcp\n" for port in range(1, 5_001))
    users = "".join(f"  u{number}: {{allow: [10.{number % 256}.0.0/16 22/tcp]}}\n" for number in range(200))
    report = check_policy(
        parse_policy_text(
            f"version: 1\npolicies:\n  '*':\n    allow:\n{rules}{users}"
            "assertions:\n  - never: {as: '*', to: 10.0.0.0/8, service: 5001-65535/tcp udp}\n"
            "  - always: {as: nobody, to: 10.0.0.0/8, service: 1-5000/tcp}\n"
            "  - only: {as: u7, to: 10.7.0.0/16, service: 1-21/tcp}\n"
        ).policy
    )
    assert [result.passed for result in report.assertions] == [True, True, False]
    assert report.assertions[1].cases == 201 * 5_000 * 2


ASSERTIONS = st.builds(
    lambda kind, fields: {kind: fields},
    st.sampled_from(["never", "always", "only"]),
    st.fixed_dictionaries(
        {"as": SUBJECT.filter(lambda subject: subject != "*")},
        optional={"authed": st.booleans()},
    ),
)


def expected_cases(policy: Policy) -> Any:
    """Every packet that could matter to the one assertion, as user, packet and session."""
    (assertion,) = policy.assertions
    members = policy.groups.get(assertion.subject, (assertion.subject,))
    everyone = assertion.subject == EVERYONE
    chosen = representatives(policy, inbound=assertion.inbound)
    sessions = {None: [Session.NONE, Session.AUTHORISED], True: [Session.AUTHORISED], False: [Session.NONE]}
    own = {address for p in assertion.destinations for address in (p.network_address, p.broadcast_address)}
    edges = {form.low for form in assertion.services if hasattr(form, "low")}
    services = {*chosen.services, *((protocol, port) for protocol in (6, 17, 132) for port in edges)}
    services |= {(form.number, None) for form in assertion.services if hasattr(form, "number")}
    for user in {*USERS, "stranger"}:
        belongs = everyone or user in members
        if belongs is (assertion.kind is AssertionKind.ONLY):
            continue
        for remote in {*chosen.remotes, *own}:
            if not any(remote in prefix for prefix in assertion.destinations):
                continue
            for protocol, port in services:
                if any_matches(assertion.services, protocol, port, remote.version):
                    for session in sessions[assertion.authed]:
                        yield user, Packet(remote, protocol, port, assertion.inbound), session


@given(DOCUMENTS, ASSERTIONS, DESTINATION, SERVICE_WORDS, st.booleans())
def test_assertions_agree_with_asking_about_every_packet(
    document: dict[str, Any], assertion: dict[str, Any], to: str, words: list[str], inbound: bool
) -> None:
    ((kind, fields),) = assertion.items()
    claim = {**fields, "from" if inbound else "to": to}
    if words:
        claim["service"] = words
    policy = build({**document, "assertions": [{kind: claim}]})
    (result,) = check_policy(policy).assertions
    wanted = kind == "always"
    decisions = [evaluate(policy, *case).passes for case in expected_cases(policy)]
    assert result.passed is all(passes is wanted for passes in decisions)
    if result.counterexample is not None:
        example = result.counterexample
        assert example.decision == evaluate(policy, example.user, example.packet, example.session)
        assert example.decision.passes is not wanted
