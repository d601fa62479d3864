"""Runs what a policy says of itself: its `tests` one by one, its `assertions` exhaustively.

An assertion speaks of all packets from its subject's users to its destinations by its services:

- `never`: none of them passes;
- `always`: each of them passes;
- `only`: from any user outside the subject, none of them passes.

`as: "*"` is every user, those whom the policy doesn't mention too. With `authed` the claim is about
that session state, without it about both. An assertion that holds has been looked at for every packet:
for each class of users, between any two edges of prefixes and port ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wardgate.compiler.language.diagnostics import Code, Diagnostic, diagnostic_at
from wardgate.compiler.language.model import (
    EVERYONE,
    Assertion,
    AssertionKind,
    Packet,
    Policy,
    PolicyTest,
    Prefix,
    Rule,
)
from wardgate.compiler.language.services import service_label
from wardgate.compiler.language.source import Source
from wardgate.compiler.semantics import (
    Decision,
    Evaluator,
    Session,
    UserClass,
    buckets,
    evaluate,
    reason_for,
    user_classes,
)
from wardgate.compiler.semantics.partition import (
    Region,
    Segment,
    maximal,
    regions,
    segments,
    unmentioned_user,
)
from wardgate.runtime.layout.codes import Reason

_SESSIONS = {
    None: (Session.NONE, Session.AUTHORISED),
    True: (Session.AUTHORISED,),
    False: (Session.NONE,),
}


@dataclass(frozen=True, slots=True)
class CheckedTest:
    """A test and what the policy says."""

    test: PolicyTest
    decision: Decision

    @property
    def passed(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.decision.verdict.label == self.test.expect.value


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A packet that an assertion is wrong about. `decision` is the reference's."""

    user: str
    packet: Packet
    session: Session
    decision: Decision

    def __str__(self) -> str:
        """The packet, what becomes of it and which rule says so, in words."""
        side = "from" if self.packet.inbound else "to"
        service = _label(self.packet)
        fate = "passes" if self.decision.passes else f"is dropped ({self.decision.reason.label})"
        rule = self.decision.rule
        by = f" by `{rule.text}` at {rule.position}" if rule else ""
        login = "logged in" if self.session is Session.AUTHORISED else "not logged in"
        return f"{self.user} ({login}) {side} {self.packet.remote} {service} {fate}{by}"


@dataclass(frozen=True, slots=True)
class CheckedAssertion:
    """An assertion, and a packet that it is wrong about or None.

    `cases` counts the combinations of user class, address region, service segment and session state
    that were looked at, which is all of them where the assertion holds.
    """

    assertion: Assertion
    counterexample: Counterexample | None
    cases: int

    @property
    def passed(self) -> bool:
        """Whether the assertion holds."""
        return self.counterexample is None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The results, in source order."""

    policy: Policy
    tests: tuple[CheckedTest, ...]
    assertions: tuple[CheckedAssertion, ...]

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return all(test.passed for test in self.tests) and all(a.passed for a in self.assertions)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What fails, as errors placed in the policy."""
        lines = {file.name: Source(file.name, file.text).lines for file in self.policy.files}
        failed_tests = [
            diagnostic_at(lines, Code.TEST_FAILED, test.test.position, *_test_failure(test))
            for test in self.tests
            if not test.passed
        ]
        failed_assertions = [
            diagnostic_at(
                lines,
                Code.ASSERTION_FAILED,
                checked.assertion.position,
                f"`{checked.assertion.text}` does not hold: {checked.counterexample}",
                "change the rule, or the assertion if it claims too much",
            )
            for checked in self.assertions
            if not checked.passed
        ]
        return (*failed_tests, *failed_assertions)

    def to_json(self) -> dict[str, Any]:
        """The results as plain data."""
        return {
            "passed": self.passed,
            "tests": [_test_json(test) for test in self.tests],
            "assertions": [_assertion_json(checked) for checked in self.assertions],
        }


def check_policy(policy: Policy) -> CheckReport:
    """Runs the tests and assertions of `policy`."""
    evaluator = Evaluator(policy)
    tests = tuple(
        CheckedTest(test, evaluator.evaluate(test.user, test.packet, Session.NONE)) for test in policy.tests
    )
    checker = _AssertionChecker(policy)
    return CheckReport(policy, tests, tuple(checker.check(assertion) for assertion in policy.assertions))


