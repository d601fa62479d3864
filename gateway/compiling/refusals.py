"""What the compiler refuses, for those who asked the gateway and not the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.artefact.errors import ArtefactError
from wardgate.compiler.backend.errors import BackendError
from wardgate.compiler.costs.errors import BudgetError
from wardgate.compiler.language import PolicyError
from wardgate.compiler.validation.errors import ValidationError
from wardgate.gateway.errors import RefusedError

_Partly = AnalysisError | ArtefactError | BackendError | BudgetError | ValidationError
REFUSALS: Final = (AnalysisError, ArtefactError, BackendError, BudgetError, PolicyError, ValidationError)
"""All that compiling a policy, or comparing it, may raise."""


def told(error: _Partly | PolicyError) -> tuple[RefusedError, tuple[Mapping[str, Any], ...]]:
    """The same as an error of the gateway, and what is wrong at which place of the policy."""
    if isinstance(error, PolicyError):
        count = len(error.errors)
        cause = f"it has {count} error{'s' * (count != 1)}: {error.errors[0].message}"
        documents = tuple(one.to_json() for one in error.diagnostics)
        return RefusedError("read policy", str(error.errors[0].position), cause, "mend them"), documents
    found = RefusedError(f"{error.operation} policy", error.subject, error.cause.strip(), error.remedy)
    return found, tuple(error.to_json()) if isinstance(error, BudgetError) else ()


def of_the_policy(error: Exception) -> bool:
    """Whether it is the policy's author who can mend it."""
    return isinstance(error, PolicyError | BudgetError)
