"""What can go wrong when an artefact is read and interpreted."""

from __future__ import annotations


class VmError(Exception):
    """Base of the interpreter's errors."""


class ImageError(VmError):
    """The object is not an artefact that can be interpreted: damaged, or using what nothing here knows."""


class ProgramError(VmError):
    """A program did what the kernel's verifier would not let it do, or ran out of its budget.

    `program` is the entry point, `pc` the instruction's index in the image (None: the end of the
    program), `instruction` its text, `cause` what was wrong.
    """

    def __init__(self, program: str, pc: int | None, instruction: str, cause: str) -> None:
        place = "at its end" if pc is None else f"instruction {pc} ({instruction})"
        super().__init__(f"{program}: {place}: {cause}")
        self.program, self.pc, self.instruction, self.cause = program, pc, instruction, cause


class AccessError(VmError):
    """A memory access or a helper's argument is invalid; the machine adds where it happened."""
