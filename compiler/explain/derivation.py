"""How an answer follows from the policy: whose rules count, which prefix is the longest, what each rule says.

From a policy it is read off the definition (semantics.reference). From an artefact it is read off the
tables: the manifest has no groups and no services, so there a subject is known by its rules, and of rules
that are outranked nobody can tell whether they match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from math import inf
from typing import Any, Final

from wardgate.compiler.explain.answer import Answer, RuleReference
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language.model import (
    EVERYONE,
    ICMP,
    ICMPV6,
    MAX_PORT,
    PORT_PROTOCOLS,
    SCTP,
    TCP,
    UDP,
    Action,
    Everything,
    Icmp,
    Policy,
    Ports,
    Protocol,
    Rule,
    ServiceForm,
)
from wardgate.compiler.semantics.effective import buckets, effective_rules, subjects_of
from wardgate.compiler.semantics.reference import VERDICTS, matching_rules, strictness
from wardgate.runtime.layout.manifest import Bucket, Manifest, RuleSource

_PRECEDENCE: Final = tuple(action.value for action in VERDICTS)
"""Actions as words, the one that wins over all others first."""
_NAMES: Final = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}


@dataclass(frozen=True, slots=True)
class Grant:
    """A rule and whose it is: `subject` is `*`, a group or the user; `action` a word of the language."""

    rule: RuleReference
    action: str
    subject: str

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {"subject": self.subject, "action": self.action, "rule": self.rule.to_json()}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prefix that contains the remote address, and the rules that it has in the user's policy."""

    prefix: str
    decides: bool
    grants: tuple[Grant, ...]

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        rules = [grant.to_json() for grant in self.grants]
        return {"prefix": self.prefix, "decides": self.decides, "rules": rules}


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a rule of the deciding bucket says of the packet: `matches` None where the artefact does not tell;
    `why` in words."""

    grant: Grant
    matches: bool | None
    decides: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {**self.grant.to_json(), "matches": self.matches, "decides": self.decides, "why": self.why}


@dataclass(frozen=True, slots=True)
class Derivation:
    """`subjects` are those whose rules are the user's; with `from_tables` only those that have rules there.
    `candidates` come with the longest prefix first, which decides; `bucket` has its rules in source order.
    """

    subjects: tuple[str, ...]
    from_tables: bool
    candidates: tuple[Candidate, ...]
    bucket: tuple[Weighed, ...]

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {
            "subjects": list(self.subjects),
            "from_tables": self.from_tables,
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "bucket": [weighed.to_json() for weighed in self.bucket],
        }


def derive(policy: Policy, query: Query) -> Derivation:
    """How the reference comes to its answer."""
    packet = query.packet
    rules = effective_rules(policy, query.user, inbound=packet.inbound)
    containing = sorted(
        ((prefix, found) for prefix, found in buckets(rules).items() if packet.remote in prefix),
        key=lambda one: -one[0].prefixlen,
    )
    candidates = tuple(
        Candidate(str(prefix), place == 0, tuple(map(_grant_of_rule, found)))
        for place, (prefix, found) in enumerate(containing)
    )
    bucket = containing[0][1] if containing else ()
    matching = matching_rules(bucket, packet)
    ranked = sorted(matching, key=lambda rule: (_PRECEDENCE.index(rule.action.value), *strictness(rule)))
    winner = ranked[0] if ranked else None
    weighed = (
        _weigh(rule, rule in matching, winner, len(matching), packet.remote.version) for rule in bucket
    )
    return Derivation(subjects_of(policy, query.user), False, candidates, tuple(weighed))


def _weigh(rule: Rule, matches: bool, winner: Rule | None, matching: int, version: int) -> Weighed:
    grant = _grant_of_rule(rule)
    if winner is None or not matches:
        return Weighed(grant, False, False, f"is about {_services(rule.services, version)}")
    if rule is not winner:
        return Weighed(grant, True, False, _outranked(grant, _grant_of_rule(winner)))
    return Weighed(grant, True, True, _wins(rule.action.value) if matching > 1 else "alone in matching")


def derive_from_tables(
    manifest: Manifest, row: Callable[[int], Iterable[int]], query: Query, answer: Answer
) -> Derivation:
    """The same from an artefact: `row` gives the buckets of a row of the matrix of buckets, `answer` is what
    its programs say. A prefix that longer ones cover wholly decides nothing, and does not show."""
    packet = query.packet
    number = manifest.class_of(query.user)
    rows = [number]
    if packet.inbound:
        if "inbound_row" not in manifest.parameters or not any(rule.inbound for rule in manifest.rules):
            return Derivation((EVERYONE,), True, (), ())
        rows = [number + manifest.parameters["inbound_row"]]
    mine = {found for one in rows for found in row(one) if found}
    reached = [bucket for bucket in manifest.buckets if bucket.id in mine]
    named = {manifest.rules[rule - 1].policy for bucket in reached for rule in bucket.rules}
    subjects = (EVERYONE, *sorted(named - {EVERYONE}))
    containing = sorted(
        (bucket for bucket in reached if packet.remote in ip_network(bucket.prefix)),
        key=lambda bucket: -ip_network(bucket.prefix).prefixlen,
    )
    candidates = tuple(
        Candidate(bucket.prefix, place == 0, tuple(map(_grant_of_source, _rules(manifest, bucket))))
        for place, bucket in enumerate(containing)
    )
    rules = _rules(manifest, containing[0]) if containing else ()
    winner = next((rule for rule in rules if RuleReference.of_source(rule) == answer.rule), None)
    return Derivation(subjects, True, candidates, tuple(_infer(rule, winner) for rule in rules))


def _infer(rule: RuleSource, winner: RuleSource | None) -> Weighed:
    """What the winner's winning says of another rule of its bucket."""
    grant = _grant_of_source(rule)
    if winner is None:
        return Weighed(grant, False, False, "is about other services")
    if rule is winner:
        return Weighed(grant, True, True, "no rule that comes before it matches")
    ranks = [
        (_PRECEDENCE.index(one.action), inf if one.within is None else one.within, one.id)
        for one in (rule, winner)
    ]
    if ranks[0] < ranks[1]:
        return Weighed(grant, False, False, "is about other services, or it would decide")
    return Weighed(grant, None, False, f"{_outranked(grant, _grant_of_source(winner))}, if it matches")


