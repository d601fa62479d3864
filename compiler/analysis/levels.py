"""How much a verdict lets pass, as one number: nothing, with a login, or always.

A rule that says `within` lets less pass than an mfa rule that does not, and the less the less time it gives a
login: its level is the seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from wardgate.compiler.lowering.patterns import VERDICT_BITS
from wardgate.compiler.lowering.ragged import Integers, Lists, offsets_of, ranges
from wardgate.compiler.validation.freshness import NEVER
from wardgate.runtime.layout.durations import words

Openness = npt.NDArray[np.uint32]
"""Levels."""

DENY: Final = 0
FRESH: Final = 1
"""The least level at which something passes: after a login a moment ago."""
MFA: Final = NEVER + 1
ALLOW: Final = MFA + 1
"""Levels. No bucket and no rule are DENY. Those from FRESH to before MFA are of `within`."""

_OF_VERDICT = np.array([DENY, ALLOW, MFA, DENY], np.uint32)
"""Of layout.codes.Verdict's numbers."""
_VERDICT = (1 << VERDICT_BITS) - 1
_MFA_VERDICT = 2


def verdict_label(level: int) -> str:
    """`allow`, `mfa` or `deny`."""
    return {DENY: "deny", ALLOW: "allow"}.get(level, "mfa")


def within_of(level: int) -> int | None:
    """The seconds that a level gives a login; None where it does not say."""
    return level if FRESH <= level < MFA else None


def level_label(level: int) -> str:
    """A level in words, such as `mfa within 15m`."""
    within = within_of(level)
    return verdict_label(level) + (f" within {words(within)}" if within else "")


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Rows of decisions as runs: `columns` and `values` as lowering.patterns has them, and what each value
    lets pass, `levels`. `pattern`: the row of each bucket, of bucket 0 first."""

    pattern: Integers
    columns: Lists
    values: Lists
    levels: Openness


def with_levels(
    pattern: Integers, columns: Lists, values: Lists, first: Integers, ages: Integers
) -> Decisions:
    """Rows of decisions, and what they let pass. Where rules say `within`, buckets of one row may differ in
    that: then each gets one of its own.

    `first`: where a bucket's rules begin in `ages`, which has the seconds that they give a login: 0 where
    they do not say, NEVER where nothing passes.
    """
    plain = _OF_VERDICT[values.values & _VERDICT]
    if not ages.any():
        return Decisions(pattern, columns, values, plain)
    # As many of a bucket's rules as its row speaks of.
    most = np.maximum.reduceat(values.values, values.offsets[:-1])
    counts = np.where(most > 0, (most >> VERDICT_BITS) + 1, 0)[pattern]
    offsets = offsets_of(counts)
    said = ages[ranges(first, counts)]
    numbers: dict[tuple[int, bytes], int] = {}
    bases: list[int] = []
    asked: list[Integers] = []
    refined = np.zeros(len(pattern), np.int64)
    for bucket, (row, start, end) in enumerate(
        zip(pattern.tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ):
        key = row, said[start:end].tobytes()
        number = refined[bucket] = numbers.setdefault(key, len(bases))
        if number == len(bases):
            bases.append(row)
            asked.append(said[start:end])
    rows = np.array(bases, np.int64)
    columns, values = columns.take(rows), values.take(rows)
    levels = _OF_VERDICT[values.values & _VERDICT]
    starts = offsets_of(np.array([len(one) for one in asked], np.int64))[values.owners]
    flat = np.concatenate([*asked, np.zeros(1, np.int64)])
    local = np.minimum(starts + (values.values >> VERDICT_BITS), len(flat) - 1)
    said = flat[local]
    levels = np.where((values.values & _VERDICT == _MFA_VERDICT) & (said > 0), said, levels)
    levels[levels == NEVER] = DENY
    return Decisions(refined, columns, values, levels.astype(np.uint32))
