"""The demo's table: user, packet, expected, seen, policy line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardgate.cli import columns
from wardgate.cli.demo.scenario import Check

_HEADER = ("user", "packet", "expected", "seen", "", "policy line")
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Row:
    """A packet, what the reference answered about it, and what was seen: `pass`, `drop`, or how it
    went wrong. `blamed` is the (line, column) that the gate itself gave for a drop; None: none."""

    check: Check
    answer: Mapping[str, Any]
    seen: str
    blamed: tuple[int, int] | None

    @property
    def expected(self) -> str:
        """`pass` or `drop`."""
        return "pass" if self.answer["pass"] else "drop"

    @property
    def agrees(self) -> bool:
        """Whether the packet fared as the reference says, for the reason that it says."""
        if self.seen != self.expected:
            return False
        rule = self.answer["rule"]
        return self.seen == "pass" or self.blamed == ((rule["line"], rule["column"]) if rule else None)

    @property
    def _policy_line(self) -> str:
        rule = self.answer["rule"]
        why = "" if self.answer["pass"] else self.answer["reason"]
        if rule is None:
            return f"none ({why})"
        line = f'{rule["file"]}:{rule["line"]} "{rule["text"]}"'
        return f"{line} ({why})" if why else line

    def cells(self) -> tuple[str, ...]:
        """The row's columns."""
        mark = "" if self.agrees else "<< DIFFERS"
        return self.check.user, self.check.packet, self.expected, self.seen, mark, self._policy_line


def render(sections: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """All rows under one header, each section under its title; at most 80 columns where all agree."""
    rows = [row.cells() for _, section in sections for row in section]
    keep = [0, 1, 2, 3, 5] if all(not row[4] for row in rows) else [0, 1, 2, 3, 4, 5]
    chosen = [[row[i] for i in keep] for row in rows]
    lines = columns.align(chosen, [_HEADER[i] for i in keep], _WIDTH).splitlines()
    shown, rest = [lines[0]], lines[1:]
    for title, section in sections:
        shown += ["", f"-- {title}", *rest[: len(section)]]
        rest = rest[len(section) :]
    return "\n".join(shown)
