"""What is wrong with a policy, where, and what to write instead.

Every stage that reads policy text reports into one `Report`, so that a run shows all errors of all
files. A diagnostic carries its source line, so it can be shown without the files at hand.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Protocol

from wardgate.compiler.language.model import Position

CLAIM = "ASSERTION"
"""What stands for a file in the places of an assertion that is in none."""

MAX_SHOWN_LINE = 160
"""Characters of a source line that are shown; a longer one is cut around the place in question."""

MAX_DIAGNOSTICS = 10_000
"""Errors kept of one run, and warnings. That there were more is said."""


class Severity(StrEnum):
    """ERROR: there is no policy. WARNING: there is one, and it may surprise its author."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """What kind of problem a diagnostic is about, for programs; messages may change, codes don't."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    ENCODING = "encoding"
    CHARACTER = "character"
    SYNTAX = "syntax"
    NESTING = "nesting"
    UNSUPPORTED_YAML = "unsupported-yaml"
    EMPTY = "empty"
    TYPE = "type"
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    DUPLICATE_KEY = "duplicate-key"
    DUPLICATE_DEFINITION = "duplicate-definition"
    DUPLICATE_ENTRY = "duplicate-entry"
    MISPLACED = "misplaced"
    VERSION = "version"
    INCLUDE = "include"
    INCLUDE_CYCLE = "include-cycle"
    NAME = "name"
    NAME_CLASH = "name-clash"
    UNKNOWN_NAME = "unknown-name"
    UNKNOWN_USER = "unknown-user"
    ADDRESS = "address"
    PREFIX = "prefix"
    HOST_BITS = "host-bits"
    OVERLAP = "overlap"
    DNS = "dns"
    SERVICE = "service"
    PORT = "port"
    PROTOCOL = "protocol"
    FRESHNESS = "freshness"
    SERVICE_CYCLE = "service-cycle"
    CLAIM = "claim"
    NOTHING_ALLOWED = "nothing-allowed"
    TEST_FAILED = "test-failed"
    ASSERTION_FAILED = "assertion-failed"
    DEAD_RULE = "dead-rule"
    DEFEATED_DENY = "defeated-deny"
    BYPASSED_MFA = "bypassed-mfa"
    BLANKED_PREFIX = "blanked-prefix"
    NAME_IN_PREFIX = "name-in-prefix"
    UNUSED_GROUP = "unused-group"
    UNUSED_HOST = "unused-host"
    UNUSED_SERVICE = "unused-service"
    UNGROUPED_USER = "ungrouped-user"
    UNUSED_IGNORE = "unused-ignore"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem at one place.

    `source_line` is the whole line, empty where there is none to show (a file that cannot be read).
    `length` is how many characters from `position` on are meant, at least 1. `remedy` says what to
    do; it is never empty for an error.
    """

    severity: Severity
    code: Code
    message: str
    position: Position
    source_line: str = ""
    remedy: str = ""
    length: int = 1

    def render(self) -> str:
        """`file:line:column: error: message`, the source line, a caret under the place, the remedy."""
        lines = [f"{self.position}: {self.severity}: {self.message}"]
        if self.source_line.strip():
            shown, column = _excerpt(self.source_line, self.position.column)
            lines.append(f"    {shown}")
            lines.append(f"    {_underline(shown, column, self.length)}")
        if self.remedy:
            lines.append(f"  help: {self.remedy}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The diagnostic as plain data; `source_line` is cut as people see it."""
        return {
            "severity": self.severity.value,
            "code": self.code.value,
            "message": self.message,
            "file": self.position.file,
            "line": self.position.line,
            "column": self.position.column,
            "length": self.length,
            "source_line": _excerpt(self.source_line, self.position.column)[0],
            "remedy": self.remedy,
        }


class PolicyError(Exception):
    """The policy has errors. `diagnostics` holds all of them, and the warnings, in source order."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(diagnostic.render() for diagnostic in self.diagnostics))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics without the warnings."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.ERROR)


class HasLines(Protocol):
    """A text by lines, without line ends."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines."""