def _rules(manifest: Manifest, bucket: Bucket) -> Sequence[RuleSource]:
    return [manifest.rules[number - 1] for number in bucket.rules]


def _wins(action: str) -> str:
    after = _PRECEDENCE[_PRECEDENCE.index(action) + 1 :]
    return f"{action} comes before {' and '.join(after)}" if after else "the first that says so"


def _outranked(grant: Grant, winner: Grant) -> str:
    if grant.action != winner.action:
        return f"{winner.action} comes before {grant.action}"
    if grant.rule.within != winner.rule.within:
        return "another line gives a login less time"
    return "another line says the same before it"


def _grant_of_rule(rule: Rule) -> Grant:
    return Grant(RuleReference.of_rule(rule), rule.action.value, rule.subject)


def _grant_of_source(rule: RuleSource) -> Grant:
    return Grant(RuleReference.of_source(rule), Action(rule.action).value, rule.policy)


def _services(forms: Sequence[ServiceForm], version: int) -> str:
    return " ".join(dict.fromkeys(_service(form, version) for form in forms))


def _service(form: ServiceForm, version: int) -> str:
    match form:
        case Everything():
            return "everything"
        case Protocol(number):
            return "icmp" if number == (ICMP if version == 4 else ICMPV6) else f"proto/{number}"
        case Icmp():
            return "icmp"
        case Ports(protocols, low, high):
            names = (
                ["any"] if len(protocols) == len(PORT_PROTOCOLS) else [_NAMES[p] for p in sorted(protocols)]
            )
            ports = f"{low}" if low == high else f"{low}-{high}"
            whole = (low, high) == (0, MAX_PORT)
            return " ".join(name if whole and name != "any" else f"{ports}/{name}" for name in names)
