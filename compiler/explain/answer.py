"""What a policy says to a query, in the same words whichever engine was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wardgate.compiler.explain.query import Query
from wardgate.compiler.language.model import Rule
from wardgate.runtime.layout.codes import Reason, Verdict
from wardgate.runtime.layout.manifest import RuleSource


@dataclass(frozen=True, slots=True)
class RuleReference:
    """The rule that decided, and where it stands; `within`: the seconds that it gives a login, None where it
    does not say."""

    file: str
    line: int
    column: int
    text: str
    within: int | None = None

    @classmethod
    def of_source(cls, source: RuleSource) -> RuleReference:
        """From an artefact's manifest."""
        return cls(source.file, source.line, source.column, source.text, source.within)

    @classmethod
    def of_rule(cls, rule: Rule) -> RuleReference:
        """From a parsed policy."""
        position = rule.position
        return cls(position.file, position.line, position.column, rule.text, rule.within)

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {"file": self.file, "line": self.line, "column": self.column, "text": self.text}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. `verdict` is what the policy says whatever the session; `reason` why the packet
    passed or not in the query's session; `prefix` that of the deciding bucket."""

    query: Query
    verdict: Verdict
    reason: Reason
    prefix: str | None
    rule: RuleReference | None

    @property
    def passes(self) -> bool:
        """Whether the packet passes."""
        return self.reason is Reason.PASS

    def to_json(self) -> dict[str, Any]:
        """Its JSON object: the query's fields, then verdict, within, pass, reason, prefix and rule."""
        return {
            **self.query.to_json(),
            "verdict": self.verdict.label,
            "within": self.rule.within if self.rule else None,
            "pass": self.passes,
            "reason": self.reason.label,
            "prefix": self.prefix,
            "rule": self.rule.to_json() if self.rule else None,
        }
