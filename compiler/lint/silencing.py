"""Comments that silence findings: `# wardgate: ignore CODE [CODE...] [-- REASON]`.

Behind something on its line a comment is about that line, alone on its line about the next line that is
neither empty nor a comment. Comments are YAML's; JSON has none.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import yaml
from wardgate.compiler.language.model import Position, SourceFile
from wardgate.compiler.language.source import Source
from wardgate.compiler.language.yaml_reader import Loader

FORM = "# wardgate: ignore CODE"
"""How such a comment is written."""

_COMMENT = re.compile(r"(?:(?<=[ \t])|^)#[ \t]*wardgate:(?P<words>.*)$")
_SEPARATOR = re.compile(r"[ \t,]+")


@dataclass(frozen=True, slots=True)
class Silencer:
    """A comment of ours. `line`: the one it is about, None where there is none. `codes`: what it silences;
    `flaw`: why it is no instruction, else empty. `length` characters at `position`."""

    position: Position
    length: int
    line: int | None
    codes: tuple[str, ...]
    flaw: str = ""


def silencers(files: Sequence[SourceFile], known: Collection[str]) -> Iterator[Silencer]:
    """The comments of ours in all files, in order. `known`: the codes that there are."""
    for file in files:
        if not file.name.endswith(".json") and "wardgate:" in file.text:
            yield from _of_file(file, known)


def _of_file(file: SourceFile, known: Collection[str]) -> Iterator[Silencer]:
    source = Source(file.name, file.text)
    matches = ((number, _COMMENT.search(line)) for number, line in enumerate(source.lines, 1))
    found = [(number, match) for number, match in matches if match]
    if not found:
        return
    scalars = _Scalars(file.text)
    for number, match in found:
        column = match.start() + 1
        if scalars.cover(number, column):
            continue
        position = Position(file.name, number, column)
        codes, flaw = _read(match["words"], known)
        alone = not source.lines[number - 1][: match.start()].strip()
        line = _next_line(source.lines, number) if alone else number
        yield Silencer(position, len(match[0].rstrip()), line, codes, flaw)


def _read(words: str, known: Collection[str]) -> tuple[tuple[str, ...], str]:
    told = [word for word in _SEPARATOR.split(words.partition("--")[0]) if word]
    if not told or told[0] != "ignore":
        return (), "this is no instruction of the linter"
    unknown = [word for word in told[1:] if word not in known]
    if unknown:
        return (), f"there is no finding called `{unknown[0]}`"
    return tuple(dict.fromkeys(told[1:])), "" if told[1:] else "this names no finding"


def _next_line(lines: Sequence[str], number: int) -> int | None:
    for at in range(number, len(lines)):
        text = lines[at].strip()
        if text and not text.startswith("#"):
            return at + 1
    return None


class _Scalars:
    """Where the texts of a YAML document are, in which a `#` begins no comment."""

    def __init__(self, text: str) -> None:
        self._starts: list[tuple[int, int]] = []
        self._ends: list[tuple[int, int]] = []
        # PyYAML's types call marks optional; events of a parser have them.
        for event in yaml.parse(text, Loader=Loader):
            if isinstance(event, yaml.ScalarEvent) and event.start_mark and event.end_mark:
                self._starts.append((event.start_mark.line + 1, event.start_mark.column + 1))
                self._ends.append((event.end_mark.line + 1, event.end_mark.column + 1))

    def cover(self, line: int, column: int) -> bool:
        """Whether the character there is part of a text."""
        at = bisect_right(self._starts, (line, column)) - 1
        return at >= 0 and (line, column) < self._ends[at]
