"""What the competitors' tables are made from: a policy by user class, prefix and bucket.

It stands on the reference's notions (compiler/semantics) and not on the compiler's tables, so that what
the compiler does well or badly falls to it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from wardgate.compiler.language.model import (
    TCP,
    UDP,
    Action,
    Everything,
    Policy,
    Ports,
    Prefix,
    Rule,
    ServiceForm,
)
from wardgate.compiler.semantics.effective import buckets, user_classes
from wardgate.compiler.semantics.reference import matching_rules as matching_rules
from wardgate.runtime.layout.codes import Verdict

PROTOCOLS: Final = (TCP, UDP)
"""Those that the competitors know, and traces have."""
MAX_PORT: Final = 65_535

_PRECEDENCE: Final = {Action.DENY: 0, Action.MFA: 1, Action.ALLOW: 2}
_VERDICTS: Final = {Action.DENY: Verdict.DENY, Action.MFA: Verdict.MFA, Action.ALLOW: Verdict.ALLOW}

Segment = tuple[int, int, int, Verdict]
"""Protocol, lowest and highest port, verdict."""


@dataclass(frozen=True, slots=True)
class Match:
    """One service of a rule: `protocol` None stands for every protocol."""

    verdict: Verdict
    protocol: int | None
    low: int
    high: int


@dataclass(frozen=True)
class Bucket:
    """Rules of one prefix that the same users have; equal ones are one object."""

    number: int
    rules: tuple[Rule, ...]

    @cached_property
    def matches(self) -> tuple[Match, ...]:
        """Services in order of precedence: the first that matches decides."""
        found = [
            match
            for rule in sorted(self.rules, key=_precedence)
            for form in rule.services
            for match in _matches(form, _VERDICTS[rule.action])
        ]
        return tuple(dict.fromkeys(found))

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The verdict as a function of protocol and port: of each protocol all ports, in order, with
        neighbours of the same verdict as one."""
        return tuple(segment for protocol in PROTOCOLS for segment in self._segments(protocol))

    def _segments(self, protocol: int) -> Iterable[Segment]:
        relevant = [m for m in self.matches if m.protocol in (protocol, None)]
        cuts = sorted({0, *(m.low for m in relevant), *(m.high + 1 for m in relevant)} - {MAX_PORT + 1})
        merged: list[Segment] = []
        for low, beyond in pairwise([*cuts, MAX_PORT + 1]):
            verdict = next((m.verdict for m in relevant if m.low <= low <= m.high), Verdict.NONE)
            if merged and merged[-1][3] is verdict:
                merged[-1] = (protocol, merged[-1][1], beyond - 1, verdict)
            else:
                merged.append((protocol, low, beyond - 1, verdict))
        return merged


def _matches(form: ServiceForm, verdict: Verdict) -> Iterable[Match]:
    if isinstance(form, Everything):
        yield Match(verdict, None, 0, MAX_PORT)
    elif isinstance(form, Ports):
        for protocol in PROTOCOLS:
            if protocol in form.protocols:
                yield Match(verdict, protocol, form.low, form.high)


@dataclass(frozen=True)
class ModelClass:
    """Users with the same effective policy: their buckets by prefix, and the subjects whose rules
    these are."""

    own: dict[Prefix, Bucket]
    subjects: frozenset[str]


class PolicyModel:
    """Every policy class of `policy`, those of `users` by their position in `classes`."""

    def __init__(self, policy: Policy, users: Sequence[str]) -> None:
        self.policy = policy
        self.prefixes: tuple[Prefix, ...] = tuple(
            sorted({prefix for rule in policy.rules for prefix in rule.destinations}, key=_wide_first)
        )
        """All prefixes, each behind those that contain it."""
        found = user_classes(policy)
        self._buckets: dict[tuple[int, ...], Bucket] = {}
        self.classes: tuple[ModelClass, ...] = tuple(
            ModelClass(
                {prefix: self._bucket(rules) for prefix, rules in buckets(one.outbound).items()},
                frozenset(rule.subject for rule in one.outbound),
            )
            for one in found.classes
        )
        self.class_of = {user: found.index(user) for user in users}

    def _bucket(self, rules: tuple[Rule, ...]) -> Bucket:
        key = tuple(rule.id for rule in rules)
        return self._buckets.setdefault(key, Bucket(len(self._buckets) + 1, rules))

    def rules_of(self, prefix: Prefix) -> tuple[Rule, ...]:
        """Every rule, anyone's, about exactly this prefix, in order of precedence."""
        return self._rules[prefix]

    @cached_property
    def _rules(self) -> dict[Prefix, tuple[Rule, ...]]:
        return {
            prefix: tuple(sorted(rules, key=_precedence))
            for prefix, rules in buckets(self.policy.rules).items()
        }

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Every bucket; their numbers count from 1."""
        return tuple(self._buckets.values())

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """For each of `prefixes` the position of the next wider one, -1 where there is none."""
        positions = {_place(p, p.prefixlen): number for number, p in enumerate(self.prefixes)}
        lengths = sorted({(prefix.version, prefix.prefixlen) for prefix in self.prefixes}, reverse=True)
        found = []
        for prefix in self.prefixes:
            wider = (n for v, n in lengths if v == prefix.version and n < prefix.prefixlen)
            parents = (positions.get(_place(prefix, length), -1) for length in wider)
            found.append(next((parent for parent in parents if parent >= 0), -1))
        return tuple(found)

    def deciding(self, one: ModelClass) -> list[Bucket | None]:
        """For each of `prefixes` the bucket that decides for a class about addresses of which it is
        the longest prefix of all: the class's own, or that of the next wider prefix that it has."""
        found: list[Bucket | None] = []
        for prefix, parent in zip(self.prefixes, self.parents, strict=True):
            bucket = one.own.get(prefix)
            if bucket is None and parent >= 0:
                bucket = found[parent]
            found.append(bucket)
        return found


def _precedence(rule: Rule) -> tuple[int, int]:
    return _PRECEDENCE[rule.action], rule.id


def _wide_first(prefix: Prefix) -> tuple[int, int, int]:
    return prefix.version, prefix.prefixlen, int(prefix.network_address)


def _place(prefix: Prefix, length: int) -> tuple[int, int, int]:
    """The prefix of this length that contains `prefix`, as numbers."""
    return prefix.version, length, int(prefix.network_address) >> (prefix.max_prefixlen - length)
