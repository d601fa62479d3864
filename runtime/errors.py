"""The runtime's typed errors: each says which operation failed on what, why, and what to do.

`WardgateError` is what a caller catches to treat any refusal alike (the command line turns it into
exit status 3).
"""

from __future__ import annotations

import errno as errno_codes
import os

ENOTSUPP = 524
"""Kernel-internal code that bpf() lets out for unsupported operations (include/linux/errno.h)."""

TOO_MANY_FILES = "this process has too many open files: raise its limit (ulimit -n, LimitNOFILE=)"
"""What to do about EMFILE."""


class WardgateError(Exception):
    """A refusal with its parts as attributes.

    `operation` is a verb phrase ("create map"), `target` the object it was about ("devices"; may be
    empty), `cause` what went wrong, `remedy` what to do about it (may be empty).
    """

    def __init__(self, operation: str, target: str, cause: str, remedy: str = "") -> None:
        super().__init__(operation, target, cause, remedy)
        self.operation = operation
        self.target = target
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.operation} {self.target}" if self.target else self.operation
        return f"{where}: {self.cause}" + (f"; {self.remedy}" if self.remedy else "")


class ArtefactError(WardgateError):
    """The artefact is damaged, not an artefact, or of a format that this runtime does not know.

    `target` names the place: a section, with the offset in it where that helps.
    """

    def __init__(self, target: str, cause: str, remedy: str = "") -> None:
        super().__init__(
            "read artefact", target, cause, remedy or "compile the policy again, or copy the artefact again"
        )


class LayoutError(ArtefactError):
    """The artefact's maps or records are not those that this runtime knows (runtime.layout)."""

    def __init__(self, target: str, cause: str) -> None:
        super().__init__(target, cause, "compile the policy with the release that this runtime is of")


class MapMismatchError(WardgateError):
    """A map that exists already is not what the artefact needs."""


class VerifierError(WardgateError):
    """The kernel's verifier rejected a program; `str()` has at most three lines.

    `log` is the verifier's whole log; `location` is the policy or template line that it stopped at,
    as `file:line`, or None where the log does not tell; `excerpt` are the few lines that matter of it.
    """

    def __init__(
        self,
        target: str,
        cause: str,
        remedy: str,
        *,
        log: str,
        location: str | None,
        source: str | None,
        excerpt: tuple[str, ...] = (),
    ) -> None:
        super().__init__("load program", target, cause, remedy)
        self.log = log
        self.location = location
        self.source = source
        self.excerpt = excerpt

    def __str__(self) -> str:
        lines = [f"{self.operation} {self.target}: the verifier rejected it: {self.cause}"]
        if self.location:
            lines.append(f"at {self.location}" + (f": {self.source}" if self.source else ""))
        if self.remedy:
            lines.append(self.remedy)
        return "\n".join(lines)


class BpfError(WardgateError, OSError):
    """A bpf() call failed; `errno` is the kernel's code."""

    def __init__(self, operation: str, target: str, errno: int, remedy: str = "") -> None:
        WardgateError.__init__(self, operation, target, describe_errno(errno), remedy)
        OSError.__init__(self, errno, self.cause)

    __str__ = WardgateError.__str__


class PrivilegeError(BpfError):
    """A bpf() call was refused for want of privileges; `remedy` says which."""


class UnsupportedError(WardgateError):
    """This machine or kernel lacks something that the operation needs."""


def describe_errno(errno: int) -> str:
    """Text of an error number, with its symbol: `No such device (ENODEV)`."""
    if errno == ENOTSUPP:
        return "operation is not supported (ENOTSUPP)"
    symbol = errno_codes.errorcode.get(errno, str(errno))
    return f"{os.strerror(errno)} ({symbol})"
