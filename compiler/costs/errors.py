"""A policy that is too large for its budget, or for any kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wardgate.compiler.lowering.survey import Candidate, Structure, Survey

if TYPE_CHECKING:
    from wardgate.compiler.costs.attribution import Culprit


class TooLargeError(Exception):
    """No plan fits.

    `smallest` are the candidates with the least bytes, which need `needed` bytes where `allowed` are there.
    `structure` is the one that the kernel would take in no form; None where the budget is at fault.
    """

    def __init__(
        self,
        survey: Survey,
        smallest: Mapping[Structure, Candidate],
        needed: int,
        allowed: int,
        structure: Structure | None,
    ) -> None:
        super().__init__(f"{needed} bytes are needed, {allowed} allowed")
        self.survey = survey
        self.smallest = smallest
        self.needed = needed
        self.allowed = allowed
        self.structure = structure


class BudgetError(Exception):
    """The policy's tables are larger than the budget, or than any kernel takes, in every form.

    `needed` and `allowed` are bytes; `structures` has those of each structure of the smallest plan;
    `culprits` are the parts of the policy that most of it comes from, by kind and size.
    """

    def __init__(
        self,
        subject: str,
        cause: str,
        remedy: str,
        *,
        needed: int,
        allowed: int,
        structures: Mapping[str, int],
        culprits: tuple[Culprit, ...],
    ) -> None:
        super().__init__(f"{subject}: {cause}")
        self.operation = "compile"
        self.subject = subject
        self.cause = cause
        self.remedy = remedy
        self.needed = needed
        self.allowed = allowed
        self.structures = structures
        self.culprits = culprits

    def to_json(self) -> list[dict[str, Any]]:
        """The culprits as diagnostics."""
        return [
            {
                "severity": "error",
                "code": "budget",
                "message": f"about {culprit.bytes:,} bytes go with {culprit}",
                "file": culprit.position.file,
                "line": culprit.position.line,
                "column": culprit.position.column,
                "bytes": culprit.bytes,
            }
            for culprit in self.culprits
        ]
