"""What an analysis cannot answer, and why."""

from __future__ import annotations


class AnalysisError(Exception):
    """A question without an answer: `operation` on `subject` fails because of `cause`; `remedy` says what to
    do.

    It is never raised in place of a "no": whoever gets it knows nothing.
    """

    def __init__(self, operation: str, subject: str, cause: str, remedy: str) -> None:
        super().__init__(f"cannot {operation} {subject}: {cause}; {remedy}")
        self.operation = operation
        self.subject = subject
        self.cause = cause
        self.remedy = remedy
