"""Why a form was chosen, in a line."""

from __future__ import annotations

from wardgate.compiler.costs.choose import Decision
from wardgate.compiler.costs.prediction import loads_of
from wardgate.compiler.costs.sizes import size
from wardgate.compiler.lowering.survey import Structure


def form(structure: str, variant: str, parameter: int) -> str:
    """A form as people name it: `search, 12 index bits`."""
    if structure in ("route4", "route6") and variant == "search":
        return f"search, {parameter} index bits" if parameter else "search, no index"
    if variant == "code":
        return "straight-line code"
    if variant == "index":
        return f"index of {parameter:,} addresses"
    return variant


def reason(decision: Decision, structure: Structure) -> str:
    """What the runner-up of a structure has, and by how much the whole plan would be worse with it."""
    rejected = decision.rejected[structure]
    if rejected is None:
        return "nothing else fits"
    candidate, weight = rejected
    count = loads_of(candidate)
    loads = f"{count} load{'s' * (count != 1)}, " if count else ""
    worse = weight - decision.weight
    shown = form(structure, candidate.variant, candidate.parameter)
    return f"{shown}: {loads}{size(candidate.bytes)}, {worse:+.1f} ns"
