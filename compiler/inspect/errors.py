"""Why an artefact cannot be inspected."""

from __future__ import annotations


class InspectionError(Exception):
    """Part of an artefact (`subject`) is not what it has to be (`cause`); `remedy` says what to do."""

    def __init__(self, subject: str, cause: str, remedy: str = "compile the policy again") -> None:
        super().__init__(f"cannot inspect {subject}: {cause}")
        self.operation = "inspect"
        self.subject = subject
        self.cause = cause
        self.remedy = remedy
