"""What applying a policy would do: what is wrong with it, and whose access it changes.

A plan is made twice, once to be looked at and once when it is applied. Its digest covers the policy that is
in force, the new one's text, and every difference between what the two mean, so what is applied is what was
looked at, also where a DNS name has other addresses meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wardgate.compiler.language import PolicyError
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.policies import Composed, check, difference
from wardgate.gateway.errors import InvalidError, RefusedError


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


def planned(
    base: int, old: Composed, bundle: Bundle, composed: Callable[[], Composed]
) -> tuple[Plan, Composed | None]:
    """What replacing policy `old`, whose number is `base`, by `bundle` would do, and the new policy as it
    would be enforced, which `composed` gives, unless it has errors. Takes time: seconds for a large one.

    AnalysisError where an assertion or the difference is too much to be told.
    """
    try:
        new = composed()
    except PolicyError as error:
        documents = tuple(one.to_json() for one in error.diagnostics)
        return _plan(base, bundle, documents, [one.render() for one in error.diagnostics]), None
    except InvalidError as error:
        document = {"severity": "error", "code": "gateway", "message": error.cause, "remedy": error.remedy}
        text = f"{bundle.main}: error: {error.cause}\n  help: {error.remedy}"
        return _plan(base, bundle, ({**document, "file": bundle.main, "line": 1, "column": 1},), [text]), None
    checked = check(new)
    found = difference(old, new)
    return Plan(
        _digest(base, bundle, found.document),
        base,
        not checked.failures,
        found.widens,
        checked.documents,
        "\n".join([*checked.failures, *checked.warnings]),
        found.document,
        found.text,
    ), new


def confirm(plan: Plan, seen: str) -> None:
    """That `plan` may be applied, for whoever has looked at the plan with digest `seen`.

    PolicyRefusedError where the policy is not in order; StalePlanError where they looked at another plan.
    """
    if not plan.ok:
        raise PolicyRefusedError(plan)
    if plan.digest != seen:
        raise StalePlanError("", "what it would change is not what the plan said")


def _plan(base: int, bundle: Bundle, documents: tuple[Mapping[str, Any], ...], texts: list[str]) -> Plan:
    """Of a policy that cannot be enforced."""
    return Plan(
        _digest(base, bundle, None), base, ok=False, widens=False, diagnostics=documents,
        diagnostics_text="\n".join(texts), difference=None, difference_text="",
    )  # fmt: skip


def _digest(base: int, bundle: Bundle, document: Mapping[str, Any] | None) -> str:
    content = json.dumps([base, bundle.digest, document], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()
