"""What applying a policy would do: what is wrong with it, and whose access it changes.

A plan is made twice, once to be looked at and once when it is applied. Its digest covers the policy that is
in force, the new one's text, and every difference between what the two mean, so what is applied is what was
looked at, also where a DNS name has other addresses meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.errors import RefusedError

if TYPE_CHECKING:
    from wardgate.compiler.language import Diagnostic, LoadedPolicy, Resolver
    from wardgate.compiler.language.model import Policy


@dataclass(frozen=True, slots=True)
class Plan:
    """`base`: the number of the policy in force, 0: none. `ok`: it has no error, and its tests and assertions
    hold. `diagnostics`: errors, warnings, tests and assertions that fail, as docs/json.md has them, and
    `diagnostics_text` the same for people. `difference`: as `wardgate diff --json` prints, None where the
    policy has errors, and `difference_text` as it shows it. `widens`: something passes that does not now."""

    digest: str
    base: int
    ok: bool
    widens: bool
    diagnostics: tuple[Mapping[str, Any], ...]
    diagnostics_text: str
    difference: Mapping[str, Any] | None
    difference_text: str


class PolicyRefusedError(RefusedError):
    """A policy with errors, or whose tests or assertions fail. `plan` says which."""

    def __init__(self, plan: Plan) -> None:
        count = sum(one["severity"] == "error" for one in plan.diagnostics)
        super().__init__(
            "apply policy",
            "",
            f"it has {count} error{'s' * (count != 1)}",
            "see wardgate check, and mend them",
        )
        self.plan = plan


class StalePlanError(RefusedError):
    """Since a plan was made, another policy came into force, or what it changes is something else."""

    def __init__(self, target: str, cause: str) -> None:
        super().__init__("apply policy", target, cause, "plan it again, and look at what changes")


def plan_change(
    base: int, old: Policy | None, bundle: Bundle, resolver: Resolver | None = None
) -> tuple[Plan, LoadedPolicy | None]:
    """What replacing policy `old`, whose number is `base` (None and 0: none is in force), by `bundle` would
    do, and the new policy where it has no errors in its text. Takes time: seconds for a large one.

    AnalysisError where an assertion or the difference is too much to be told.
    """
    from wardgate.compiler.checking import check_policy
    from wardgate.compiler.language import PolicyError, parse_policy_text

    try:
        loaded = parse_policy_text(bundle.files[bundle.main], bundle.main, bundle.files, resolver=resolver)
    except PolicyError as error:
        return _plan(base, bundle, error.diagnostics, ok=False), None
    report = check_policy(loaded.policy)
    told = (*loaded.warnings, *report.diagnostics())
    return _plan(base, bundle, told, ok=report.passed, policies=(old, loaded.policy)), loaded


def confirm(plan: Plan, seen: str) -> None:
    """That `plan` may be applied, for whoever has looked at the plan with digest `seen`.

    PolicyRefusedError where the policy is not in order; StalePlanError where they looked at another plan.
    """
    if not plan.ok:
        raise PolicyRefusedError(plan)
    if plan.digest != seen:
        raise StalePlanError("", "what it would change is not what the plan said")


def _plan(
    base: int,
    bundle: Bundle,
    told: Sequence[Diagnostic],
    *,
    ok: bool,
    policies: tuple[Policy | None, Policy] | None = None,
) -> Plan:
    widens, document, text = _difference(*policies) if policies else (False, None, "")
    content = json.dumps([base, bundle.digest, document], sort_keys=True, separators=(",", ":"))
    return Plan(
        hashlib.sha256(content.encode()).hexdigest(),
        base,
        ok,
        widens,
        tuple(one.to_json() for one in told),
        "\n".join(one.render() for one in told),
        document,
        text,
    )


def _difference(old: Policy | None, new: Policy) -> tuple[bool, Mapping[str, Any], str]:
    from wardgate.compiler.analysis.diff import compare
    from wardgate.compiler.analysis.difference_text import shown
    from wardgate.compiler.analysis.documents import difference_document
    from wardgate.compiler.analysis.policy_view import view_of_policy
    from wardgate.compiler.language import parse_policy_text

    before = parse_policy_text("version: 1\n").policy if old is None else old
    found = compare(view_of_policy(before, "in force"), view_of_policy(new, "new"))
    return found.widens, difference_document(found), "\n\n".join(shown(found))
