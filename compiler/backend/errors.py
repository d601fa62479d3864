"""Why no object came out of a backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wardgate.compiler.backend.diagnostics import Diagnostic

_LISTED_ERRORS: Final = 20


class BackendError(Exception):
    """`operation` on `subject` failed because of `cause`; `remedy` says what to do about it.

    `diagnostics` are the places that a compiler blamed, in policy files, templates or the generated
    C; empty where it named none.
    """

    def __init__(
        self,
        operation: str,
        subject: str,
        cause: str,
        remedy: str,
        diagnostics: Sequence[Diagnostic] = (),
    ) -> None:
        gap = "" if cause.startswith("\n") else " "
        super().__init__(f"cannot {operation} {subject}:{gap}{cause}\n{remedy}")
        self.operation = operation
        self.subject = subject
        self.cause = cause
        self.remedy = remedy
        self.diagnostics = tuple(diagnostics)


class ClangNotFoundError(BackendError):
    """No clang fits; `refused` has each candidate and why it was refused, in the order of search."""

    def __init__(self, refused: Sequence[tuple[str, str]]) -> None:
        self.refused = tuple(refused)
        super().__init__(
            "find",
            "a clang that compiles for BPF",
            "".join(f"\n  {candidate}: {why}" for candidate, why in refused),
            "Install one with `pip install 'wardgate[compiler]'`, or name one: --clang or WARDGATE_CLANG.",
        )


def listed(errors: Sequence[Diagnostic]) -> str:
    """The first of these errors, a line each, and how many more there are."""
    shown = "".join(f"\n{error}" for error in errors[:_LISTED_ERRORS])
    more = len(errors) - _LISTED_ERRORS
    return shown + (f"\nand {more} more errors" if more > 0 else "")
