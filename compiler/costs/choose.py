"""The choice of a plan: of all that the survey of a policy offers, the one with the least weight.

A plan weighs its predicted ns (the mean over three kinds of traffic and the policy's IP versions) and its
bytes, 256 KiB as much as a ns: caches have other users than us, and a gate keeps two generations. What one
structure takes of the caches makes the loads of the others dearer, so plans are weighed whole. Nothing but
the policy goes into it: any machine chooses the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

from wardgate.compiler.costs.errors import TooLargeError
from wardgate.compiler.costs.memory import MOST_TABLE_BYTES
from wardgate.compiler.costs.prediction import Situation, part_of, predict
from wardgate.compiler.lowering.plan import Plan, chosen, plan_of
from wardgate.compiler.lowering.survey import STRUCTURES, Candidate, Structure, Survey
from wardgate.runtime.layout.maps import DEVICE_SLOTS

BYTES_A_NS: Final = 1 << 18
"""Bytes that a plan may take more for a ns less."""

MOST_DEVICES: Final = 1 << 17
"""Devices of the gate that predictions are for, where its tunnels have room for so many."""

_SHORT_CLASSES: Final = 1 << 16
_TUNNELS: Final[tuple[Structure, ...]] = ("tunnel4", "tunnel6")

Chosen = Mapping[Structure, Candidate]


@dataclass(frozen=True, slots=True)
class Decision:
    """The plan, the candidates that it means, and why: `rejected` has, for each structure, the candidate that
    would be next best with the rest of the plan as it is, and its weight (None: there is no other that
    fits). Weights are in ns; `considered` plans were weighed."""

    plan: Plan
    chosen: Chosen
    survey: Survey
    weight: float
    rejected: Mapping[Structure, tuple[Candidate, float] | None]
    considered: int


def situation(survey: Survey, *, ports: bool = True, mfa: bool = True, within: int = 0) -> Situation:
    """The gate that predictions for a policy are for."""
    rooms = [
        max(candidate.parameter for candidate in survey.of(tunnel))
        for tunnel in _TUNNELS
        if survey.of(tunnel)
    ]
    devices = min(rooms, default=DEVICE_SLOTS)
    return Situation(
        min(devices, MOST_DEVICES), 2 if survey.classes <= _SHORT_CLASSES else 4, ports, mfa, within
    )


def plan_bytes(chosen: Chosen, survey: Survey) -> int:
    """Bytes of all tables and tunnel indexes of a plan: what a budget is about."""
    return survey.constant_bytes + sum(candidate.bytes for candidate in chosen.values())


def choose(survey: Survey, budget: int | None = None) -> Decision:
    """The plan that is chosen, of those of at most `budget` bytes; None: of any size.

    From the smallest plan on, whatever one or two structures can better is bettered, by most first. So there
    may be a plan with less weight, but it is another in three structures at least.

    TooLargeError where no plan fits, or where the kernel would refuse some table of each.
    """
    offered = {structure: _loadable(survey, structure) for structure in STRUCTURES if survey.of(structure)}
    smallest = {name: min(found, key=lambda one: (one.bytes, one.loads)) for name, found in offered.items()}
    if budget is not None and plan_bytes(smallest, survey) > budget:
        raise TooLargeError(survey, smallest, plan_bytes(smallest, survey), budget, None)
    search = _Search(survey, budget)
    weighing = {name: _worth_weighing(found, survey) for name, found in offered.items()}
    best: Chosen = smallest
    weight = weigh(best, survey)
    while True:
        better = search.best(_singles(best, weighing))
        if better is None or better[0] >= weight:
            better = search.best(_pairs(best, weighing))
        if better is None or better[0] >= weight:
            break
        weight, best = better
    return _decision(best, weight, offered, search)


def justify(survey: Survey, plan: Plan, budget: int | None = None) -> Decision:
    """A plan that was not chosen here, with what speaks against it; ValueError where it is not offered."""
    best = chosen(plan, survey)
    offered = {structure: list(survey.of(structure)) for structure in best}
    return _decision(best, weigh(best, survey), offered, _Search(survey, budget))


def _decision(
    best: Chosen, weight: float, offered: Mapping[Structure, list[Candidate]], search: _Search
) -> Decision:
    rejected: dict[Structure, tuple[Candidate, float] | None] = {}
    for name, found in offered.items():
        other = search.best({**best, name: one} for one in found if one != best[name])
        rejected[name] = (other[1][name], other[0]) if other else None
    return Decision(plan_of(dict(best)), best, search.survey, weight, rejected, search.weighed)


@dataclass(slots=True)
class _Search:
    """Weighs plans that fit."""

    survey: Survey
    budget: int | None
    weighed: int = 0

    def best(self, plans: Iterable[Chosen]) -> tuple[float, Chosen] | None:
        """The one with the least weight, the first of equals; None where none fits."""
        found: tuple[float, Chosen] | None = None
        for plan in plans:
            if self.budget is not None and plan_bytes(plan, self.survey) > self.budget:
                continue
            self.weighed += 1
            weight = weigh(plan, self.survey)
            if found is None or weight < found[0]:
                found = weight, plan
        return found


def _singles(plan: Chosen, offered: Mapping[Structure, list[Candidate]]) -> Iterator[Chosen]:
    for name, candidates in offered.items():
        for candidate in candidates:
            yield {**plan, name: candidate}


def _pairs(plan: Chosen, offered: Mapping[Structure, list[Candidate]]) -> Iterator[Chosen]:
    for (one, of_one), (other, of_other) in combinations(offered.items(), 2):
        for first, second in product(of_one, of_other):
            yield {**plan, one: first, other: second}


def weigh(chosen: Chosen, survey: Survey) -> float:
    """The weight of a plan, in ns."""
    return predict(chosen, survey, situation(survey)).mean + plan_bytes(chosen, survey) / BYTES_A_NS


def _loadable(survey: Survey, structure: Structure) -> list[Candidate]:
    """The candidates that the kernel would take."""
    candidates = survey.of(structure)
    found = [candidate for candidate in candidates if candidate.bytes <= MOST_TABLE_BYTES]
    if not found:
        least = min(candidates, key=lambda candidate: candidate.bytes)
        raise TooLargeError(survey, {structure: least}, least.bytes, MOST_TABLE_BYTES, structure)
    return found


def _worth_weighing(candidates: Iterable[Candidate], survey: Survey) -> list[Candidate]:
    """Without those that another one beats, or equals, in all that goes into a weight."""
    devices = situation(survey).devices
    kept: list[tuple[tuple[float, ...], Candidate]] = []
    for candidate in candidates:
        part = part_of(candidate, devices)
        merits = (part.work, part.loads, part.touched, candidate.bytes)
        if any(_no_worse(other, merits) for other, _ in kept):
            continue
        kept = [found for found in kept if not _no_worse(merits, found[0])]
        kept.append((merits, candidate))
    return [candidate for _, candidate in kept]


def _no_worse(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))
