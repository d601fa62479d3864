"""Which rules a policy's own tests decide by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wardgate.compiler.checking import CheckedTest
from wardgate.compiler.language.model import Policy, Rule
from wardgate.compiler.lint.findings import rule_json


@dataclass(frozen=True, slots=True)
class CoverageLine:
    """A rule, and how many of the tests it decides."""

    rule: Rule
    tests: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """All rules, in source order. `undecided`: the tests whose packet no rule decides."""

    lines: tuple[CoverageLine, ...]
    undecided: int

    @property
    def decided(self) -> int:
        """How many rules decide a test."""
        return sum(line.tests > 0 for line in self.lines)

    @property
    def percent(self) -> float:
        """The share of these, in percent, to one digit and rounded down; of no rules all."""
        return 100.0 if not self.lines else self.decided * 1000 // len(self.lines) / 10

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "rules": len(self.lines),
            "decided": self.decided,
            "percent": self.percent,
            "undecided_tests": self.undecided,
            "lines": [{**rule_json(line.rule), "tests": line.tests} for line in self.lines],
        }


def coverage_of(policy: Policy, tests: Sequence[CheckedTest]) -> Coverage:
    """The coverage of a policy by its tests, as they were run."""
    deciding = Counter(test.decision.rule.id for test in tests if test.decision.rule is not None)
    lines = tuple(CoverageLine(rule, deciding[rule.id]) for rule in policy.rules)
    return Coverage(lines, sum(test.decision.rule is None for test in tests))
