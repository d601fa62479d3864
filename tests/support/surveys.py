"""Surveys of made-up policies, for tests of what is chosen from them."""

from __future__ import annotations

from wardgate.compiler.lowering.plan import Plan, plan_of
from wardgate.compiler.lowering.survey import STRUCTURES, Candidate, Structure, Survey

KIB, MIB = 1 << 10, 1 << 20


def candidate(
    structure: Structure,
    variant: str,
    parameter: int = 0,
    *,
    loads: int = 1,
    steps: int = 0,
    size: int = KIB,
    touched: int | None = None,
    wide: bool = False,
) -> Candidate:
    """A candidate of which, unless it is said otherwise, all is touched."""
    return Candidate(
        structure, variant, parameter, loads, steps, size, size if touched is None else touched, wide
    )


def survey(*candidates: Candidate, rules: int = 100, classes: int = 10, constant: int = 4 * KIB) -> Survey:
    """A survey that offers these."""
    return Survey(
        candidates=candidates,
        classes=classes,
        destinations=rules,
        services=20,
        buckets=rules,
        rules=rules,
        patterns=rules // 2,
        inbound=False,
        constant_bytes=constant,
    )


def tiny() -> Survey:
    """Some rules: everything fits the first cache, whatever is chosen."""
    return survey(
        candidate("route4", "trie", loads=3, size=128 * KIB + 4 * KIB, touched=3 * KIB),
        candidate("route4", "search", 0, loads=3, steps=2, size=64),
        candidate("route4", "search", 16, loads=4, steps=2, size=64 * KIB + 64, touched=128),
        candidate("reach", "plain", size=200),
        candidate("reach", "paged", loads=2, size=300),
        candidate("judge", "plain", size=100),
        candidate("judge", "paged", loads=2, size=300),
        candidate("tunnel4", "hash", 0, loads=0, size=0),
        candidate("tunnel4", "index", 256, size=2 * KIB),
        rules=10,
        constant=3 * KIB,
    )


def large() -> Survey:
    """A thousand classes of users and tens of thousands of prefixes of both IP versions."""
    return survey(
        candidate("route4", "trie", loads=3, size=9 * MIB, touched=3 * MIB),
        candidate("route4", "search", 0, loads=16, steps=15, size=240 * KIB),
        candidate("route4", "search", 12, loads=10, steps=8, size=250 * KIB),
        candidate("route4", "search", 16, loads=8, steps=6, size=370 * KIB),
        candidate("route6", "search", 0, loads=14, steps=13, size=200 * KIB, wide=True),
        candidate("route6", "search", 16, loads=9, steps=7, size=330 * KIB, wide=True),
        candidate("reach", "plain", size=64 * MIB),
        candidate("reach", "paged", loads=2, size=20 * MIB),
        candidate("reach", "ranked", loads=4, size=3 * MIB),
        candidate("judge", "plain", size=2 * MIB),
        candidate("judge", "paged", loads=2, size=300 * KIB),
        candidate("tunnel4", "hash", 0, loads=0, size=0),
        candidate("tunnel4", "index", 65_536, size=512 * KIB),
        candidate("tunnel4", "index", 1 << 20, size=8 * MIB),
        rules=100_000,
        classes=1_000,
        constant=MIB,
    )


FORMS = 5
"""How many plans `covering` gives."""

_FORMS: tuple[dict[Structure, tuple[str, int]], ...] = (
    {"route4": ("trie", 0), "route6": ("search", 0), "reach": ("plain", 0), "judge": ("plain", 0)},
    {"route4": ("search", 0), "route6": ("search", 3), "reach": ("paged", 0), "judge": ("paged", 0)},
    {"route4": ("search", 7), "route6": ("search", 16), "reach": ("ranked", 0), "judge": ("plain", 0)},
    {"route4": ("search", 16), "route6": ("search", 9), "reach": ("ranked", 0), "judge": ("paged", 0)},
    {"route4": ("code", 0), "route6": ("code", 0), "reach": ("paged", 0), "judge": ("plain", 0)},
)


def covering(survey: Survey, form: int) -> Plan:
    """One of FORMS plans, which together have each variant of each structure; instead of one that the policy
    is too large for, a search. Tunnels have an index in one and a hash in the next."""
    found: dict[Structure, Candidate] = {}
    for structure in STRUCTURES:
        candidates = survey.of(structure)
        if candidates:
            variant, parameter = _FORMS[form].get(structure, ("hash" if form % 2 else "index", 0))
            fitting = [one for one in candidates if one.variant == variant]
            fitting = fitting or [one for one in candidates if one.variant == "search"]
            found[structure] = min(fitting, key=lambda one: abs(one.parameter - parameter))
    return plan_of(found)


def straight_line(survey: Survey) -> Plan:
    """The plan with straight-line code wherever it is offered."""
    return covering(survey, FORMS - 1)
