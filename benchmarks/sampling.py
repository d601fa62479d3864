"""Many short runs, taken in turns, and what is said of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a number of runs: the least, the quartiles with the median, and the greatest, in their unit."""

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


Name = TypeVar("Name", bound=Hashable)


def interleave(contestants: Mapping[Name, Callable[[], float]], rounds: int) -> dict[Name, list[float]]:
    """Call each contestant once a round, in an order that turns by one each round, so that neither a
    slow spell of the machine nor a place behind the same other one falls to one of them alone."""
    names = list(contestants)
    samples: dict[Name, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            samples[name].append(contestants[name]())
    return samples


def added(samples: Mapping[Name, Sequence[float]], baseline: Name) -> dict[Name, Summary]:
    """What each contestant costs above the baseline.

    Median and quartiles are of the differences within a round. The least and the greatest are the
    difference of the two's own: the least difference would be that of the baseline's slowest run.
    """
    base = samples[baseline]
    found = {}
    for name, own in samples.items():
        if name == baseline:
            continue
        paired = Summary.of([mine - theirs for mine, theirs in zip(own, base, strict=True)])
        found[name] = replace(paired, minimum=min(own) - min(base), maximum=max(own) - max(base))
    return found
