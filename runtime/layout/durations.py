"""Durations as people write them, in policies and on the command line: `30s`, `10m`, `1h30m`, `2d`."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_FORM: Final = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_NANOSECONDS: Final = 1_000_000_000
LONGEST: Final = 3_650 * _SECONDS["d"]
"""Seconds; more is a mistake, and would reach the end of the 64-bit clock."""

LONGEST_WITHIN: Final = 30 * _SECONDS["d"]
"""Seconds of the longest freshness that a rule may ask for."""


def seconds_of(text: str) -> int | None:
    """Seconds in `text`, 0 included; None where it has another form."""
    match = _FORM.fullmatch(text)
    if not text or match is None:
        return None
    parts = zip(match.groups(), _SECONDS.values(), strict=True)
    return sum(int(count) * unit for count, unit in parts if count)


def parse(text: str) -> int:
    """Seconds in `text`; ValueError where it is not a duration of one second to ten years."""
    seconds = seconds_of(text)
    if seconds is None:
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 10m, 2h, 1d or 1h30m")
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"{text!r} is not between 1s and {LONGEST // _SECONDS['d']}d")
    return seconds


def words(seconds: int) -> str:
    """The whole of a duration, such as `1h30m`; `0s` where it is none."""
    parts = []
    for letter, unit in _SECONDS.items():
        count, seconds = divmod(seconds, unit)
        parts.append(f"{count}{letter}" if count else "")
    return "".join(parts) or "0s"


def show(nanoseconds: int) -> str:
    """The two largest units of a duration, such as `9m59s`; parts of a second are left out."""
    seconds = max(0, nanoseconds) // _NANOSECONDS
    parts = []
    for letter, unit in _SECONDS.items():
        count, seconds = divmod(seconds, unit)
        parts.append((count, letter))
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return "".join(f"{count}{letter}" for count, letter in parts[:2] if count) or "0s"
