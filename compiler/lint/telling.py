"""What findings say: messages, suggestions, and packets that the reference was asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wardgate.compiler.language.diagnostics import Code, Diagnostic, Severity
from wardgate.compiler.language.model import EVERYONE, Action, Packet, Policy, Position, Rule
from wardgate.compiler.language.services import service_label
from wardgate.compiler.lint.blanked import Blanked, NamedInside
from wardgate.compiler.lint.covering import Cover, cover_of
from wardgate.compiler.lint.dead import Living
from wardgate.compiler.lint.findings import Finding, InconsistencyError, Witness
from wardgate.compiler.lint.overridden import MOST_NAMED, Overridden
from wardgate.compiler.lint.side import Side
from wardgate.compiler.lowering.classes import PolicyClasses
from wardgate.compiler.semantics import Evaluator, Session
from wardgate.compiler.semantics.partition import unmentioned_user
from wardgate.runtime.layout.codes import Verdict

_QUOTES = "'\""


@dataclass(slots=True)
class Teller:
    """Makes the findings of a policy. `lines` has the lines of its files, by name. `looked`: how many rules
    the reference has looked at for them."""

    policy: Policy
    classes: PolicyClasses
    lines: Mapping[str, Sequence[str]]
    looked: int = field(init=False, default=0)
    _evaluator: Evaluator = field(init=False)
    _users: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self._evaluator = Evaluator(self.policy)
        # Classes count from 1 there, and from 0 here. The first is that of whom the policy doesn't mention.
        self._users = {}
        for user, number in self.classes.of_user.items():
            self._users.setdefault(number - 1, user)
        self._users.setdefault(0, unmentioned_user(self.policy))

    def dead(self, living: Living, rule: Rule) -> Finding:
        """A rule that changes nothing."""
        cover = cover_of(living, rule)
        if cover is None:
            remedy = f"add members to {rule.subject}, or remove the rule"
            message = f"no user has this rule: {rule.subject} has no members"
            return self._finding(Code.DEAD_RULE, rule, message, remedy)
        witness = self._dead_witness(living.side, rule, cover)
        return self._finding(Code.DEAD_RULE, rule, _why_dead(cover), "remove the rule", cover.rules, witness)

    def overridden(self, side: Side, found: Overridden) -> Finding:
        """A `deny` that is defeated, or an `mfa` that is bypassed."""
        rule, prefix = found.rule, side.nodes[found.node].prefix
        witness = self._ask(side, found.node, found.number, found.mask)
        verdict = witness.decision.verdict
        if witness.decision.prefix != prefix or verdict is Verdict.NONE or verdict is Verdict.DENY:
            raise InconsistencyError(f"{rule.position}: {witness}")
        by = tuple(found.by[number] for number in sorted(found.by))
        named = _named(by)
        inside = f"its prefix is longer and decides about {prefix}"
        if len(by) > 1:
            inside = "their prefixes are longer and decide alone"
        does = "lets" if len(by) == 1 else "let"
        words = rule.text.partition(" ")[2]
        if rule.action is Action.DENY:
            code = Code.DEFEATED_DENY
            message = f"{named} {does} pass what this denies: {inside}"
        else:
            code = Code.BYPASSED_MFA
            message = f"{named} {does} pass without a login what this asks one for: {inside}"
        again = f'{_key(rule)}: {{{rule.action.value}: ["{prefix}{_after(words)}"]}}'
        remedy = f"if it should hold there too, repeat it for the longer prefix: {again}"
        return self._finding(code, rule, message, remedy, by, witness)

    def blanked(self, side: Side, found: Blanked) -> Finding:
        """A bucket that blanks part of a broader one."""
        prefix, outer = side.nodes[found.node].prefix, side.nodes[found.outer].prefix
        witness = self._ask(side, found.node, found.number, found.mask)
        if witness.decision.prefix != prefix or witness.decision.verdict is not Verdict.NONE:
            raise InconsistencyError(f"{found.rule.position}: {witness}")
        lets = "lets" if len(found.lost) == 1 else "let"
        message = (
            f"{prefix} decides alone, and drops what {_named(found.lost)} {lets} pass in the rest of {outer}"
        )
        packet = witness.packet
        service = service_label(packet.protocol, packet.port, packet.remote.version)
        remedy = f'say for {prefix} too what should pass, as in "{prefix} {service}"'
        rules = found.lost[: MOST_NAMED + 1]
        return self._finding(Code.BLANKED_PREFIX, found.rule, message, remedy, rules, witness)

    def name_inside(self, side: Side, found: NamedInside) -> Finding:
        """A DNS name whose address is inside another rule's prefix."""
        prefix, outer = side.nodes[found.node].prefix, side.nodes[found.outer].prefix
        witness = self._ask(side, found.node, found.number, side.mask(found.other, found.node))
        if witness.decision.prefix != prefix:
            raise InconsistencyError(f"{found.rule.position}: {witness}")
        message = (
            f"`{found.name}` is {prefix.network_address} today, inside {outer} of {_named((found.other,))}: "
            "which of the two rules decides depends on the name's address when the policy is compiled"
        )
        remedy = (
            f"name the address under `hosts`, or write {prefix.network_address}, so that it doesn't change "
            "by itself"
        )
        return self._finding(Code.NAME_IN_PREFIX, found.rule, message, remedy, (found.other,), witness)

    def plain(
        self, code: Code, name: str, place: Position, length: int, message: str, remedy: str
    ) -> Finding:
        """A finding that no packet shows."""
        return Finding(self._diagnostic(code, place, length, message, remedy), name)

    def _dead_witness(self, side: Side, rule: Rule, cover: Cover) -> Witness:
        packet = Packet(cover.address, *side.service(cover.mask, cover.node), side.inbound)
        witness = self._witness(cover.number, packet)
        decision, prefix = witness.decision, side.nodes[cover.node].prefix
        if cover.open:
            # The rule's bucket decides, and rules that are as strong as this one say what.
            said = decision.rule
            agrees = decision.prefix == prefix and said is not None and rule in decision.matching
            agrees = agrees and said is not None and side.rank_of[said.id] <= side.rank_of[rule.id]
        else:
            agrees = decision.prefix is not None and decision.prefix.prefixlen > prefix.prefixlen
        if not agrees:
            raise InconsistencyError(f"{rule.position}: {witness}")
        return witness

    def _ask(self, side: Side, node: int, number: int, mask: int) -> Witness:
        address = side.decided_at(node, side.has(number)) or side.nodes[node].prefix.network_address
        return self._witness(number, Packet(address, *side.service(mask, node), side.inbound))

    def _witness(self, number: int, packet: Packet) -> Witness:
        user = self._users[number]
        _, bucket = self._evaluator.bucket(user, packet.remote, inbound=packet.inbound)
        self.looked += len(bucket)
        return Witness(user, packet, self._evaluator.evaluate(user, packet, Session.NONE))

    def _finding(
        self,
        code: Code,
        rule: Rule,
        message: str,
        remedy: str,
        rules: tuple[Rule, ...] = (),
        witness: Witness | None = None,
    ) -> Finding:
        place = rule.position
        line = self._line(place)
        # With its quotes, where the text is on this line as it was read.
        quoted = line[place.column - 1 : place.column] in _QUOTES
        length = max(1, min(len(rule.text) + 2 * quoted, len(line) - place.column + 1))
        diagnostic = self._diagnostic(code, place, length, message, remedy)
        return Finding(diagnostic, rule.text, rules[:MOST_NAMED], witness)

    def _diagnostic(self, code: Code, place: Position, length: int, message: str, remedy: str) -> Diagnostic:
        return Diagnostic(Severity.WARNING, code, message, place, self._line(place), remedy, length)

    def _line(self, place: Position) -> str:
        lines = self.lines.get(place.file, ())
        return lines[place.line - 1] if place.line <= len(lines) else ""


def _why_dead(cover: Cover) -> str:
    reasons = []
    if cover.covering:
        several = "covers it" if len(cover.covering) == 1 else "cover it together"
        reasons.append(f"{_named(cover.covering.values())} {several}")
    if cover.repeating:
        several = "says" if len(cover.repeating) == 1 else "say"
        named = _named(cover.repeating.values())
        reasons.append(f"without it {named} {several} the same, for a shorter prefix")
    if cover.longer:
        has = "has" if len(cover.longer) == 1 else "have"
        reasons.append(f"longer prefixes, which {_named(cover.longer.values())} {has}, leave it no address")
    return f"this rule changes nothing: {'; '.join(reasons)}"


def _named(rules: Iterable[Rule]) -> str:
    """Rules as a message names them: not more than a few."""
    given = list(rules)
    told = [f"`{_short(rule)}` at {rule.position}" for rule in given[:MOST_NAMED]]
    if len(given) > MOST_NAMED:
        told.append("more")
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def _short(rule: Rule) -> str:
    return f"{rule.action.value} {rule.text}"


def _key(rule: Rule) -> str:
    return '"*"' if rule.subject == EVERYONE else rule.subject


def _after(words: str) -> str:
    return f" {words}" if words else ""
