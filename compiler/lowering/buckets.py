"""Buckets and what they decide: all rules of an effective policy with the same prefix."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.compiler.language.model import Action, Policy, Prefix, Rule
from wardgate.compiler.lowering.classes import PolicyClasses, RulesByDestination
from wardgate.compiler.lowering.destinations import Destinations
from wardgate.compiler.lowering.matrix import Run
from wardgate.compiler.lowering.services import ServiceClasses
from wardgate.runtime.layout.codes import Verdict

VERDICTS = {Action.ALLOW: Verdict.ALLOW, Action.MFA: Verdict.MFA, Action.DENY: Verdict.DENY}
_WEAKEST_FIRST = {Action.ALLOW: 0, Action.MFA: 1, Action.DENY: 2}

VERDICT_BITS = 2
"""A decision is `rule id << VERDICT_BITS | verdict`."""


@dataclass(frozen=True, slots=True)
class BucketRules:
    """A bucket: its prefix, its direction and its rules in the order of the source."""

    prefix: Prefix
    inbound: bool
    rules: tuple[Rule, ...]


class BucketCollection:
    """The distinct buckets of all policy classes, numbered from 1 as they are met."""

    def __init__(self, policy: Policy, space: Destinations) -> None:
        self.buckets: list[BucketRules] = []
        self._rules = policy.rules
        self._prefixes = space.prefixes
        self._numbers: dict[tuple[int, bool, tuple[int, ...]], int] = {}

    def _number(self, destination: int, inbound: bool, ids: tuple[int, ...]) -> int:
        key = (destination, inbound, ids)
        number = self._numbers.get(key)
        if number is None:
            rules = tuple(self._rules[rule - 1] for rule in ids)
            self.buckets.append(BucketRules(self._prefixes[destination - 1], inbound, rules))
            number = self._numbers[key] = len(self.buckets)
        return number

    def of_classes(
        self, classes: PolicyClasses, by_subject: Mapping[str, RulesByDestination], *, inbound: bool
    ) -> list[dict[int, int]]:
        """For class 0 and every policy class: destination class of each bucket's prefix to its number."""
        rows: list[dict[int, int]] = [{}]
        for policy_class in classes.classes:
            merged: RulesByDestination = {}
            shared = set()
            for subject in policy_class.subjects:
                for destination, rules in by_subject.get(subject, {}).items():
                    if destination in merged:
                        shared.add(destination)
                        merged[destination] += rules
                    else:
                        merged[destination] = rules
            for destination in shared:
                merged[destination] = tuple(sorted(merged[destination]))
            rows.append({d: self._number(d, inbound, rules) for d, rules in merged.items()})
        return rows


def decisions(bucket: BucketRules, services: ServiceClasses) -> list[Run]:
    """Runs over service classes of what the bucket decides there; 0 where no rule matches.

    Rules are painted from the weakest to the one that wins: allow, mfa, deny, and in each the
    latest of the source first, so that the earliest is what shows. The last column is for later
    fragments of unknown packets: the bucket's verdict if it is the same for every service, else 0.
    """
    version = bucket.prefix.version
    painting = sorted(bucket.rules, key=lambda rule: (_WEAKEST_FIRST[rule.action], -rule.id))
    strokes = [
        (first, last + 1, rule.id << VERDICT_BITS | VERDICTS[rule.action])
        for rule in painting
        for form in rule.services
        for first, last in services.intervals(form, version)
    ]
    cuts = sorted({0, *(edge for stroke in strokes for edge in stroke[:2])} - {services.count})
    values = [0] * len(cuts)
    for start, end, value in strokes:
        low, high = bisect_left(cuts, start), bisect_left(cuts, end)
        values[low:high] = [value] * (high - low)
    verdicts = {value & ((1 << VERDICT_BITS) - 1) for value in values}
    uniform = min(values) if len(verdicts) == 1 else 0

    runs: list[Run] = []
    for start, value in [*zip(cuts, values, strict=True), (services.fragment_class, uniform)]:
        if not runs or runs[-1][1] != value:
            runs.append((start, value))
    return runs
