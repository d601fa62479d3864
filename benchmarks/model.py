"""What traces and the competitors' tables are made from: a policy by user class, prefix and bucket.

It stands on the reference's notions (compiler/semantics) and not on the compiler's tables, so that what
the compiler does well or badly falls to it alone.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

from wardgate.compiler.language.model import (
    EVERYONE,
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
from wardgate.compiler.semantics.effective import buckets
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


@dataclass(frozen=True, eq=False)
class Bucket:
    """Rules of one prefix that the same users have; buckets whose rules say the same are one object.

    `matches` are the services in order of precedence: the first that matches decides.
    """

    number: int
    matches: tuple[Match, ...]

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The verdict as a function of protocol and port: of each protocol all ports, in order, with
        neighbours of the same verdict as one."""
        return tuple(segment for protocol in PROTOCOLS for segment in self._segments(protocol))

    def _segments(self, protocol: int) -> Iterable[Segment]:
        relevant = [m for m in self.matches if m.protocol in (protocol, None)]
        cuts = sorted({0, *(m.low for m in relevant), *(m.high + 1 for m in relevant)} - {MAX_PORT + 1})
        coming = sorted(((m.low, rank, m.high, m.verdict) for rank, m in enumerate(relevant)), reverse=True)
        # Those that hold at a cut, the first in precedence on top.
        holding: list[tuple[int, int, Verdict]] = []
        merged: list[Segment] = []
        for low, beyond in pairwise([*cuts, MAX_PORT + 1]):
            while coming and coming[-1][0] == low:
                heappush(holding, coming.pop()[1:])
            while holding and holding[0][1] < low:
                heappop(holding)
            verdict = holding[0][2] if holding else Verdict.NONE
            if merged and merged[-1][3] is verdict:
                merged[-1] = (protocol, merged[-1][1], beyond - 1, verdict)
            else:
                merged.append((protocol, low, beyond - 1, verdict))
        return merged


def matches(action: Action, services: Iterable[ServiceForm]) -> tuple[Match, ...]:
    """The services of a rule."""
    found = [match for form in services for match in _matches(form, _VERDICTS[action])]
    return tuple(dict.fromkeys(found))


def _matches(form: ServiceForm, verdict: Verdict) -> Iterable[Match]:
    if isinstance(form, Everything):
        yield Match(verdict, None, 0, MAX_PORT)
    elif isinstance(form, Ports):
        for protocol in PROTOCOLS:
            if protocol in form.protocols:
                yield Match(verdict, protocol, form.low, form.high)


@dataclass(frozen=True, eq=False)
class _Kind:
    """What rules say, prefix and subject apart; those that say the same have one."""

    precedence: int
    number: int
    matches: tuple[Match, ...]


_Rules = dict[str, dict[int, list[_Kind]]]
"""What each subject's rules say, by position of the prefix in `PolicyModel.prefixes`."""


@dataclass(frozen=True)
class ModelClass:
    """Users with the same effective policy: their buckets by position in `PolicyModel.prefixes`, and the
    subjects whose rules these are."""

    own: dict[int, Bucket]
    subjects: tuple[str, ...]


class PolicyModel:
    """Every policy class of `policy`, those of `users` by their position in `classes`. A class is here
    what subjects that have rules make of it; the first is that of users whom the policy does not
    mention. Rules of the other direction are left out."""

    def __init__(self, policy: Policy, users: Sequence[str]) -> None:
        self.policy = policy
        self.prefixes: tuple[Prefix, ...] = tuple(
            sorted({prefix for rule in policy.rules for prefix in rule.destinations}, key=_wide_first)
        )
        """All prefixes, each behind those that contain it."""
        self._buckets: dict[frozenset[_Kind], Bucket] = {}
        by_subject = self._by_subject()
        of_subjects: dict[tuple[str, ...], int] = {_subjects((), by_subject): 0}
        groups: dict[str, list[str]] = {user: [] for user in users}
        for group, members in policy.groups.items():
            for member in members:
                if member in groups:
                    groups[member].append(group)
        self.class_of = {
            user: of_subjects.setdefault(_subjects((*found, user), by_subject), len(of_subjects))
            for user, found in groups.items()
        }
        self.classes: tuple[ModelClass, ...] = tuple(self._classes(list(of_subjects), by_subject))

    def _by_subject(self) -> _Rules:
        positions = {prefix: position for position, prefix in enumerate(self.prefixes)}
        kinds: dict[tuple[Action, tuple[ServiceForm, ...]], _Kind] = {}
        found: _Rules = {}
        for rule in self.policy.rules:
            if not rule.inbound:
                said = rule.action, rule.services
                kind = kinds.get(said)
                if kind is None:
                    kind = kinds[said] = _Kind(_PRECEDENCE[rule.action], len(kinds), matches(*said))
                own = found.setdefault(rule.subject, {})
                for prefix in rule.destinations:
                    own.setdefault(positions[prefix], []).append(kind)
        return found

    def _classes(self, wanted: Sequence[tuple[str, ...]], by_subject: _Rules) -> Iterator[ModelClass]:
        bits = {subject: 1 << number for number, subject in enumerate(by_subject)}
        # By position and who has rules there, which is what most classes share.
        known: dict[tuple[int, int], Bucket] = {}
        for subjects in wanted:
            masks: dict[int, int] = {}
            for subject in subjects:
                bit = bits[subject]
                for position in by_subject[subject]:
                    masks[position] = masks.get(position, 0) | bit
            own = {}
            for place in masks.items():
                bucket = known.get(place)
                if bucket is None:
                    position = place[0]
                    kinds = [kind for s in subjects for kind in by_subject[s].get(position, ())]
                    bucket = known[place] = self._bucket(frozenset(kinds))
                own[place[0]] = bucket
            yield ModelClass(own, subjects)

    def _bucket(self, kinds: frozenset[_Kind]) -> Bucket:
        found = self._buckets.get(kinds)
        if found is None:
            ordered = sorted(kinds, key=lambda kind: (kind.precedence, kind.number))
            said = dict.fromkeys(match for kind in ordered for match in kind.matches)
            found = self._buckets[kinds] = Bucket(len(self._buckets) + 1, tuple(said))
        return found

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

    def own(self, one: ModelClass, version: int) -> dict[Prefix, Bucket]:
        """A class's buckets by prefix, of one IP version."""
        found = ((self.prefixes[position], bucket) for position, bucket in one.own.items())
        return {prefix: bucket for prefix, bucket in found if prefix.version == version}

    def deciding(self, one: ModelClass) -> list[Bucket | None]:
        """For each of `prefixes` the bucket that decides for a class about addresses of which it is
        the longest prefix of all: the class's own, or that of the next wider prefix that it has."""
        found: list[Bucket | None] = []
        own = one.own.get
        for position, parent in enumerate(self.parents):
            bucket = own(position)
            if bucket is None and parent >= 0:
                bucket = found[parent]
            found.append(bucket)
        return found


def _subjects(names: Iterable[str], known: Container[str]) -> tuple[str, ...]:
    """Those of everyone and `names` that have rules."""
    return tuple(name for name in (EVERYONE, *names) if name in known)


def _precedence(rule: Rule) -> tuple[int, int]:
    return _PRECEDENCE[rule.action], rule.id


def _wide_first(prefix: Prefix) -> tuple[int, int, int]:
    return prefix.version, prefix.prefixlen, int(prefix.network_address)


def _place(prefix: Prefix, length: int) -> tuple[int, int, int]:
    """The prefix of this length that contains `prefix`, as numbers."""
    return prefix.version, length, int(prefix.network_address) >> (prefix.max_prefixlen - length)
