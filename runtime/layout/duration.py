"""Durations as people write them: `30s`, `10m`, `1h30m`, `2d`."""

from __future__ import annotations

import re

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_FORM = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_NANOSECONDS = 1_000_000_000
LONGEST = 3_650 * _SECONDS["d"]


def parse(text: str) -> int:
    """Seconds in `text`; ValueError where it is not a duration of one second to ten years."""
    match = _FORM.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 10m, 2h, 1d or 1h30m")
    parts = zip(match.groups(), _SECONDS.values(), strict=True)
    seconds = sum(int(count) * unit for count, unit in parts if count)
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"{text!r} is not between 1s and {LONGEST // _SECONDS['d']}d")
    return seconds


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
