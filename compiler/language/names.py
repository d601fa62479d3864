"""Names that a policy gives: users, groups, hosts, services. And how messages quote text."""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Iterable
from functools import cached_property

from wardgate.compiler.language.model import GROUP_MARK

MAX_NAME = 63
"""Longest name, in characters, which are ASCII and so bytes; the kernel's records hold 64."""

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}"
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_LETTER = re.compile(r"[A-Za-z]", re.ASCII)
NAME_FORM = "letters, digits and . _ @ + - after a first letter or digit, 63 characters at most"

WITHIN = "within"
"""The word before the duration in which a rule wants the last login."""

SERVICE_WORDS = frozenset({"tcp", "udp", "sctp", "icmp", "any", "proto", WITHIN})
"""Words of the language, which no host and no service may be called."""

_MAX_QUOTED = 60
_COMPARED = 20


def is_user(name: str) -> bool:
    """Whether `name` may be a user's."""
    return _NAME.fullmatch(name) is not None


def is_group(name: str) -> bool:
    """Whether `name` is `group:` and a name."""
    return name.startswith(GROUP_MARK) and is_user(name.removeprefix(GROUP_MARK))


def label_flaw(name: str) -> str | None:
    """Why `name` cannot be a host's or a service's, or None where it can.

    What a rule could take for an address, a port or a protocol is no name.
    """
    if _NAME.fullmatch(name) is None:
        return f"a name has {NAME_FORM}"
    if _LETTER.search(name) is None:
        return "a name needs a letter, or it could be taken for an address or a port"
    if name in SERVICE_WORDS:
        return f"`{name}` is a word of the language"
    return None


def quoted(text: str) -> str:
    """`text` for a message: in backquotes, shortened, and nothing in it that a terminal would obey."""
    shown = text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 3] + "..."
    return "`" + "".join(char if char.isprintable() else _escaped(char) for char in shown) + "`"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


class Vocabulary:
    """Known names, arranged so that those like a given word are found without looking at all."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    @cached_property
    def _forward(self) -> list[str]:
        return sorted(self._names)

    @cached_property
    def _backward(self) -> list[str]:
        return sorted(name[::-1] for name in self._names)

    def did_you_mean(self, word: str) -> str:
        """`did you mean x?`, or nothing where no known name is near."""
        near = difflib.get_close_matches(word, self._alike(word), n=1) if len(word) <= 2 * MAX_NAME else ()
        return f"did you mean {quoted(near[0])}?" if near else ""

    def _alike(self, word: str) -> list[str]:
        # difflib is slow, and a broken policy may have thousands of unknown names beside thousands of
        # known ones. In sorted order the names that share a beginning with the word are next to it,
        # and in the order of reversed names those that share an end.
        backward = _around(self._backward, word[::-1])
        return sorted({*_around(self._forward, word), *(name[::-1] for name in backward)})


def _around(ordered: list[str], word: str) -> list[str]:
    at = bisect.bisect(ordered, word)
    return ordered[max(0, at - _COMPARED) : at + _COMPARED]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Like Vocabulary.did_you_mean, for a few names that are asked about once."""
    return Vocabulary(known).did_you_mean(word)
