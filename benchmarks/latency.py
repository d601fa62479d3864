"""How long a program of this machine waits for memory: random loads from arrays of several sizes.

What a decision costs beyond the caches is a number of such loads, so these figures say what to expect.
"""

from __future__ import annotations

import random
import struct
from typing import Any, Final

from wardgate.runtime.testrun import test_run

from benchmarks.programs import build, fill_array, load
from benchmarks.replay import PASSED, ReplayError, frame
from benchmarks.sampling import Summary

SIZES: Final = tuple(1 << power for power in (14, 18, 19, 20, 21, 22, 24, 26))
"""Bytes."""
_LINE: Final = 64
_STEPS: Final = 64
_LONGEST: Final = 20_000


def measure(sizes: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """ns a load, for each size of the array; the runs follow one another, since nothing is compared."""
    spec = build("latency.c", {})
    packet = frame(4, 6)
    found = []
    for size in sizes:
        count = size // _LINE
        with load(spec, resize={"lines": count}) as loaded:
            fill_array(loaded.maps["lines"], chain(count))
            program = loaded.programs["follow"]
            repeat = min(max(2 * count // _STEPS, 100), _LONGEST)
            samples = []
            for _ in range(rounds + 1):
                run = test_run(program, packet, repeat=repeat, want_data=False)
                if run.retval != PASSED["tc"]:
                    raise ReplayError("the chain of loads is broken")
                samples.append(run.duration_ns / _STEPS)
            # The first brings the array into the caches, as far as it fits.
            found.append({"bytes": size, "load_ns": Summary.of(samples[1:]).to_json()})
    return found


def chain(count: int) -> bytes:
    """Lines each of which has the index of another, in one circle through all, in random order."""
    order = list(range(1, count))
    random.Random(1).shuffle(order)  # noqa: S311 - the same numbers each time are what is wanted
    following = [0] * count
    for here, there in zip([0, *order], [*order, 0], strict=True):
        following[here] = there
    return b"".join(struct.pack("<I60x", one) for one in following)
