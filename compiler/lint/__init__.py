"""The linter: rules that have no effect, rules that defeat others, prefixes that blank others, unused names.

`lint_policy` gives a `LintReport` of `Finding`s, each with its place, the rules that it comes from, and a
packet that the reference was asked about. `CODES` says what there is. `coverage_of` says which rules a
policy's tests decide by; `sarif_document` is what code hosts read. It needs no more than reading a policy
does: no numpy, no compilers.
"""

from wardgate.compiler.lint.codes import CODES
from wardgate.compiler.lint.coverage import Coverage, coverage_of
from wardgate.compiler.lint.findings import Finding, InconsistencyError, Witness
from wardgate.compiler.lint.linter import LintReport, lint_policy
from wardgate.compiler.lint.sarif import sarif_document

__all__ = [
    "CODES",
    "Coverage",
    "Finding",
    "InconsistencyError",
    "LintReport",
    "Witness",
    "coverage_of",
    "lint_policy",
    "sarif_document",
]
