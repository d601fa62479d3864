"""Kinds of rules: what a rule says of services, apart from whose and of which prefix it is.

Policies have far fewer kinds than rules, and a bucket's decisions follow from the kinds of its rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from wardgate.compiler.language.model import Action, Rule, ServiceForm
from wardgate.compiler.lowering.ragged import Integers, Lists, offsets_of
from wardgate.compiler.lowering.services import ServiceClasses, service_classes
from wardgate.runtime.layout.codes import Verdict

_Saying = tuple[int, int | None]
"""A verdict, and the seconds that it gives a login."""

VERDICTS = {Action.ALLOW: Verdict.ALLOW, Action.MFA: Verdict.MFA, Action.DENY: Verdict.DENY}


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """`of_rule[version]`: rule id to the kind that it is in buckets of prefixes of an IP version.

    `verdict`: of each kind. `strength`: of each; the greatest one wins, and of equal ones the first rule of
    the source. `first` and `end`: of each, the service classes that it covers, as ranges.
    """

    of_rule: dict[int, Integers]
    verdict: Integers
    strength: Integers
    first: Lists
    end: Lists

    def __len__(self) -> int:
        return len(self.verdict)


def rule_kinds(rules: Sequence[Rule]) -> tuple[ServiceClasses, Kinds]:
    """The service classes of `rules`, and the rules' kinds."""
    met: dict[tuple[ServiceForm, ...], int] = {}
    place = [met.setdefault(rule.services, len(met)) for rule in rules]
    uses: Counter[ServiceForm] = Counter()
    for forms, count in zip(met, np.bincount(place, minlength=len(met)).tolist(), strict=True):
        for form in forms:
            uses[form] += count
    services = service_classes(uses)

    known: dict[tuple[_Saying, tuple[tuple[int, int], ...]], int] = {}
    of_rule = {}
    sayings = [(int(VERDICTS[rule.action]), rule.within) for rule in rules]
    for version in (4, 6):
        covered = [_covered(forms, services, version) for forms in met]
        numbers: dict[tuple[_Saying, int], int] = {}
        for pair in dict.fromkeys(zip(sayings, place, strict=True)):
            numbers[pair] = known.setdefault((pair[0], covered[pair[1]]), len(known))
        found = (numbers[pair] for pair in zip(sayings, place, strict=True))
        of_rule[version] = np.array([0, *found], np.int64)
    ranges = np.array([interval for _, intervals in known for interval in intervals], np.int64).reshape(-1, 2)
    offsets = offsets_of(np.array([len(intervals) for _, intervals in known], np.int64))
    strength = {
        saying: place for place, saying in enumerate(sorted({one for one, _ in known}, key=_weakness))
    }
    return services, Kinds(
        of_rule,
        np.array([verdict for (verdict, _), _ in known], np.int64),
        np.array([strength[saying] for saying, _ in known], np.int64),
        Lists(ranges[:, 0].copy(), offsets),
        Lists(ranges[:, 1] + 1, offsets),
    )


def _weakness(saying: _Saying) -> tuple[int, float]:
    """For sorting: the weakest first."""
    verdict, within = saying
    return verdict, -inf if within is None else -within


def _covered(
    forms: Sequence[ServiceForm], services: ServiceClasses, version: int
) -> tuple[tuple[int, int], ...]:
    """The service classes of any of `forms`, as ranges that are apart."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(pair for form in forms for pair in services.intervals(form, version)):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)
