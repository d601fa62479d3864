"""How often something may be done, by each and by all together: token buckets.

OWASP ASVS 5.0 asks for it where guessing pays (6.3.1) and where work is dear (2.4.1).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` times at once, and `per_minute` in the long run."""

    burst: int
    per_minute: float

    def __post_init__(self) -> None:
        if self.burst < 1 or self.per_minute <= 0:
            raise ValueError(
                f"a rate of {self.burst} at once and {self.per_minute} a minute lets nothing pass"
            )

    @property
    def per_second(self) -> float:
        return self.per_minute / 60


@dataclass(slots=True)
class _Bucket:
    """`level`: how often it might be done at the time `at`."""

    level: float
    at: float

    def filled(self, rate: Rate, now: float) -> float:
        return min(float(rate.burst), self.level + (now - self.at) * rate.per_second)


class Limiter:
    """Lets each key do something at the rate `each`, and all keys together at the rate `total`.

    Who is refused by their own rate takes nothing of everybody's. A bucket that is full again is forgotten;
    as others are only made within `total`, their number is bounded: by total.burst, and what `total` lets
    pass while a bucket fills.
    """

    def __init__(self, each: Rate, total: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._each = each
        self._total = total
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._all = _Bucket(total.burst, clock())
        self._prune_at = 64

    def take(self, key: str) -> float:
        """0 where `key` may do it now, else in how many seconds it may."""
        now = self._clock()
        bucket = self._buckets.get(key)
        level = bucket.filled(self._each, now) if bucket else float(self._each.burst)
        if level < 1:
            return (1 - level) / self._each.per_second
        together = self._all.filled(self._total, now)
        if together < 1:
            return (1 - together) / self._total.per_second
        self._all = _Bucket(together - 1, now)
        self._buckets[key] = _Bucket(level - 1, now)
        if len(self._buckets) > self._prune_at:
            self._prune(now)
        return 0.0

    def __len__(self) -> int:
        """Keys that are remembered."""
        return len(self._buckets)

    def _prune(self, now: float) -> None:
        """Forget those that are as if never seen. Twice as many as are left are let in before the next time,
        so that this costs little for each."""
        full = self._each.burst
        self._buckets = {
            key: bucket for key, bucket in self._buckets.items() if bucket.filled(self._each, now) < full
        }
        self._prune_at = max(64, 2 * len(self._buckets))


class Places:
    """How many of something may be there at the same time, for each key and for all together."""

    def __init__(self, each: int, total: int) -> None:
        self._each = each
        self._total = total
        self._taken: dict[str, int] = {}
        self._sum = 0

    def take(self, key: str) -> bool:
        """Whether there was a place; then `leave` must be called once."""
        if self._sum >= self._total or self._taken.get(key, 0) >= self._each:
            return False
        self._taken[key] = self._taken.get(key, 0) + 1
        self._sum += 1
        return True

    def leave(self, key: str) -> None:
        """Give a place back."""
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]
        self._sum -= 1

    def __len__(self) -> int:
        """Places that are taken."""
        return self._sum
