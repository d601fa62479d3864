"""Runs what a policy says of itself: its `tests` one by one, its `assertions` exhaustively.

An assertion speaks of all packets from its subject's users to its destinations by its services:

- `never`: none of them passes;
- `always`: each of them passes;
- `only`: from any user outside the subject, none of them passes.

`as: "*"` is every user, those whom the policy doesn't mention too. With `authed` the claim is about
that session state, without it about both. With `membership: any` it is about users in any groups, and not
only in those that they are in. See analysis.prover for how.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wardgate.compiler.language.diagnostics import Code, Diagnostic, diagnostic_at
from wardgate.compiler.language.model import Packet, Policy, PolicyTest, Rule
from wardgate.compiler.language.services import service_label
from wardgate.compiler.language.source import Source
from wardgate.compiler.semantics import Decision, Evaluator, Session

if TYPE_CHECKING:
    from wardgate.compiler.analysis.prover import Counterexample, Proved


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
class CheckReport:
    """The results, in source order."""

    policy: Policy
    tests: tuple[CheckedTest, ...]
    assertions: tuple[Proved, ...]

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
    """Runs the tests and assertions of `policy`. AnalysisError where an assertion is too big to be proved."""
    evaluator = Evaluator(policy)
    tests = tuple(
        CheckedTest(test, evaluator.evaluate(test.user, test.packet, Session.NONE)) for test in policy.tests
    )
    return CheckReport(policy, tests, _proved(policy) if policy.assertions else ())


def _proved(policy: Policy) -> tuple[Proved, ...]:
    # Imported here since a policy without assertions needs no numpy to be checked.
    from wardgate.compiler.analysis.prover import Prover

    prover = Prover(policy)
    return tuple(prover.prove(assertion) for assertion in policy.assertions)


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


def _assertion_json(checked: Proved) -> dict[str, Any]:
    place = checked.assertion.position
    return {
        "passed": checked.passed,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        **proof_json(checked),
    }


def proof_json(checked: Proved) -> dict[str, Any]:
    """An assertion, and how it is proved or contradicted, as plain data."""
    example = checked.counterexample
    return {
        "text": checked.assertion.text,
        "holds": checked.passed,
        "classes": checked.classes,
        "cases": checked.cases,
        "memberships": None if checked.memberships is None else asdict(checked.memberships),
        "counterexample": None if example is None else _example_json(example),
    }


def _example_json(example: Counterexample) -> dict[str, Any]:
    supposed = {} if example.groups is None else {"groups": list(example.groups)}
    return {
        "as": example.user,
        **supposed,
        "from" if example.packet.inbound else "to": str(example.packet.remote),
        "service": _label(example.packet),
        "authed": example.session is Session.AUTHORISED,
        "verdict": example.decision.verdict.label,
        "pass": example.decision.passes,
        "reason": example.decision.reason.label,
        "prefix": None if example.decision.prefix is None else str(example.decision.prefix),
        "rule": _rule_json(example.decision.rule),
    }
