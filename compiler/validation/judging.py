"""What the tables say that buckets decide, held against what the policy means."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from wardgate.compiler.validation.decisions import VERDICT_BITS, Decisions, Shapes, fragment
from wardgate.compiler.validation.destinations import stretches
from wardgate.compiler.validation.encoded import Encoded, Numbers, integers
from wardgate.compiler.validation.freshness import bucket_rules, decision_of
from wardgate.compiler.validation.kinds import Kind
from wardgate.compiler.validation.matrix import rows_of
from wardgate.runtime.layout.codes import Verdict

_FIRST_BITS = 32
_VERDICT = (1 << VERDICT_BITS) - 1
_WIDE = 4


class Judgements:
    """Buckets to decisions, as `decision_of` of lookup.h finds them: of the service classes `columns`."""

    def __init__(self, encoded: Encoded, columns: Sequence[int]) -> None:
        self.records = encoded.table("buckets")
        self.rules = encoded.table("bucket_rules")
        self.rule_ids, self.ages = bucket_rules(encoded)
        """Of each of these, the rule's id and the seconds that it gives a login; see freshness."""
        self.patterns = rows_of(encoded, "judge", columns)

    def record(self, bucket: int) -> tuple[int, int]:
        """The pattern of a bucket, and where its rules begin. OutOfBoundsError."""
        record = self.records.entry(bucket, f"bucket {bucket}")
        return record >> _FIRST_BITS, record & (1 << _FIRST_BITS) - 1

    def decisions(self, bucket: int) -> Callable[[int], int]:
        """What programs decide by, of each service class: `what decides << VERDICT_BITS | verdict`, see
        freshness; 0 where no rule matches. OutOfBoundsError, also from the function."""
        pattern, first = self.record(bucket)
        element = self.patterns.element
        entries: list[int] = integers(self.patterns.row(pattern), element).tolist()

        @cache
        def decision(entry: int) -> int:
            local, verdict = entry >> VERDICT_BITS, entry & _VERDICT
            if not entry:
                return 0
            self.rules.check_has(first + local + 1, f"bucket {bucket}")
            seconds = int(self.ages[first + local]) if verdict == Verdict.MFA else 0
            return decision_of(int(self.rule_ids[first + local]), seconds) << VERDICT_BITS | verdict

        return lambda service_class: decision(entries[service_class])


@dataclass(frozen=True, slots=True)
class WrongDecision:
    """Where a bucket's decision is not `meant`; `kind` None: about later fragments."""

    bucket: int
    kind: Kind | None
    meant: int


class Judging:
    """Compares the decisions of the manifest's buckets, whose IP versions are `versions`."""

    def __init__(
        self,
        encoded: Encoded,
        judgements: Judgements,
        shapes: Shapes,
        decisions: Mapping[int, Decisions],
        versions: Sequence[int],
        kinds: Sequence[Kind],
    ) -> None:
        self._judgements = judgements
        self._rows = judgements.patterns
        self._buckets = encoded.manifest.buckets
        self._shapes = shapes
        self._ages = shapes.ages
        self._decisions = decisions
        self._versions = versions
        self._kinds = kinds
        self._fragment_class = encoded.parameter("fragment_class")
        element = self._rows.element
        self._fragment = slice(self._fragment_class * element, (self._fragment_class + 1) * element)
        self._slices = [
            (
                slice(place.first * element, (place.first + place.length) * element),
                slice(place.column * element, (place.column + place.length) * element),
            )
            for place in stretches((number, kind.service_class) for number, kind in enumerate(kinds))
        ]

    def first_wrong(self) -> WrongDecision | None:
        """The first difference, None where there is none. OutOfBoundsError."""
        buckets = self._buckets
        if not buckets:
            return None
        # Bucket 0 is none, so that nothing is asked of it.
        self._judgements.records.check_has(len(buckets) + 1, f"bucket {len(buckets)}")
        records = self._judgements.records.values[1 : len(buckets) + 1].astype(np.uint64)
        patterns: list[int] = (records >> np.uint64(_FIRST_BITS)).tolist()
        counts = np.array([len(bucket.rules) for bucket in buckets], np.int64)
        ends = counts.cumsum(dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(bucket.rules for bucket in buckets), np.int64, int(ends[-1]))
        firsts = (records & np.uint64((1 << _FIRST_BITS) - 1)).astype(np.int64)
        elsewhere = self._rules_elsewhere(ids, counts, np.subtract(firsts, ends - counts, dtype=np.int64))
        # Of all rules of all buckets, what they say, as bytes: those of a bucket are a key.
        said = self._shapes.of_rule[ids]
        shapes, size = said.tobytes(), said.itemsize
        start = 0
        proved: dict[tuple[int, int, bytes], bool] = {}
        for place, (end, pattern, version) in enumerate(
            zip(ends.tolist(), patterns, self._versions, strict=True)
        ):
            key = pattern, version, shapes[start * size : end * size]
            start = end
            same = proved.get(key)
            if same is None:
                same = proved[key] = self._is_same(*key)
            if (not same or place in elsewhere) and (wrong := self._wrong(place)):
                return wrong
        return None

    def _rules_elsewhere(self, ids: Numbers, counts: Numbers, shifts: Numbers) -> set[int]:
        """The buckets (from 0) whose rules, all in all, are not where the tables say."""
        table, ages = self._judgements.rule_ids, self._judgements.ages
        owner = np.repeat(np.arange(len(counts)), counts)
        places = np.arange(len(ids)) + shifts[owner]
        inside = places < len(table)
        places[~inside] = 0
        return set(owner[~inside | (table[places] != ids) | (ages[places] != self._ages[ids])].tolist())

    def _is_same(self, pattern: int, version: int, shapes: bytes) -> bool:
        """Whether a pattern is that of a bucket with rules of these shapes."""
        element = self._rows.element
        rules = array("I", shapes)
        meant = self._decisions[version].row(rules, element)
        said = self._rows.row(pattern)
        return (
            meant is not None
            and all(meant[own] == said[encoded] for own, encoded in self._slices)
            and said[self._fragment]
            == fragment(meant, element, self._shapes.within_of(rules)).to_bytes(element, "little")
        )

    def _wrong(self, place: int) -> WrongDecision | None:
        """The first difference in what a bucket decides, one decision after the other: how the tables count
        its rules is of no account."""
        bucket, version = self._buckets[place], self._versions[place]
        shapes: list[int] = self._shapes.of_rule[list(bucket.rules)].tolist()
        row = self._decisions[version].row(shapes, _WIDE)
        assert row is not None  # noqa: S101 - no bucket has so many rules
        said = self._judgements.decisions(bucket.id)

        def meant(entry: int) -> int:
            if not entry:
                return 0
            rule = bucket.rules[entry >> VERDICT_BITS]
            return decision_of(rule, int(self._ages[rule])) << VERDICT_BITS | entry & _VERDICT

        for kind, entry in zip(self._kinds, integers(row, _WIDE).tolist(), strict=True):
            if said(kind.service_class) != meant(entry):
                return WrongDecision(bucket.id, kind, meant(entry))
        entry = fragment(row, _WIDE, self._shapes.within_of(shapes))
        if said(self._fragment_class) != meant(entry):
            return WrongDecision(bucket.id, None, meant(entry))
        return None
