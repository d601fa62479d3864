"""What the kernel's clocks say to a program: a time and a tick.

The time is CLOCK_BOOTTIME (bpf_ktime_get_boot_ns), the tick the kernel's jiffies (bpf_jiffies64). They
move apart when a machine is suspended: the time goes on, the tick does not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Protocol

TICK_NS: Final = 4_000_000
"""A tick of Debian's kernels, whose CONFIG_HZ is 250."""

FIRST_TICK: Final = 1 << 32
"""The kernel does not count ticks from 0 either (INITIAL_JIFFIES in include/linux/jiffies.h): a record
that nothing has written never holds a tick that has been."""


class Clock(Protocol):
    """Time and tick of a machine."""

    def now(self) -> int:
        """CLOCK_BOOTTIME in nanoseconds."""

    def tick(self) -> int:
        """Ticks, of which there have been FIRST_TICK at least."""


class HostClock:
    """The clock of the machine that the interpreter runs on."""

    def now(self) -> int:
        """CLOCK_BOOTTIME in nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def tick(self) -> int:
        """Ticks while this machine was not suspended."""
        return FIRST_TICK + time.clock_gettime_ns(time.CLOCK_MONOTONIC) // TICK_NS


@dataclass(slots=True)
class SetClock:
    """A clock that stands still until it is moved."""

    time: int
    """CLOCK_BOOTTIME in nanoseconds."""
    ticks: int = FIRST_TICK

    def now(self) -> int:
        """The time that was set."""
        return self.time

    def tick(self) -> int:
        """The tick that was set."""
        return self.ticks

    def run(self, ns: int) -> None:
        """Let `ns` nanoseconds pass, and the ticks that are in them, but one at least."""
        self.time += ns
        self.ticks += max(ns // TICK_NS, 1)

    def suspend(self, ns: int) -> None:
        """Let `ns` nanoseconds pass without a tick, as while a machine is suspended."""
        self.time += ns
