"""Many short runs, taken in turns, and what is said of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a number of runs: the least, the median, the quartiles and the greatest, in the runs' unit."""

    runs: int
    minimum: float
    lower: float
    median: float
    upper: float
    maximum: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary:
        """Of at least one run."""
        ordered = sorted(samples)
        if len(ordered) == 1:
            lower = upper = ordered[0]
        else:
            lower, _, upper = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(len(ordered), ordered[0], lower, statistics.median(ordered), upper, ordered[-1])

    @property
    def spread(self) -> float:
        """The distance of the quartiles: what half of the runs lie within."""
        return self.upper - self.lower

    def to_json(self) -> dict[str, float]:
        """For a results file."""
        return {**asdict(self), "spread": self.spread}


def interleave(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each contestant once a round, in an order that turns by one each round, so that neither a
    slow spell of the machine nor a place behind the same other one falls to one of them alone."""
    names = list(contestants)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            samples[name].append(contestants[name]())
    return samples


def added(samples: Mapping[str, Sequence[float]], baseline: str) -> dict[str, Summary]:
    """What each contestant costs above the baseline, run by run within a round."""
    base = samples[baseline]
    return {
        name: Summary.of([mine - theirs for mine, theirs in zip(found, base, strict=True)])
        for name, found in samples.items()
        if name != baseline
    }
