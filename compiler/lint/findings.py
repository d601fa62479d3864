"""What the linter tells: a warning with its place, the rules that it comes from, a packet that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wardgate.compiler.language.diagnostics import Code, Diagnostic
from wardgate.compiler.language.model import Packet, Position, Rule
from wardgate.compiler.language.services import service_label
from wardgate.compiler.semantics import Decision


class InconsistencyError(Exception):
    """The reference contradicts a finding: a fault of the linter, which must not be told as one of the
    policy."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet that shows a finding, and what the reference says of it; nobody is logged in."""

    user: str
    packet: Packet
    decision: Decision

    def __str__(self) -> str:
        side = "from" if self.packet.inbound else "to"
        service = service_label(self.packet.protocol, self.packet.port, self.packet.remote.version)
        return f"{self.user} {side} {self.packet.remote} {service}: {self._outcome()}"

    def _outcome(self) -> str:
        decision = self.decision
        if decision.rule is not None:
            return f"{decision.verdict.label}, by `{decision.rule.text}` at {decision.rule.position}"
        if decision.prefix is not None:
            return f"deny, since no rule for {decision.prefix} matches"
        return "deny, since no rule's prefix contains the address"

    def to_json(self) -> dict[str, Any]:
        """An answer as `explain` gives it."""
        decision, packet = self.decision, self.packet
        return {
            "as": self.user,
            "from" if packet.inbound else "to": str(packet.remote),
            "service": service_label(packet.protocol, packet.port, packet.remote.version),
            "authed": False,
            "verdict": decision.verdict.label,
            "pass": decision.passes,
            "reason": decision.reason.label,
            "prefix": None if decision.prefix is None else str(decision.prefix),
            "rule": None if decision.rule is None else rule_json(decision.rule),
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    `about`: the rule's text, or the name, as the policy has it. `rules`: the other rules that it comes
    from, in source order, not more than are named. `witness` is None where no packet is in question.
    """

    diagnostic: Diagnostic
    about: str
    rules: tuple[Rule, ...] = ()
    witness: Witness | None = None

    @property
    def code(self) -> Code:
        """What kind it is."""
        return self.diagnostic.code

    @property
    def position(self) -> Position:
        """Its place."""
        return self.diagnostic.position

    def render(self) -> str:
        """The warning as people read it, with the packet."""
        lines = self.diagnostic.render().split("\n")
        if self.witness is not None:
            at = next((n for n, line in enumerate(lines) if line.startswith("  help: ")), len(lines))
            lines.insert(at, f"  packet: {self.witness}")
        lines[0] += f" [{self.code}]"
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The diagnostic as plain data, with `about`, `rules` and `packet`."""
        return {
            **self.diagnostic.to_json(),
            "about": self.about,
            "rules": [rule_json(rule) for rule in self.rules],
            "packet": None if self.witness is None else self.witness.to_json(),
        }


def rule_json(rule: Rule) -> dict[str, Any]:
    """A rule as documents name it."""
    place = rule.position
    return {"file": place.file, "line": place.line, "column": place.column, "text": rule.text}
