"""A policy file's text: decoded strictly, with its lines and the places in them.

A policy is security configuration that people review, so what a reviewer cannot see is refused: bytes
that aren't UTF-8, control characters, and the characters that make editors show text in another order
or on other lines than a program reads it ("Trojan Source", CVE-2021-42574).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, islice

from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.model import Position

MAX_BYTES = 64 * 1024 * 1024
"""Largest policy file that is read."""
_MOST_HIDDEN = 100
"""Hidden characters that are reported of a file."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\uffff]"
)
_NAMELESS = {"Cc": "control character", "Cs": "half a surrogate pair"}
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


class Source:
    """A policy file. `name` as in Position.file."""

    __slots__ = ("_lines", "_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._lines: tuple[str, ...] | None = None
        self._starts: list[int] | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines without line ends, at least one. A line ends where YAML and JSON see it end: LF, CR or
        CRLF."""
        if self._lines is None:
            self._lines = tuple(_LINE_END.split(self.text))
        return self._lines

    def at(self, line: int, column: int) -> Position:
        """The place at `line` and `column`, both from 0, as parsers count."""
        return Position(self.name, line + 1, column + 1)

    def place(self, offset: int) -> Position:
        """The place of the character at `offset` of the text, from 0."""
        if self._starts is None:
            self._starts = _line_starts(self.text)
        line = bisect_right(self._starts, offset)
        return Position(self.name, line, offset - self._starts[line - 1] + 1)


def _line_starts(text: str) -> list[int]:
    if "\r" in text:
        return [0, *(found.end() for found in _LINE_END.finditer(text))]
    ended = [len(line) + 1 for line in text.split("\n")]
    return [0, *accumulate(ended[:-1])]


@dataclass(slots=True, eq=False)
class Anchor:
    """Where in a file a stretch of text begins whose nodes know their places relative to it: when it moves,
    they need not be read again."""

    source: Source
    start: int = 0

    def place(self, offset: int) -> Position:
        """The place of the character at `offset` of the stretch."""
        return self.source.place(self.start + offset)


def decode(name: str, data: bytes, report: Report) -> Source | None:
    """The file's text, or None after reporting why it cannot be read as text.

    A UTF-8 byte order mark, which some editors write, is skipped.
    """
    if len(data) > MAX_BYTES:
        report.error(
            Code.TOO_LARGE,
            Position(name, 1, 1),
            f"file is larger than {MAX_BYTES // 1024 // 1024} MiB",
            "split the policy into files and list them under `include`",
        )
        return None
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            report.error(
                Code.ENCODING,
                Position(name, 1, 1),
                f"file is {encoding}, not UTF-8",
                "save the file as UTF-8",
            )
            return None
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        source = Source(name, before + data[error.start :].decode("utf-8", "replace"))
        report.add_source(name, source)
        start = _LINE_END.split(before)
        report.error(
            Code.ENCODING,
            source.at(len(start) - 1, len(start[-1])),
            f"byte 0x{data[error.start]:02x} is not UTF-8 ({error.reason})",
            "save the file as UTF-8",
        )
        return None
    source = Source(name, text)
    report.add_source(name, source)
    return source if _all_visible(source, report) else None


def _all_visible(source: Source, report: Report) -> bool:
    """Whether there is no hidden character; the first are reported. What is no text has millions."""
    shown = 0
    for found in islice(_HIDDEN.finditer(source.text), _MOST_HIDDEN):
        shown += 1
        more = " (the last of those that are shown)" if shown == _MOST_HIDDEN else ""
        report.error(
            Code.CHARACTER,
            source.place(found.start()),
            f"{describe_character(found[0])} is not allowed in a policy{more}",
            "remove it; the language needs printable characters, spaces, tabs and line ends only",
        )
    return not shown


def hidden_character(text: str) -> str | None:
    """The first character of `text` that a file may not hold, as an escape could bring it in."""
    found = _HIDDEN.search(text)
    return found[0] if found else None


def describe_character(char: str) -> str:
    """`U+202E RIGHT-TO-LEFT OVERRIDE`."""
    name = unicodedata.name(char, _NAMELESS.get(unicodedata.category(char), "not a character"))
    return f"U+{ord(char):04X} {name}"
