"""What clang and LLVM say about a program, as data.

The generated C carries `#line` directives, so that the places here are lines of policy files and
templates wherever the C came from one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

# `file:line:column: kind: message` is how clang states it (with -fno-color-diagnostics). LLVM's code
# generator puts the kind first and the function after the place: `error: file:3:1: in function f: ...`.
_CLANG = re.compile(r"^(?P<file>[^\n]+?):(?P<line>\d+):(?P<column>\d+): (?P<kind>[a-z ]+): (?P<message>.*)$")
_CODEGEN = re.compile(
    r"^(?P<kind>error|warning): (?P<file>[^\n]+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)$"
)
# What clang adds where LLVM's place is not one of clang's: the place.
_BETTER_PLACE = re.compile(
    r"^could not determine the original source location for (?P<file>.+?):(?P<line>\d+):(?P<column>\d+)$"
)
# A node of the code generator: `0x7feb...: i64 = GlobalAddress<ptr @name> 0, file:6:60 too many arguments`.
_NODE = re.compile(
    r"^0x[0-9a-f]+: \S+ = \w+<ptr @(?P<name>[^>]+)> \d+"
    r"(?:, (?P<file>[^,]+?):(?P<line>\d+):(?P<column>\d+))? (?P<rest>.*)$"
)
_UNKNOWN = "<unknown>"
_ERRORS = ("error", "fatal error")
_NOISE = ("Stack dump:", "PLEASE submit", "#")
_RELEVANT_LINES = 6


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A complaint. `kind` is `error`, `fatal error`, `warning` or `note`; `excerpt` is the line of C
    that it is about with its caret, or empty. Of one about nothing in the C, `file` is `<unknown>`."""

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
        place = "" if self.file == _UNKNOWN else f"{self.file}:{self.line}:{self.column}: "
        head = f"{place}{self.kind}: {self.message}"
        return f"{head}\n{self.excerpt}" if self.excerpt else head


def parse_diagnostics(stderr: str) -> tuple[Diagnostic, ...]:
    """The complaints in a compiler's error output, in its order, each once; other lines are left out."""
    found: list[Diagnostic] = []
    excerpt: list[str] = []

    def close() -> None:
        if found and excerpt:
            found[-1] = replace(found[-1], excerpt="\n".join(excerpt))
        excerpt.clear()

    for line in stderr.splitlines():
        # LLVM's form first: read as clang's, its `error: ` would become part of the file name.
        match = _CODEGEN.match(line) or _CLANG.match(line)
        if match:
            close()
            place = match["file"], int(match["line"]), int(match["column"])
            better = _BETTER_PLACE.match(match["message"])
            if better is None:
                found.append(_plain(Diagnostic(*place, match["kind"], match["message"])))
            elif found and int(better["line"]) and not _is_refined(found[-1], place):
                # Clang knew the function, the code generator the line in it.
                there = better["file"], int(better["line"]), int(better["column"])
                found[-1] = replace(found[-1], file=there[0], line=there[1], column=there[2], excerpt="")
        elif line.startswith(" ") and found:
            excerpt.append(line)
        else:
            close()
    close()
    return tuple(dict.fromkeys(found))


def _is_refined(diagnostic: Diagnostic, place: tuple[str, int, int]) -> bool:
    """Whether a diagnostic has another place already than the one that a note about it has."""
    return (diagnostic.file, diagnostic.line, diagnostic.column) != place


def _plain(diagnostic: Diagnostic) -> Diagnostic:
    """Without the code generator's own names for what it complains of, which are not the same twice."""
    node = _NODE.match(diagnostic.message)
    if node is None:
        return diagnostic
    message = f"{node['name']}: {node['rest']}"
    if node["file"] is None:
        return replace(diagnostic, message=message)
    return replace(
        diagnostic, file=node["file"], line=int(node["line"]), column=int(node["column"]), message=message
    )


def relevant_lines(stderr: str) -> str:
    """Of an error output without a placed error, the lines that speak of one; without such, the first
    lines. Stack dumps are left out."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith(_NOISE)]
    errors = [line for line in lines if "error" in line.lower()]
    return "\n".join((errors or lines)[:_RELEVANT_LINES])
