"""The policy's side of what buckets decide: rows of which of the bucket's rules decides, and its verdict.

Buckets with other rules that say the same have the same row, so that few rows are painted: `Shapes` tells
which rules say the same. Rows are bytes of the same shape as the tables'.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from wardgate.compiler.language.model import Action, Rule, ServiceForm
from wardgate.compiler.validation.encoded import integers
from wardgate.compiler.validation.kinds import ServiceKinds
from wardgate.runtime.layout.codes import Verdict

VERDICT_BITS = 2
"""An entry is `local << VERDICT_BITS | verdict`, as `decision_of` of lookup.h takes it apart; `local` counts
the bucket's rules, in source order, from 0."""

_VERDICTS = {Action.ALLOW: Verdict.ALLOW, Action.MFA: Verdict.MFA, Action.DENY: Verdict.DENY}
_PAINTED = tuple(_VERDICTS)
"""What wins is painted last (semantics.reference, step 3)."""

_LOCALS = 1 << 32
_TYPECODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_VERDICT_OF = bytes(first & (1 << VERDICT_BITS) - 1 for first in range(256))
"""For bytes.translate: the verdict of an entry by its first byte, little-endian."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a rule says: `verdict`, of the kinds at `places` and of those in `ranges`, end exclusive."""

    verdict: Verdict
    places: Sequence[int]
    ranges: Sequence[tuple[int, int]]


_Said = tuple[Action, int | None, tuple[ServiceForm, ...]]


class Shapes:
    """What rules say, apart from whose and of which prefix they are: `of_rule[rule id]` is a number that two
    rules have in common if they have the same action, freshness and services."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        numbers: dict[_Said, int] = {}
        found = [
            numbers.setdefault((rule.action, rule.within, rule.services), len(numbers)) for rule in rules
        ]
        self.of_rule = np.array([0, *found], np.uint32)
        self.all: Sequence[_Said] = tuple(numbers)
        self.within: Sequence[int | None] = [within for _, within, _ in numbers]
        """The seconds that rules of each shape give a login; empty where no rule says so."""
        if not any(self.within):
            self.within = ()
        self.ages = np.array([0, *(rule.within or 0 for rule in rules)], np.int64)
        """By rule id, the seconds that a rule gives a login, 0 where it does not say."""

    def within_of(self, shapes: Sequence[int]) -> Sequence[int | None]:
        """`within` of rules of these shapes; empty where no rule of the policy says so."""
        return [self.within[shape] for shape in shapes] if self.within else ()


class Decisions:
    """Paints what buckets for prefixes of one IP version decide about each kind of service, and about
    fragments."""

    def __init__(self, shapes: Shapes, kinds: ServiceKinds, version: int) -> None:
        self._count = len(kinds.kinds)
        self._shapes = [_shape(action, forms, kinds, version) for action, _, forms in shapes.all]
        # Of rules that say the same, the first in the source is painted last: it is what shows. Of mfa rules
        # before that, the one that gives a login the least time.
        said = [(_PAINTED.index(action), -(within or inf)) for action, within, _ in shapes.all]
        places = {one: place for place, one in enumerate(sorted(set(said)), 1)}
        self._order = [places[one] * _LOCALS for one in said]

    def row(self, shapes: Sequence[int], element: int) -> bytes | None:
        """The entry of each kind of service, of `element` bytes, little-endian, of a bucket whose rules say
        `shapes`; None where entries of that size cannot hold it."""
        fits = len(shapes) << VERDICT_BITS <= 1 << 8 * element
        row = self._painted(shapes, _TYPECODES[element] if fits else "I")
        if not fits:
            # What shows may be less than what was painted.
            if max(row) >> 8 * element:
                return None
            row = array(_TYPECODES[element], row)
        if sys.byteorder == "big":
            row.byteswap()
        return row.tobytes()

    def _painted(self, shapes: Sequence[int], typecode: str) -> array[int]:
        entry = array(typecode, (0,))
        row = entry * self._count
        # A rule that says what one before it says decides nothing.
        first = dict(zip(reversed(shapes), range(len(shapes) - 1, -1, -1), strict=True))
        order = self._order
        for rank in sorted([order[shape] - local for shape, local in first.items()]):
            local = -rank % _LOCALS
            shape = self._shapes[shapes[local]]
            value = local << VERDICT_BITS | shape.verdict
            for place in shape.places:
                row[place] = value
            for start, end in shape.ranges:
                entry[0] = value
                row[start:end] = entry * (end - start)
        return row


def fragment(row: bytes, element: int, within: Sequence[int | None] = ()) -> int:
    """The entry of `row` about a later fragment of an unknown packet: the verdict that all services have, by
    the strictest rule that gives it, and of such the first of the source; 0 where they differ. `within`: what
    the bucket's rules say; empty where none says anything."""
    verdict = _VERDICT_OF[row[0]]
    if not verdict:
        return 0
    verdicts = row[::element].translate(_VERDICT_OF)
    if verdicts.count(verdict) != len(verdicts):
        return 0
    if not any(within):
        return int(integers(row, element).min())
    entries: list[int] = np.unique(integers(row, element)).tolist()
    return min(entries, key=lambda entry: (within[entry >> VERDICT_BITS] or inf, entry))


def _shape(action: Action, forms: Sequence[ServiceForm], kinds: ServiceKinds, version: int) -> _Shape:
    ranges = {covered for form in forms for covered in kinds.covered(form, version)}
    return _Shape(
        _VERDICTS[action],
        tuple(first for first, end in sorted(ranges) if end == first + 1),
        tuple((first, end) for first, end in sorted(ranges) if end > first + 1),
    )
