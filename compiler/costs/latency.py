"""What a load costs that waits for the one before, by how much memory is loaded from.

The figures are those that a decision of an artefact is predicted with, whatever machine compiles it: the
same policy gives the same artefact everywhere. They are the least of several runs of
`benchmarks/latency.py` (a BPF program that follows a random chain through an array) on a virtual machine
with an AMD EPYC, 32 KiB of L1, 1 MiB of L2 and a shared L3, rounded. Another processor has the steps
elsewhere; the order of two plans rarely hangs on where.
"""

from __future__ import annotations

from bisect import bisect_right
from math import log2
from typing import Final

LINE: Final = 64
"""Bytes of a cache line."""

LATENCIES: Final = (
    (16 << 10, 1.8),
    (64 << 10, 4.0),
    (512 << 10, 6.0),
    (1 << 20, 10.0),
    (2 << 20, 16.0),
    (4 << 20, 40.0),
    (16 << 20, 90.0),
    (64 << 20, 130.0),
    (256 << 20, 180.0),
)
"""Bytes that loads are spread over evenly, and the ns of one."""


def spread(size: float) -> float:
    """ns of a load that is spread evenly over `size` bytes which nothing else competes with."""
    if size <= LATENCIES[0][0]:
        return LATENCIES[0][1]
    above = bisect_right(LATENCIES, size, key=lambda known: known[0])
    if above == len(LATENCIES):
        return LATENCIES[-1][1]
    (low, fast), (high, slow) = LATENCIES[above - 1], LATENCIES[above]
    return fast + (slow - fast) * log2(size / low) / log2(high / low)


def behind(occupied: float, size: float) -> float:
    """ns of a load spread over `size` bytes, where `occupied` bytes are asked for more often a byte, and so
    are what the caches keep first.

    With all of it, a load costs `spread(occupied + size)` on the average; what the bytes before take of
    that sum is known, the rest is of these.
    """
    if size <= 0:
        return spread(occupied)
    together = occupied + size
    return (together * spread(together) - occupied * spread(occupied)) / size
