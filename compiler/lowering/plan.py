"""Which form each structure of tables takes in an artefact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from wardgate.compiler.lowering import tunnel
from wardgate.compiler.lowering.survey import STRUCTURES, Candidate, Structure, Survey

Reach = Literal["plain", "paged", "ranked"]
Judge = Literal["plain", "paged"]
Route4 = Literal["trie", "search", "code"]
Route6 = Literal["search", "code"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A variant of each structure (see `survey`), and the parameters of those that have one.

    `route4_index_bits` is that of a search. A tunnel size is the addresses of its index, from the
    tunnel prefix's first on; 0: no index. What a policy does not use is 0, and the first variant.
    """

    reach: Reach
    judge: Judge
    route4: Route4
    route4_index_bits: int
    route6_index_bits: int
    tunnel4_size: int
    tunnel6_size: int
    route6: Route6 = "search"

    def parts(self) -> dict[Structure, tuple[str, int]]:
        """Variant and parameter of each structure, as candidates have them."""
        return {
            "route4": (self.route4, self.route4_index_bits if self.route4 == "search" else 0),
            "route6": (self.route6, self.route6_index_bits if self.route6 == "search" else 0),
            "reach": (self.reach, 0),
            "judge": (self.judge, 0),
            "tunnel4": ("index" if self.tunnel4_size else "hash", self.tunnel4_size),
            "tunnel6": ("index" if self.tunnel6_size else "hash", self.tunnel6_size),
        }


Choose = Callable[[Survey], Plan]


def chosen(plan: Plan, survey: Survey) -> dict[Structure, Candidate]:
    """The candidates that `plan` means, for the structures that the policy uses.

    ValueError where the survey does not have one.
    """
    found: dict[Structure, Candidate] = {}
    for structure, (variant, parameter) in plan.parts().items():
        if survey.of(structure):
            candidate = survey.find(structure, variant, parameter)
            if candidate is None:
                raise ValueError(f"the plan has {structure} as {variant} ({parameter}), which is not offered")
            found[structure] = candidate
    return found


def plan_of(candidates: dict[Structure, Candidate]) -> Plan:
    """The plan that means these candidates, one a structure; the inverse of `chosen`."""
    variants = {structure: found.variant for structure, found in candidates.items()}
    parameters = {structure: found.parameter for structure, found in candidates.items()}
    reach: Reach = "plain"
    if variants.get("reach") == "paged":
        reach = "paged"
    elif variants.get("reach") == "ranked":
        reach = "ranked"
    route4: Route4 = "trie"
    if variants.get("route4") == "search":
        route4 = "search"
    elif variants.get("route4") == "code":
        route4 = "code"
    return Plan(
        reach=reach,
        judge="paged" if variants.get("judge") == "paged" else "plain",
        route4=route4,
        route4_index_bits=parameters.get("route4", 0),
        route6_index_bits=parameters.get("route6", 0),
        tunnel4_size=parameters.get("tunnel4", 0),
        tunnel6_size=parameters.get("tunnel6", 0),
        route6="code" if variants.get("route6") == "code" else "search",
    )


def default_plan(survey: Survey) -> Plan:
    """The plan where nobody knows what a load costs: few loads, from tables that are not large.

    A load is taken to cost as the square root of the bytes that it is one of, as it roughly does over
    the caches of a processor. Tunnels are indexed: a hash costs more than any array. No straight-line code,
    which costs other things than loads.
    """
    found: dict[Structure, Candidate] = {}
    for structure in STRUCTURES:
        candidates = survey.of(structure)
        if not candidates:
            continue
        if structure in ("tunnel4", "tunnel6"):
            whole = max(candidate.parameter for candidate in candidates)
            size = whole if whole <= tunnel.WHOLE else tunnel.PART
            found[structure] = next(c for c in candidates if c.parameter == size)
        else:
            tables = [candidate for candidate in candidates if candidate.variant != "code"]
            found[structure] = min(tables, key=_weight)
    return plan_of(found)


_SMALL = 1 << 15


def _weight(candidate: Candidate) -> tuple[float, int]:
    return candidate.loads * sqrt(candidate.bytes + _SMALL), candidate.bytes
