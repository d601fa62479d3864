"""What a policy says, or an artefact does, as arrays: the same whichever of the two it was read from.

A verdict is found as programs find it: user to class, address to destination class, both to a bucket, the
bucket to a row of decisions, of which the packet's service class chooses one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from wardgate.compiler.analysis.levels import DENY, Openness, verdict_label
from wardgate.compiler.lowering.lines import PAGE, PAGE_BITS, Lines
from wardgate.compiler.lowering.patterns import VERDICT_BITS
from wardgate.compiler.lowering.ragged import Integers, Lists, distinct, offsets_of, ranges
from wardgate.compiler.validation.services import DecodedServices
from wardgate.runtime.layout.manifest import RuleSource

_ENTRIES = 1 << 22
"""Entries of rows that are looked at at once."""

_LEVEL_BITS = 32


@dataclass(frozen=True, slots=True)
class Decided:
    """Why a packet has its verdict: `prefix` of the bucket, None where there is none; `rule` that decides,
    None where none matches; `bucket` are the rules that make the bucket up. `level`: how much that lets pass,
    see levels."""

    level: int
    prefix: str | None
    rule: RuleSource | None
    bucket: tuple[RuleSource, ...]

    @property
    def label(self) -> str:
        """`allow`, `mfa` or `deny`."""
        return verdict_label(self.level)


@dataclass(frozen=True, eq=False)
class View:
    """See the module.

    - `name`: of the file, for people. `rule`: a rule by its id. `groups`: the members of each group, of an
      artefact those groups' that have rules.
    - `class_of`: every named user's class, `default_class` all others'.
    - `runs[version]`: (first address, destination class) from address 0 on, neighbours distinct.
    - `lines`: the matrix of buckets; the row of a class is its number, for the other direction
      `inbound_row` more, None where no rule is of that direction.
    - `pattern`, `version` and `first`, of each bucket, of bucket 0 (none) first: the number of its row of
      decisions, the IP version of its prefix, and where its rules begin in `rule_ids`. `prefix_of`: its
      prefix as text. `members`: the ids of its rules.
    - `width`, `columns` and `values`: the rows of decisions as runs; see lowering.patterns. `levels`: of each
      value, how much it lets pass; see levels.
    """

    name: str
    rule: Callable[[int], RuleSource]
    groups: Mapping[str, frozenset[str]]
    class_of: Mapping[str, int]
    default_class: int
    runs: Mapping[int, Sequence[tuple[int, int]]]
    services: DecodedServices
    lines: Lines
    inbound_row: int | None
    pattern: Integers
    version: Integers
    first: Integers
    rule_ids: Integers
    prefix_of: Callable[[int], str]
    members: Callable[[int], Sequence[int]]
    width: int
    columns: Lists
    values: Lists
    levels: Openness

    def class_number(self, user: str | None) -> int:
        """The class of a user; None: one whom it does not name."""
        return self.default_class if user is None else self.class_of.get(user, self.default_class)

    @cached_property
    def _pages(self) -> npt.NDArray[np.uint32]:
        return self.lines.written_out()

    def buckets(self, classes: Integers, columns: Integers, *, inbound: bool) -> npt.NDArray[np.uint32]:
        """The buckets of these classes (rows) at these destination classes (columns)."""
        if inbound and self.inbound_row is None:
            return np.zeros((len(classes), len(columns)), np.uint32)
        rows = classes + (self.inbound_row or 0) if inbound else classes
        page = self.lines.directory[rows[:, None] * self.lines.per_row + (columns >> PAGE_BITS)]
        found: npt.NDArray[np.uint32] = self._pages[page, columns & (PAGE - 1)]
        return found

    def openness(self, patterns: Integers, columns: Integers) -> Openness:
        """How much these rows of decisions let pass of these service classes."""
        runs = self.columns.take(patterns)
        starts = runs.owners * self.width + runs.values
        lengths = np.diff(starts, append=len(patterns) * self.width)
        levels = self.levels[ranges(self.values.offsets[patterns], self.values.counts[patterns])]
        found: Openness = np.repeat(levels, lengths).reshape(-1, self.width)[:, columns]
        return found

    def alike(self) -> Integers:
        """For each row of decisions, the first one with the same verdicts, whichever rules give them."""
        openness = self.levels.astype(np.int64)
        starts = self.values.offsets[:-1]
        kept = np.ones(len(openness), bool)
        kept[1:] = openness[1:] != openness[:-1]
        kept[starts] = True
        runs = (self.columns.values << _LEVEL_BITS | openness)[kept]
        number, first = distinct(Lists(runs, offsets_of(np.add.reduceat(kept.astype(np.int64), starts))))
        found: Integers = first[number]
        return found

    def decided(self, bucket: int, service_class: int) -> Decided:
        """The decision of a bucket about a service class."""
        if not bucket:
            return Decided(DENY, None, None, ())
        run = self._run(bucket, service_class)
        entry, level = int(self.values.values[run]), int(self.levels[run])
        rule = self.rule(int(self.rule_ids[self.first[bucket] + (entry >> VERDICT_BITS)])) if entry else None
        return Decided(
            level, self.prefix_of(bucket), rule, tuple(self.rule(number) for number in self.members(bucket))
        )

    def deciding(self, buckets: Integers, service_classes: Integers) -> set[int]:
        """The ids of the rules by which these buckets, none of them 0, decide of these service classes."""
        found: set[int] = set()
        step = max(1, _ENTRIES // max(1, len(service_classes)))
        for start in range(0, len(buckets), step):
            some = buckets[start : start + step]
            entries = self._entries_at(self.pattern[some], service_classes)
            places = self.first[some][:, None] + (entries >> VERDICT_BITS)
            found.update(np.unique(self.rule_ids[places[entries != 0]]).tolist())
        return found

    def _entries_at(self, patterns: Integers, columns: Integers) -> Integers:
        """The entries of rows of decisions at a few columns."""
        runs, entries = self.columns.take(patterns), self.values.take(patterns)
        starts = runs.owners * self.width + runs.values
        asked = np.arange(len(patterns))[:, None] * self.width + columns
        found: Integers = entries.values[np.searchsorted(starts, asked, "right") - 1]
        return found

    def _run(self, bucket: int, service_class: int) -> int:
        """Where in `values` the entry of a bucket's row of decisions is."""
        pattern = self.pattern[bucket]
        start, end = self.columns.offsets[pattern], self.columns.offsets[pattern + 1]
        run = np.searchsorted(self.columns.values[start:end], service_class, "right") - 1
        return int(start + run)
