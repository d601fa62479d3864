"""Buckets and what they decide: all rules of an effective policy with the same prefix."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from wardgate.compiler.language.model import Action, Prefix, Rule
from wardgate.compiler.lowering.classes import PolicyClasses, RulesByPrefix
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

    def __init__(self) -> None:
        self.buckets: list[BucketRules] = []
        self._numbers: dict[tuple[Prefix, bool, tuple[int, ...]], int] = {}

    def number(self, prefix: Prefix, inbound: bool, rules: tuple[Rule, ...]) -> int:
        """Number of the bucket, which is new unless an equal one was met before."""
        key = (prefix, inbound, tuple(rule.id for rule in rules))
        number = self._numbers.get(key)
        if number is None:
            self.buckets.append(BucketRules(prefix, inbound, rules))
            number = self._numbers[key] = len(self.buckets)
        return number

    def of_classes(
        self,
        classes: PolicyClasses,
        by_subject: dict[str, RulesByPrefix],
        space: Destinations,
        *,
        inbound: bool,
    ) -> list[dict[int, int]]:
        """For class 0 and every policy class: destination class of each bucket's prefix to its number."""
        rows: list[dict[int, int]] = [{}]
        for policy_class in classes.classes:
            merged: dict[Prefix, tuple[Rule, ...]] = {}
            for subject in policy_class.subjects:
                for prefix, rules in by_subject.get(subject, {}).items():
                    merged[prefix] = merged.get(prefix, ()) + rules
            rows.append(
                {
                    space.number[prefix]: self.number(
                        prefix, inbound, tuple(sorted(rules, key=lambda rule: rule.id))
                    )
                    for prefix, rules in merged.items()
                }
            )
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