class _AssertionChecker:
    """Looks at every case of an assertion. Work for buckets that several user classes share is kept."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._classes = user_classes(policy)
        self._unmentioned = unmentioned_user(policy)
        subjects = {assertion.subject for assertion in policy.assertions}
        self._strangers = subjects - set(self._classes.of) - set(policy.groups) - {EVERYONE}
        self._buckets: dict[tuple[int, bool], dict[Prefix, tuple[Rule, ...]]] = {}

    def check(self, assertion: Assertion) -> CheckedAssertion:
        cases = 0
        for user, region, segment, session in self._cases(assertion):
            cases += 1
            passes = reason_for(segment.verdict, session) is Reason.PASS
            if passes is not (assertion.kind is AssertionKind.ALWAYS):
                packet = Packet(region.first, segment.protocols[0], segment.low, assertion.inbound)
                decision = evaluate(self._policy, user, packet, session)
                return CheckedAssertion(assertion, Counterexample(user, packet, session, decision), cases)
        return CheckedAssertion(assertion, None, cases)

    def _cases(self, assertion: Assertion) -> Iterator[tuple[str, Region, Segment, Session]]:
        kept: dict[tuple[tuple[int, ...], int], list[Segment]] = {}
        destinations = maximal(assertion.destinations)
        members = frozenset(self._policy.groups.get(assertion.subject, (assertion.subject,)))
        for number, users in enumerate(self._classes.classes):
            user = self._one_of(users, number, assertion, members)
            if user is None:
                continue
            found = self._buckets_of(number, assertion.inbound)
            for region in (region for within in destinations for region in regions(found, within)):
                bucket = found[region.prefix] if region.prefix is not None else ()
                key = (tuple(rule.id for rule in bucket), region.first.version)
                if key not in kept:
                    kept[key] = list(segments(bucket, region.first.version, assertion.services))
                for segment in kept[key]:
                    for session in _SESSIONS[assertion.authed]:
                        yield user, region, segment, session

    def _one_of(
        self, users: UserClass, number: int, assertion: Assertion, members: frozenset[str]
    ) -> str | None:
        """A user of the class whom the assertion is about, or None. `members`: of its subject."""
        everyone = assertion.subject == EVERYONE
        outside = assertion.kind is AssertionKind.ONLY
        for user in users.users:
            if (everyone or user in members) is not outside:
                return user
        if number != 0:
            return None
        # The class of users whom the policy doesn't mention, which a claim may be the first to do.
        stranger = assertion.subject if assertion.subject in self._strangers else None
        if stranger is not None and not outside:
            return stranger
        return self._unmentioned if everyone is not outside else None

    def _buckets_of(self, number: int, inbound: bool) -> dict[Prefix, tuple[Rule, ...]]:
        key = (number, inbound)
        if key not in self._buckets:
            self._buckets[key] = buckets(self._classes.classes[number].rules(inbound=inbound))
        return self._buckets[key]


def _label(packet: Packet) -> str:
    return service_label(packet.protocol, packet.port, packet.remote.version)


def _test_failure(checked: CheckedTest) -> tuple[str, str]:
    decision, rule = checked.decision, checked.decision.rule
    if rule is not None:
        why = f"by `{rule.text}` at {rule.position}"
    elif decision.prefix is not None:
        why = f"since no rule for {decision.prefix} matches, and it is the longest prefix"
    else:
        why = "since no rule's prefix contains the address"
    message = f"expected {checked.test.expect.value}, the policy says {decision.verdict.label} {why}"
    return message, "change the rule, or the test if it expects the wrong thing"


def _rule_json(rule: Rule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    place = rule.position
    return {"file": place.file, "line": place.line, "column": place.column, "text": rule.text}


def _test_json(checked: CheckedTest) -> dict[str, Any]:
    test, decision = checked.test, checked.decision
    return {
        "passed": checked.passed,
        "file": test.position.file,
        "line": test.position.line,
        "column": test.position.column,
        "text": test.text,
        "expect": test.expect.value,
        "verdict": decision.verdict.label,
        "prefix": None if decision.prefix is None else str(decision.prefix),
        "rule": _rule_json(decision.rule),
    }


def _assertion_json(checked: CheckedAssertion) -> dict[str, Any]:
    assertion, example = checked.assertion, checked.counterexample
    return {
        "passed": checked.passed,
        "file": assertion.position.file,
        "line": assertion.position.line,
        "column": assertion.position.column,
        "text": assertion.text,
        "cases": checked.cases,
        "counterexample": None if example is None else _example_json(example),
    }


def _example_json(example: Counterexample) -> dict[str, Any]:
    return {
        "as": example.user,
        "from" if example.packet.inbound else "to": str(example.packet.remote),
        "service": _label(example.packet),
        "authed": example.session is Session.AUTHORISED,
        "verdict": example.decision.verdict.label,
        "pass": example.decision.passes,
        "reason": example.decision.reason.label,
        "prefix": None if example.decision.prefix is None else str(example.decision.prefix),
        "rule": _rule_json(example.decision.rule),
    }
