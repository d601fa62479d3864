"""Names that a policy gives: users, groups, hosts, services. And how messages quote text."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable

from wardgate.compiler.language.model import GROUP_MARK

MAX_NAME = 63
"""Longest name, in characters, which are ASCII and so bytes; the kernel's records hold 64."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}", re.ASCII)
_LETTER = re.compile(r"[A-Za-z]", re.ASCII)
NAME_FORM = "letters, digits and . _ @ + - after a first letter or digit, 63 characters at most"

SERVICE_WORDS = frozenset({"tcp", "udp", "sctp", "icmp", "any", "proto"})
"""Words of the language, which no host and no service may be called."""

_MAX_QUOTED = 60
_MAX_COMPARED = 100


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean x?`, or nothing where no known name is near."""
    # difflib compares slowly, and a broken policy may have thousands of unknown names.
    alike = [
        name
        for name in known
        if abs(len(name) - len(word)) <= 2 and (name[:1] == word[:1] or name[-1:] == word[-1:])
    ]
    alike.sort(key=lambda name: (-_shared(name, word), name))
    near = difflib.get_close_matches(word, alike[:_MAX_COMPARED], n=1)
    return f"did you mean {quoted(near[0])}?" if near else ""


def _shared(one: str, other: str) -> int:
    """Length of what both begin with."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
