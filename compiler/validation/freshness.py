"""Rules that say `within`, as programs find them (`is_recent` of device.h).

Where there is a table of them, each entry of `bucket_rules` has a rule's id and, in its lowest bit, whether
the rule says `within`: only then do programs look the table up, and only where the verdict is mfa.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from wardgate.compiler.validation.encoded import Encoded

WITHIN = "within"
"""The name of the table: rule id to seconds, 0 of a rule that does not say."""

NEVER = 1 << 30
"""In place of seconds, where programs look up 0 of them, or behind the table's end: no login is recent."""

RULE_BITS = 32
_RULE = (1 << RULE_BITS) - 1

Integers = npt.NDArray[np.int64]


def bucket_rules(encoded: Encoded) -> tuple[Integers, Integers]:
    """Of each entry of `bucket_rules`: the rule's id, and the seconds that it gives a login, 0 where it does
    not say."""
    entries = encoded.table("bucket_rules").values.astype(np.int64)
    if WITHIN not in encoded.tables:
        return entries, np.zeros(len(entries), np.int64)
    given = encoded.table(WITHIN).values.astype(np.int64)
    ids = entries >> 1
    there = ids < len(given)
    seconds = np.where(there, given[np.where(there, ids, 0)], 0)
    found = np.where(seconds > 0, np.minimum(seconds, NEVER - 1), NEVER)
    return ids, np.where(entries & 1 == 1, found, 0)


def decision_of(rule: int, seconds: int) -> int:
    """What decides, as one number; the verdict goes below it."""
    return seconds << RULE_BITS | rule


def rule_of(decision: int) -> int:
    """The id of the rule that decides."""
    return decision & _RULE


def seconds_of(decision: int) -> int:
    """The seconds that it gives a login, 0 where it does not say."""
    return decision >> RULE_BITS
