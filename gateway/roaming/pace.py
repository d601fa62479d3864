"""When to look: soon after something was seen, often enough that nothing is missed, and never too often.

A program sees a packet before WireGuard has it, so the first look after it may come too early: more follow,
ever later. However much is seen, looks are bounded, in number and in the share of time that they take; what
is too early for that is put off, and never left out. Nothing here knows a clock or a thread: times are given,
in seconds of any one clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FOLLOW_UPS: Final = (0.004, 0.02, 0.08, 0.4, 2.0)
"""Seconds from what was seen to each look for it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`rate` looks a second on the average, and a `burst` of them at once; `share` of the time that they take
    on the average, and `longest` seconds at once. `lazy`: seconds that a look may wait that is not urgent."""

    rate: float = 4.0
    burst: float = 12.0
    share: float = 0.1
    longest: float = 1.0
    lazy: float = 5.0


class Pace:
    """The looks that are due."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._follow_ups: list[float] = []
        self._at: float | None = None
        self._looks = _Allowance(self._bounds.rate, self._bounds.burst)
        self._time = _Allowance(self._bounds.share, self._bounds.longest)

    def urgent(self, now: float) -> None:
        """Something was seen that may be a change: look, and again for as long as it may take to show."""
        # What is due sooner stays so: seeing things all the time must not put looks off.
        soonest = [moment for moment in self._follow_ups[:1] if moment < now + FOLLOW_UPS[0]]
        self._follow_ups = [*soonest, *(now + delay for delay in FOLLOW_UPS)]

    def lazy(self, now: float) -> None:
        """Something was seen that is not urgent."""
        self.at(now + self._bounds.lazy)

    def at(self, moment: float) -> None:
        """A look no later than at this moment."""
        self._at = moment if self._at is None else min(self._at, moment)

    def answered(self) -> None:
        """What was seen that is urgent has been found: it needs no more looks. Others that are due are."""
        self._follow_ups.clear()

    @property
    def is_answered(self) -> bool:
        """Whether nothing that is urgent waits for a look."""
        return not self._follow_ups

    def skip(self) -> None:
        """No look is due."""
        self._follow_ups.clear()
        self._at = None

    def next(self, now: float) -> float | None:
        """When to make the next look, `now` at the earliest; None: there is nothing to look for."""
        due = [*self._follow_ups[:1], *([] if self._at is None else [self._at])]
        if not due:
            return None
        return max(now, min(due), self._looks.enough(1.0, now), self._time.enough(0.0, now))

    def looked(self, began: float, ended: float) -> None:
        """A look was made between these moments. It stands for all that were due when it began."""
        self._looks.take(1.0, ended)
        self._time.take(ended - began, ended)
        self._follow_ups = [moment for moment in self._follow_ups if moment > began]
        if self._at is not None and self._at <= began:
            self._at = None


@dataclass(slots=True)
class _Allowance:
    """So much a second, saved up to `most`; it may be overdrawn."""

    rate: float
    most: float
    _left: float = field(init=False)
    _since: float | None = None

    def __post_init__(self) -> None:
        self._left = self.most

    def take(self, amount: float, now: float) -> None:
        """Use some of it."""
        self._fill(now)
        self._left -= amount

    def enough(self, amount: float, now: float) -> float:
        """When there is so much: `now`, or later."""
        self._fill(now)
        return now + max(amount - self._left, 0.0) / self.rate

    def _fill(self, now: float) -> None:
        if self._since is not None:
            self._left = min(self.most, self._left + (now - self._since) * self.rate)
        self._since = now
