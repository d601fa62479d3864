"""Reads a verifier log: what was rejected, and which line of the policy or template it comes from.

The log's form is no interface of the kernel. What is relied on here holds from 6.1 to 6.18 (functions
verbose and print_bpf_insn of kernel/bpf/verifier.c and disasm.c): instructions as `12: (85) call ...`,
source lines as `; text`, with ` @ file.c:12` since 6.10, and the complaint before the closing
statistics. Of a log of another form the last lines are shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.relocate import SourceLine

_INSTRUCTION: Final = re.compile(r"^(?:from \d+ to )?(\d+): (?:\([0-9a-f]{2}\)|R\d|frame\d)")
_MENTION: Final = re.compile(r"\binsn (\d+)")
_SOURCE: Final = re.compile(r"^; (?P<text>.*?)(?: @ (?P<file>[^:]+):(?P<line>\d+))?$")
_STATISTICS: Final = re.compile(
    r"^(processed \d+ insns|verification time|stack depth|max_states_per_insn|peak_states|insns processed)"
)
_STATE: Final = re.compile(
    r"^(?:\d+: )?(?:\s*frame\d+: )?(?:R\d+(?:_\w+)*=|fp-\d+)"
    r"|^(?:from \d+ to \d+|last_idx|first_idx|regs=|mark_precise|parent |propagating|caller:|callee:"
    r"|returning from callee|to caller at)"
)

_REMEDIES: Final = (
    (r"unknown func|invalid func|cannot (use|call) helper|program of this type cannot use helper",
     "this kernel lacks a function that the artefact calls: run a newer kernel"),
    (r"too large|too complex|too many (states|jumps)|Processed \d+ insn|exceeds? .*limit|combined stack",
     "the program is over a limit of the verifier: compile a policy with fewer features, or report it"),
    (r"GPL|license", "the artefact's licence section must be GPL-compatible: compile it again"),
    (r"BTF|line_info|func_info|func#",
     "the kernel does not accept the artefact's types: compile it again with this release"),
)  # fmt: skip
_DEFAULT_REMEDY: Final = (
    "this is a fault of the compiler, not of the policy: report it with the log (--verbose)"
)
_LONGEST: Final = 240


@dataclass(frozen=True, slots=True)
class Rejection:
    """`location` is `file:line` or None; `source` the text of that line, `index` the instruction."""

    cause: str
    location: str | None
    source: str | None
    index: int | None
    remedy: str


def read_log(log: str, lines: Sequence[SourceLine]) -> Rejection:
    """What `log` says of a program whose source lines are `lines`, sorted by index."""
    rows = [row.rstrip() for row in log.replace("\0", "").splitlines() if row.strip()]
    while rows and _STATISTICS.match(rows[-1]):
        rows.pop()
    cause = _cause(rows)
    index = _index(rows, cause)
    location, source = _from_lines(lines, index)
    if location is None:
        location, source = _from_comments(rows)
    remedy = next((text for pattern, text in _REMEDIES if re.search(pattern, cause)), _DEFAULT_REMEDY)
    return Rejection(cause, location, source, index, remedy)


def _cause(rows: list[str]) -> str:
    for row in reversed(rows):
        if not (_INSTRUCTION.match(row) or _STATE.match(row) or row.startswith(";")):
            return row[:_LONGEST]
    return (" | ".join(rows[-2:]) or "it gave no reason")[:_LONGEST]


def _index(rows: list[str], cause: str) -> int | None:
    mentioned = _MENTION.search(cause)
    if mentioned:
        return int(mentioned[1])
    for row in reversed(rows):
        found = _INSTRUCTION.match(row)
        if found:
            return int(found[1])
    return None


def _from_lines(lines: Sequence[SourceLine], index: int | None) -> tuple[str | None, str | None]:
    if index is None:
        return None, None
    found = None
    for line in lines:
        if line.index > index:
            break
        found = line
    return (f"{found.file}:{found.line}", found.text[:_LONGEST]) if found else (None, None)


def _from_comments(rows: list[str]) -> tuple[str | None, str | None]:
    for row in reversed(rows):
        found = _SOURCE.match(row)
        if found and found["file"]:
            return f"{found['file']}:{found['line']}", found["text"][:_LONGEST]
    return None, None
