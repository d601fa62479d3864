"""The tree that both readers make: text with places, no types.

YAML 1.1 would read `yes` as true, `1:20` as 80 and `0x16` as 22. A policy has names, addresses and
services, so a scalar here is the text that its author wrote, and who wants a number parses one.
"""

from __future__ import annotations

from dataclasses import dataclass

from wardgate.compiler.language.model import Position
from wardgate.compiler.language.source import Anchor

MAX_DEPTH = 64
"""Deepest nesting of lists and mappings that is read; the language itself needs five levels."""

_NO_VALUE = frozenset({"", "~", "null", "Null", "NULL"})


# Not frozen, which would make them several times slower to make; nobody changes them.


@dataclass(slots=True, eq=False)
class Scalar:
    """A text. `plain`: written without quotes. `length`: characters it takes on its line, at least 1.

    `inset` is how many characters after its place the text itself starts, 1 for a quote; None where
    the text isn't in the file character by character (escapes, folding).
    """

    text: str
    plain: bool
    anchor: Anchor
    offset: int
    length: int
    inset: int | None

    @property
    def position(self) -> Position:
        """Its place."""
        return self.anchor.place(self.offset)

    @property
    def absent(self) -> bool:
        """Whether this is no value, as both `key:` and `null` are."""
        return self.plain and self.text in _NO_VALUE

    def at(self, offset: int) -> Position:
        """The place of the character at `offset` of the text, or of the scalar where that's unknown."""
        place = self.position
        if self.inset is None or (offset == 0 and self.inset == 0):
            return place
        return Position(place.file, place.line, place.column + self.inset + offset)

    def span(self, length: int) -> int:
        """How many characters to underline for `length` characters of the text."""
        return self.length if self.inset is None else length


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    anchor: Anchor
    offset: int

    @property
    def position(self) -> Position:
        """Its place."""
        return self.anchor.place(self.offset)


@dataclass(slots=True, eq=False)
class Mapping:
    """A mapping, entries in source order. Keys are distinct unless a duplicate was reported."""

    entries: tuple[tuple[Scalar, Node], ...]
    anchor: Anchor
    offset: int

    @property
    def position(self) -> Position:
        """Its place."""
        return self.anchor.place(self.offset)


@dataclass(slots=True, eq=False)
class Broken:
    """Something that was reported already; whoever meets it says nothing more."""

    anchor: Anchor
    offset: int = 0

    @property
    def position(self) -> Position:
        """Its place."""
        return self.anchor.place(self.offset)


Node = Scalar | Sequence | Mapping | Broken
