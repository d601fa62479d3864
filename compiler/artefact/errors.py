"""Why no artefact was made, or one could not be read."""

from __future__ import annotations


class ArtefactError(Exception):
    """`operation` on `subject` failed because of `cause`; `remedy` says what to do about it."""

    def __init__(self, operation: str, subject: str, cause: str, remedy: str) -> None:
        super().__init__(f"cannot {operation} {subject}: {cause}\n{remedy}")
        self.operation = operation
        self.subject = subject
        self.cause = cause
        self.remedy = remedy


def unreadable(subject: str, cause: str) -> ArtefactError:
    """Of bytes that are not what they should be."""
    return ArtefactError(
        "read", subject, cause, "The file is damaged or not of Wardgate; compile the policy anew."
    )


def unfit(subject: str, cause: str) -> ArtefactError:
    """Of parts that do not make an artefact together."""
    return ArtefactError(
        "assemble", subject, cause, "This is a fault of the compiler, not of the policy: please report it."
    )
