"""What each subject brings to buckets: its rules of one direction for one prefix.

A bucket is the contributions of those of a policy class's subjects that have rules for its prefix, so
whatever classes share is worked out once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from wardgate.compiler.language.model import Policy, Prefix
from wardgate.compiler.lowering.destinations import Destinations, destinations
from wardgate.compiler.lowering.ragged import Integers, Lists, grouped, offsets_of


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """Contributions in the order of their *sources*, the subjects of one direction, and of destination
    classes: those of source `s` are `first[s]` to `first[s + 1]`, exclusive.

    `sources`: of (subject, inbound or not). `destination`: the class of each contribution's prefix.
    `rules`: of each, their ids, ascending. Contributions from `inbound_from` on are inbound.
    """

    sources: Mapping[tuple[str, bool], int]
    first: Integers
    destination: Integers
    rules: Lists
    inbound_from: int

    def __len__(self) -> int:
        return len(self.destination)


def contributions(policy: Policy) -> tuple[Destinations, Contributions]:
    """The destination classes of a policy, and what its subjects bring."""
    met: dict[Prefix, int] = {}
    sources = {(rule.subject, rule.inbound) for rule in policy.rules}
    ordered = sorted(sources, key=lambda source: (source[1], source[0]))
    number_of = {source: number for number, source in enumerate(ordered)}
    triples: list[int] = []
    for rule in policy.rules:
        source = number_of[rule.subject, rule.inbound]
        # A rule that names a prefix twice brings it once.
        prefixes = rule.destinations if len(rule.destinations) == 1 else dict.fromkeys(rule.destinations)
        for prefix in prefixes:
            triples += (source, met.setdefault(prefix, len(met)), rule.id)
    space, numbers = destinations(tuple(met))
    source_of, place, rule_of = np.array(triples, np.int64).reshape(-1, 3).T
    keys, rules = grouped(source_of * space.count + np.array(numbers, np.int64)[place], rule_of)
    first = offsets_of(np.bincount(keys // space.count, minlength=len(ordered)))
    outbound = sum(not inbound for _, inbound in ordered)
    return space, Contributions(number_of, first, keys % space.count, rules, int(first[outbound]))
