"""What clang and LLVM say about a program, as data.

The generated C carries `#line` directives, so that the places here are lines of policy files and
templates wherever the C came from one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# `file:line:column: kind: message` is how clang states it (with -fno-color-diagnostics). LLVM's code
# generator puts the kind first and the function after the place: `error: file:3:1: in function f: ...`.
_CLANG = re.compile(r"^(?P<file>[^\n]+?):(?P<line>\d+):(?P<column>\d+): (?P<kind>[a-z ]+): (?P<message>.*)$")
_CODEGEN = re.compile(
    r"^(?P<kind>error|warning): (?P<file>[^\n]+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)$"
)
_ERRORS = ("error", "fatal error")
_NOISE = ("Stack dump:", "PLEASE submit", "#")
_RELEVANT_LINES = 6


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A complaint. `kind` is `error`, `fatal error`, `warning` or `note`; `excerpt` is the line of C
    that it is about with its caret, or empty."""

    file: str
    line: int
    column: int
    kind: str
    message: str
    excerpt: str = ""

    @property
    def is_error(self) -> bool:
        """Whether this stopped the compiler."""
        return self.kind in _ERRORS

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column}: {self.kind}: {self.message}"
        return f"{head}\n{self.excerpt}" if self.excerpt else head


def parse_diagnostics(stderr: str) -> tuple[Diagnostic, ...]:
    """The complaints in a compiler's error output, in its order; other lines are left out."""
    found: list[Diagnostic] = []
    excerpt: list[str] = []

    def close() -> None:
        if found and excerpt:
            last = found[-1]
            found[-1] = Diagnostic(
                last.file, last.line, last.column, last.kind, last.message, "\n".join(excerpt)
            )
        excerpt.clear()

    for line in stderr.splitlines():
        # LLVM's form first: read as clang's, its `error: ` would become part of the file name.
        match = _CODEGEN.match(line) or _CLANG.match(line)
        if match:
            close()
            found.append(
                Diagnostic(
                    match["file"], int(match["line"]), int(match["column"]), match["kind"], match["message"]
                )
            )
        elif line.startswith(" ") and found:
            excerpt.append(line)
        else:
            close()
    close()
    return tuple(found)


def relevant_lines(stderr: str) -> str:
    """Of an error output without a placed error, the lines that speak of one; without such, the first
    lines. Stack dumps are left out."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith(_NOISE)]
    errors = [line for line in lines if "error" in line.lower()]
    return "\n".join((errors or lines)[:_RELEVANT_LINES])
