"""The one clock of sessions, flows and events: CLOCK_BOOTTIME in nanoseconds.

Programs read it with bpf_ktime_get_boot_ns (helper 125). It runs on while the machine is suspended,
so a session that was granted for ten minutes is over ten minutes later whatever the machine did.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

NS_PER_SECOND: Final = 1_000_000_000


def now() -> int:
    """Nanoseconds since boot, suspension included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def nanoseconds(seconds: float) -> int:
    """`seconds` as whole nanoseconds; at least 1 where `seconds` is above 0."""
    return max(round(seconds * NS_PER_SECOND), 1) if seconds > 0 else round(seconds * NS_PER_SECOND)


def wall(moment: int) -> datetime:
    """The time of day (UTC) of `moment`, by how the two clocks stand to each other now."""
    return datetime.now(UTC) + timedelta(microseconds=(moment - now()) // 1000)
