"""The choice for a policy, and what is said of one that is too large."""

from __future__ import annotations

from typing import Final

from wardgate.compiler.costs.attribution import culprits
from wardgate.compiler.costs.choose import choose
from wardgate.compiler.costs.errors import BudgetError, TooLargeError
from wardgate.compiler.costs.sizes import enough, size
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.plan import Choose, Plan
from wardgate.compiler.lowering.survey import Survey

_CONSTANT: Final = "services and buckets"
_REMEDIES: Final = {
    "route4": "name fewer IPv4 prefixes: larger ones, or neighbours as one",
    "route6": "name fewer IPv6 prefixes: larger ones, or neighbours as one",
    "reach": "let more users have the same groups, or name fewer prefixes",
    "judge": "name ranges of ports rather than single ones, or the same services in more rules",
    "tunnel4": "give devices a smaller IPv4 tunnel prefix",
    "tunnel6": "give devices a smaller IPv6 tunnel prefix",
    _CONSTANT: "let fewer groups have rules for the same prefix",
}
"""What to change where a structure takes the most."""


def planner(policy: Policy, budget: int | None = None) -> Choose:
    """What chooses the plan of `policy`, within `budget` bytes if that is not None; BudgetError where none
    fits."""

    def plan(survey: Survey) -> Plan:
        try:
            return choose(survey, budget).plan
        except TooLargeError as error:
            raise refuse(policy, error) from None

    return plan


def refuse(policy: Policy, error: TooLargeError) -> BudgetError:
    """The error for people, of a policy for which `choose` found no plan."""
    survey = error.survey
    taken: dict[str, int] = {name: candidate.bytes for name, candidate in error.smallest.items()}
    if error.structure is None:
        taken[_CONSTANT] = survey.constant_bytes
        cause = f"its tables take {size(error.needed)} at least, the budget is {size(error.allowed)}"
        more = f"; or compile with --budget {enough(error.needed)}"
    else:
        cause = (
            f"table {error.structure} would have {size(error.needed)}, "
            f"and no kernel lets a program reach beyond {size(error.allowed)} of a table"
        )
        more = ""
    ordered = {name: count for name, count in sorted(taken.items(), key=lambda item: -item[1]) if count}
    return BudgetError(
        policy.files[0].name,
        f"{cause} ({_extent(survey)})",
        _REMEDIES[next(iter(ordered))] + more,
        needed=error.needed,
        allowed=error.allowed,
        structures=ordered,
        culprits=culprits(policy, survey, error.smallest),
    )


def _extent(survey: Survey) -> str:
    """How large the policy is, in what tables grow by."""
    return (
        f"{survey.rules:,} rules, {survey.classes - 1:,} policy classes, "
        f"{survey.destinations - 1:,} prefixes, "
        f"{survey.services:,} service classes, {survey.buckets:,} buckets"
    )
