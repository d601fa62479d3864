"""Reads a verifier log: what was rejected, at which line of the policy or template, and how it came to that.

The log's form is no interface of the kernel. What is relied on here holds from 6.1 to 6.18 (functions
verbose and print_bpf_insn of kernel/bpf/verifier.c and disasm.c): instructions as `12: (85) call ...`,
source lines as `; text`, with ` @ file.c:12` since 6.10 (of the file's name the last part only), and the
complaint before the closing statistics. Of a log of another form the last lines are shown. Logs of all
these kernels are in tests/data/verifier.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.relocate import SourceLine

_INSTRUCTION: Final = re.compile(r"^(?:from \d+ to )?(?P<index>\d+): (?P<code>\([0-9a-f]{2}\) .*)")
_STATE_AT: Final = re.compile(r"^(?:from \d+ to )?(\d+): (?:R\d|frame\d)")
_MENTION: Final = re.compile(r"\binsn (\d+)")
_ALLOCATED: Final = re.compile(r"\balloc_insn=(\d+)")
_SOURCE: Final = re.compile(r"^; (?P<text>.*?)(?: @ (?P<file>[^:]+):(?P<line>\d+))?$")
_STATISTICS: Final = re.compile(
    r"^(processed \d+ insns|verification time|stack depth|max_states_per_insn|peak_states|insns processed)"
)
_STATE: Final = re.compile(
    r"^(?:\d+: )?(?:\s*frame\d+: )?(?:R\d+(?:_\w+)*=|fp-\d+)"
    r"|^(?:from \d+ to \d+|last_idx|first_idx|regs=|mark_precise|parent |propagating|caller:|callee:"
    r"|returning from callee|to caller at|cur state:|old state:|func#\d+ @\d+|Live regs before insn"
    r"|reg type unsupported for arg)"
)
_SET: Final = re.compile(
    r"^\([0-9a-f]{2}\) (?:[rw](?P<register>\d+) (?P<how>\S*=) (?P<value>.*)|(?P<call>call) )"
)
_OPERAND: Final = re.compile(r"\b[rw](\d+)\b")
_NAMED: Final = re.compile(r"\bR(\d+)\b")
_LIMITS: Final = (
    r"too large|too complex|too many (states|jumps)|Processed \d+ insn|exceeds? .*limit|combined stack"
)

_REMEDIES: Final = (
    (r"unknown func|invalid func|cannot (use|call) helper|program of this type cannot use helper",
     "this kernel lacks a function that the artefact calls: run a newer kernel"),
    (_LIMITS,
     "the program is over a limit of the verifier: compile a policy with fewer features, or report it"),
    (r"GPL|license", "the artefact's licence section must be GPL-compatible: compile it again"),
    (r"BTF|line_info|func_info|func#",
     "the kernel does not accept the artefact's types: compile it again with this release"),
)  # fmt: skip
_DEFAULT_REMEDY: Final = (
    "this is a fault of the compiler, not of the policy: report it with the log (--verbose)"
)
_READ: Final = 1 << 21
"""Characters at the end of a log that are looked at: what matters is there."""
_LONGEST: Final = 240
_WIDEST: Final = 110
"""Characters of an instruction with its state."""
_COMPLAINTS: Final = 2
"""Lines of a complaint that are told of."""
_STEPS: Final = 5
"""Instructions that are shown besides the rejected one."""
_TAIL: Final = 4
"""Lines that are shown of a log whose form nobody knows."""
_CIRCLES: Final = 3
"""Source lines that are shown of a program that the verifier walked for too long."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """`location` is `file:line` or None; `source` the text of that line, `index` the instruction. `excerpt`
    are the few lines that matter: how the registers that the complaint is about came to be what they are,
    or where the verifier went round."""

    cause: str
    location: str | None
    source: str | None
    index: int | None
    remedy: str
    excerpt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction that was walked; `code` as the log has it, with the state after it."""

    index: int
    code: str


