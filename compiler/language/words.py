"""What reading one word of a rule gives: a value, or what is wrong with it, placed within the word.

The same word stands in many rules. Its reading is made once, without a place, and each rule that has
the word reports the flaws at its own place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from wardgate.compiler.language.diagnostics import Code, Report, Severity
from wardgate.compiler.language.nodes import Scalar

T = TypeVar("T")

# Only what a keyboard's space bar and enter key make; other white space stays in the word, which is
# then refused with a caret under it.
_WORD = re.compile(r"[^ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class Flaw:
    """A problem in a word: `offset` and `length` in characters of it; length 0 means the whole rest."""

    code: Code
    message: str
    remedy: str
    offset: int = 0
    length: int = 0
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The value of a word, None where a flaw is an error."""

    value: T | None
    flaws: tuple[Flaw, ...] = ()


class WordError(Exception):
    """Ends the reading of a word."""

    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw
        super().__init__(flaw.message)


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it starts in the scalar's text."""

    text: str
    offset: int


def split_words(text: str) -> list[Word]:
    """The words of `text`, which spaces, tabs and line ends separate."""
    return [Word(found[0], found.start()) for found in _WORD.finditer(text)]


def report_flaws(report: Report, scalar: Scalar, word: Word, reading: Reading[T]) -> None:
    """Reports what is wrong with `word` of `scalar`."""
    for flaw in reading.flaws:
        length = scalar.span(flaw.length or len(word.text) - flaw.offset)
        place = scalar.at(word.offset + flaw.offset)
        record = report.error if flaw.severity is Severity.ERROR else report.warning
        record(flaw.code, place, flaw.message, flaw.remedy, length=length)
