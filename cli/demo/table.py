"""The demo's table: user, packet, expected, seen, policy line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardgate.cli import columns
from wardgate.cli.demo.scenario import Check

_HEADER = ("user", "packet", "expected", "seen", "policy line")
_WIDTH = 80
_DIFFERS = "  <-- DIFFERS"


@dataclass(frozen=True, slots=True)
class Row:
    """A packet, what the reference answered about it, and what was seen: `pass`, the reason for which
    the gate dropped it, or how it went wrong. `blamed` is the (line, column) that the gate gave for a
    drop; None: none."""

    check: Check
    answer: Mapping[str, Any]
    seen: str
    blamed: tuple[int, int] | None

    @property
    def agrees(self) -> bool:
        """Whether the packet fared as the reference says, for the reason and by the line that it says."""
        if self.seen != self.answer["reason"]:
            return False
        rule = self.answer["rule"]
        return self.seen == "pass" or self.blamed == ((rule["line"], rule["column"]) if rule else None)

    def cells(self) -> tuple[str, ...]:
        """The row's columns."""
        rule = self.answer["rule"]
        line = f'{rule["line"]} "{rule["text"]}"' if rule else "-"
        return self.check.user, self.check.packet, self.answer["reason"], self.seen, line


def render(sections: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """All rows under one header, each section under its title; at most 80 columns where all agree."""
    rows = [row for _, section in sections for row in section]
    header, *rest = columns.align([row.cells() for row in rows], _HEADER, _WIDTH).splitlines()
    shown = [header]
    marked = [line if row.agrees else line + _DIFFERS for row, line in zip(rows, rest, strict=True)]
    for title, section in sections:
        shown += ["", f"-- {title}", *marked[: len(section)]]
        marked = marked[len(section) :]
    return "\n".join(shown)