def read_log(log: str, lines: Sequence[SourceLine]) -> Rejection:
    """What `log` says of a program whose source lines are `lines`, sorted by index."""
    rows = [row.rstrip() for row in log[-_READ:].replace("\0", "").splitlines() if row.strip()]
    while rows and _STATISTICS.match(rows[-1]):
        rows.pop()
    complaint = _complaint(rows)
    cause = "; ".join(complaint) or _bare_cause(rows)
    steps = list(_steps(rows))
    index = _index(rows, cause)
    location, source = _from_lines(lines, index)
    if location is None:
        location, source = _from_comments(rows)
    if not steps:
        excerpt = tuple(row[:_LONGEST] for row in rows[-_TAIL:]) if len(rows) > 1 else ()
    elif re.search(_LIMITS, cause):
        excerpt = tuple(_circles(steps, lines))
    else:
        excerpt = tuple(_shown(_slice(steps, cause), lines))
    remedy = next((text for pattern, text in _REMEDIES if re.search(pattern, cause)), _DEFAULT_REMEDY)
    return Rejection(cause[:_LONGEST], location, source, index, remedy, excerpt)


def _complaint(rows: Sequence[str]) -> list[str]:
    """The lines between the last instruction and the statistics; of a log without instructions the last."""
    found: list[str] = []
    for row in reversed(rows):
        if _INSTRUCTION.match(row) or row.startswith(";"):
            return found[:_COMPLAINTS]
        if _STATE.match(row) or _STATE_AT.match(row):
            # The states that an endless loop comes back to are told behind the complaint.
            if found:
                return found[:_COMPLAINTS]
            continue
        found.insert(0, row[:_LONGEST])
    return found[-1:]


def _bare_cause(rows: Sequence[str]) -> str:
    return " | ".join(rows[-2:]) or "it gave no reason"


def _steps(rows: Sequence[str]) -> Iterator[_Step]:
    for row in rows:
        found = _INSTRUCTION.match(row)
        if found:
            yield _Step(int(found["index"]), found["code"])


def _index(rows: Sequence[str], cause: str) -> int | None:
    mentioned = _MENTION.search(cause)
    if mentioned:
        return int(mentioned[1])
    for row in reversed(rows):
        found = _INSTRUCTION.match(row) or _STATE_AT.match(row)
        if found:
            return int(found[1])
    return None


def _slice(steps: Sequence[_Step], cause: str) -> Sequence[_Step]:
    """The last step, and those before it that made the registers which the complaint or it is about."""
    last = steps[-1]
    allocated = _ALLOCATED.search(cause)
    if allocated:
        there = [step for step in steps if step.index == int(allocated[1])]
        return [*there[-1:], last]
    named = set(_NAMED.findall(cause))
    wanted = named or set(_OPERAND.findall(last.code.partition(";")[0])) - {"10"}
    found = [last]
    for step in reversed(steps[:-1]):
        if not wanted or len(found) > _STEPS:
            break
        made = _SET.match(step.code.partition(";")[0])
        if made is None:
            continue
        register = "0" if made["call"] else made["register"]
        if register not in wanted or not register:
            continue
        found.append(step)
        value = made["value"] or ""
        if made["call"] or value.startswith("*("):
            # What a call gives, or memory has, is where the register's story begins.
            wanted.discard(register)
        else:
            if made["how"] == "=":
                wanted.discard(register)
            wanted |= set(_OPERAND.findall(value)) - {"10"}
    return list(reversed(found))


def _shown(steps: Sequence[_Step], lines: Sequence[SourceLine]) -> Iterator[str]:
    """Instructions, each under its source line."""
    before: tuple[str | None, str | None] = None, None
    for step in steps:
        place = _from_lines(lines, step.index)
        if place != before and place[0]:
            yield f"{place[0]}: {place[1]}".rstrip(": ")[:_LONGEST]
        before = place
        yield f"  {step.index}: {' '.join(step.code.split())}"[:_WIDEST]


def _circles(steps: Sequence[_Step], lines: Sequence[SourceLine]) -> Iterator[str]:
    """The source lines whose instructions were walked most often."""
    often = Counter(_from_lines(lines, step.index) for step in steps)
    for (location, source), count in often.most_common(_CIRCLES):
        if location:
            yield f"{location}: {source}".rstrip(": ")[:_LONGEST] + f" (in {count:,} of {len(steps):,} steps)"


def _from_lines(lines: Sequence[SourceLine], index: int | None) -> tuple[str | None, str | None]:
    if index is None:
        return None, None
    at = bisect_right(lines, index, key=lambda line: line.index) - 1
    return (f"{lines[at].file}:{lines[at].line}", lines[at].text[:_LONGEST]) if at >= 0 else (None, None)


def _from_comments(rows: Sequence[str]) -> tuple[str | None, str | None]:
    for row in reversed(rows):
        found = _SOURCE.match(row)
        if found and found["file"]:
            return f"{found['file']}:{found['line']}", found["text"][:_LONGEST]
    return None, None