class Report:
    """Collects the diagnostics of a run; its length is how many. The order of `add_source` is the order of
    files in it."""

    def __init__(self) -> None:
        self._sources: dict[str, HasLines] = {}
        self._order: dict[str, int] = {}
        self._found: dict[tuple[Position, Code, str], Diagnostic] = {}
        self._counts = [0, 0]
        self.failed = False
        """Whether there is an error."""
        self.full = False
        """Whether further errors will not be kept, so that looking for more is no use."""

    def add_source(self, name: str, source: HasLines) -> None:
        """Makes the lines of file `name` known."""
        self._order.setdefault(name, len(self._order))
        self._sources[name] = source

    def error(self, code: Code, position: Position, message: str, remedy: str, *, length: int = 1) -> None:
        """Records an error."""
        self._add(Severity.ERROR, code, position, message, remedy, length)

    def warning(self, code: Code, position: Position, message: str, remedy: str, *, length: int = 1) -> None:
        """Records a warning."""
        self._add(Severity.WARNING, code, position, message, remedy, length)

    def _add(
        self, severity: Severity, code: Code, position: Position, message: str, remedy: str, length: int
    ) -> None:
        key = (position, code, message)
        if key in self._found:
            return
        is_error = severity is Severity.ERROR
        self._counts[is_error] += 1
        self.failed |= is_error
        self.full = self._counts[True] >= MAX_DIAGNOSTICS
        if self._counts[is_error] > MAX_DIAGNOSTICS:
            return
        source = self._sources.get(position.file)
        lines = source.lines if source is not None else ()
        line = lines[position.line - 1] if position.line <= len(lines) else ""
        self._found[key] = Diagnostic(severity, code, message, position, line, remedy, max(1, length))

    def __len__(self) -> int:
        return len(self._found)

    def since(self, count: int) -> tuple[Diagnostic, ...]:
        """The diagnostics after the first `count`, as they came."""
        return tuple(islice(self._found.values(), count, None))

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All diagnostics by file (in the order read), line and column."""
        found = sorted(self._found.values(), key=self._sort_key)
        for severity, count in zip((Severity.WARNING, Severity.ERROR), self._counts, strict=True):
            if count >= MAX_DIAGNOSTICS:
                last = next(d for d in reversed(found) if d.severity is severity)
                message = f"only the first {MAX_DIAGNOSTICS} {severity}s are shown"
                remedy = "mend those and run again"
                found.append(Diagnostic(severity, last.code, message, last.position, remedy=remedy))
        return tuple(found)

    def _sort_key(self, diagnostic: Diagnostic) -> tuple[int, Position, Severity, Code, str]:
        place = diagnostic.position
        order = self._order.get(place.file, len(self._order))
        return order, place, diagnostic.severity, diagnostic.code, diagnostic.message

    def raise_if_failed(self) -> None:
        """PolicyError where there is an error."""
        if self.failed:
            raise PolicyError(self.diagnostics())


def diagnostic_at(
    lines: Mapping[str, tuple[str, ...]], code: Code, position: Position, message: str, remedy: str
) -> Diagnostic:
    """An error about an accepted policy, whose files' lines are `lines` (by name)."""
    source = lines.get(position.file, ())
    line = source[position.line - 1] if position.line <= len(source) else ""
    return Diagnostic(Severity.ERROR, code, message, position, line, remedy)


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """At most MAX_SHOWN_LINE characters of `line` around `column`, and the column in them."""
    if len(line) <= MAX_SHOWN_LINE:
        return line, column
    start = max(0, min(column - 1 - MAX_SHOWN_LINE // 2, len(line) - MAX_SHOWN_LINE))
    end = start + MAX_SHOWN_LINE
    head, tail = "..." if start else "", "..." if end < len(line) else ""
    return f"{head}{line[start:end]}{tail}", column - start + len(head)


def _underline(line: str, column: int, length: int) -> str:
    """Carets under `length` characters from `column` on, tabs and wide characters considered."""
    before, marked = line[: column - 1], line[column - 1 : column - 1 + length]
    padding = "".join("\t" if char == "\t" else " " * _cells(char) for char in before)
    padding += " " * (column - 1 - len(before))
    return padding + "^" * max(1, sum(_cells(char) for char in marked))


def _cells(char: str) -> int:
    """Columns that a terminal gives a character (UAX #11: wide and full-width ones take two)."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
