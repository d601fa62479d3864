"""JSON (RFC 8259) to the same nodes as YAML, with places.

JSON is almost a subset of YAML, and the rest of it matters: PyYAML refuses tabs between tokens and
surrogate escapes. So files named `.json` are read here, exactly as the RFC says and nothing more.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from wardgate.compiler.language.builder import StopReadingError, TreeBuilder
from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.names import quoted
from wardgate.compiler.language.nodes import Broken, Node, Scalar
from wardgate.compiler.language.source import Anchor, Source, describe_character, hidden_character

_SPACE = re.compile(r"[ \t\r\n]*+")
_PLAIN = re.compile(
    r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9A-Za-z_.+-])|true|false|null"
)
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*+)"')
_STRING_START = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*+')
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\.")
_WORD = re.compile(r"[^\s,:\[\]{}\"]{1,40}|.", re.DOTALL)
_TEXTS = re.compile(
    r'\[[ \t\r\n]*+(?:"[^"\\\x00-\x1f]*+"[ \t\r\n]*+,[ \t\r\n]*+)*+"[^"\\\x00-\x1f]*+"[ \t\r\n]*+\]'
)
"""A list of texts without escapes, which is what most of a policy is."""
_TEXT = re.compile(r'"([^"]*+)"')
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def read_json(source: Source, report: Report) -> Node | None:
    """The root of the document, None for an empty one or after an error that ends the reading."""
    try:
        return _Reader(Anchor(source), report).read()
    except StopReadingError:
        return Broken(Anchor(source))


def read_value(source: Source, start: int, report: Report) -> tuple[Node, int] | None:
    """The value of an entry of the root that starts at offset `start`, its places relative to there, and the
    offset after it. None after an error."""
    try:
        return _Reader(Anchor(source, start), report, depth=1).read_value()
    except StopReadingError:
        return None


def space_after(text: str, at: int) -> int:
    """The offset of the first character from `at` on that is not white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


class _Wants(Enum):
    """What may come next."""

    VALUE = auto()
    VALUE_OR_END = auto()
    KEY = auto()
    KEY_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()
    NOTHING = auto()


class _Reader:
    def __init__(self, anchor: Anchor, report: Report, depth: int = 0) -> None:
        self._anchor = anchor
        self._start = anchor.start
        self._report = report
        self._text = anchor.source.text
        self._builder = TreeBuilder(anchor, report, depth)
        self._closers: list[str] = []

    def read(self) -> Node | None:
        at, wants = space_after(self._text, 0), _Wants.VALUE
        if at == len(self._text):
            return None
        while at < len(self._text):
            at, wants = self._token(at, wants)
            at = space_after(self._text, at)
        if wants is not _Wants.NOTHING:
            raise self._ends_early(at)
        return self._builder.root

    def read_value(self) -> tuple[Node, int]:
        at, wants = self._start, _Wants.VALUE
        while wants is not _Wants.NOTHING:
            at = space_after(self._text, at)
            if at == len(self._text):
                raise self._ends_early(at)
            at, wants = self._token(at, wants)
        assert self._builder.root is not None  # noqa: S101 - a value was wanted, and none is any more
        return self._builder.root, at

    def _token(self, at: int, wants: _Wants) -> tuple[int, _Wants]:
        """Reads one token at `at`; where the next one may start and what it may be."""
        char = self._text[at]
        if wants is _Wants.NOTHING:
            raise self._unexpected(at, "the end of the file", "one file is one JSON document")
        if wants is _Wants.COLON:
            if char != ":":
                raise self._unexpected(at, "`:`", "put a colon between key and value")
            return at + 1, _Wants.VALUE
        if wants is _Wants.COMMA_OR_END:
            if char == ",":
                return at + 1, _Wants.KEY if self._closers[-1] == "}" else _Wants.VALUE
            if char != self._closers[-1]:
                raise self._unexpected(at, f"`,` or `{self._closers[-1]}`", "put a comma between entries")
            return self._close(at)
        if wants in (_Wants.KEY_OR_END, _Wants.VALUE_OR_END) and char == self._closers[-1]:
            return self._close(at)
        if char == '"':
            end = self._string(at)
            return end, _Wants.COLON if wants in (_Wants.KEY, _Wants.KEY_OR_END) else self._after_value()
        if wants in (_Wants.KEY, _Wants.KEY_OR_END):
            raise self._unexpected(
                at, "a key in double quotes", "quote every key, and put no comma after the last entry"
            )
        if char == "{":
            self._builder.open_map(at - self._start)
            self._closers.append("}")
            return at + 1, _Wants.KEY_OR_END
        if char == "[":
            texts = _TEXTS.match(self._text, at)
            if texts is not None:
                self._builder.add_list(at - self._start, self._texts(at, texts.end()))
                return texts.end(), self._after_value()
            self._builder.open_list(at - self._start)
            self._closers.append("]")
            return at + 1, _Wants.VALUE_OR_END
        plain = _PLAIN.match(self._text, at)
        if plain is None:
            raise self._unexpected(
                at,
                "a value",
                "put texts in double quotes, and no comma after the last entry; JSON has no comments",
            )
        self._builder.add(Scalar(plain[0], True, self._anchor, at - self._start, len(plain[0]), 0))
        return plain.end(), self._after_value()

    def _texts(self, start: int, end: int) -> tuple[Scalar, ...]:
        anchor, first = self._anchor, self._start
        return tuple(
            [
                Scalar(found[1], False, anchor, found.start() - first, found.end() - found.start(), 1)
                for found in _TEXT.finditer(self._text, start, end)
            ]
        )

    def _close(self, at: int) -> tuple[int, _Wants]:
        self._closers.pop()
        self._builder.close()
        return at + 1, self._after_value()

    def _after_value(self) -> _Wants:
        return _Wants.COMMA_OR_END if self._closers else _Wants.NOTHING

    def _string(self, at: int) -> int:
        found = _STRING.match(self._text, at)
        if found is None:
            stop = _STRING_START.match(self._text, at).end()  # type: ignore[union-attr]
            if stop < len(self._text) and self._text[stop] == "\\":
                raise self._stop(stop, "no such escape in JSON", 'write a backslash as "\\\\"')
            raise self._stop(at, "the text has no closing quote on its line", "close the quote")
        offset, length, written = at - self._start, found.end() - at, found[1]
        if "\\" not in written:
            self._builder.add(Scalar(written, False, self._anchor, offset, length, 1))
            return found.end()
        text = _ESCAPE.sub(_unescape, written)
        hidden = hidden_character(text)
        if hidden is None:
            self._builder.add(Scalar(text, False, self._anchor, offset, length, None))
        else:
            self._builder.add(Broken(self._anchor, offset))
            self._report.error(
                Code.CHARACTER,
                self._anchor.place(offset),
                f"the text has {describe_character(hidden)}, by an escape",
                "write the text without escapes",
                length=length,
            )
        return found.end()

    def _ends_early(self, at: int) -> StopReadingError:
        closer = self._closers[-1] if self._closers else "a value"
        return self._stop(at, f"the file ends where `{closer}` is still to come", "close what was opened")

    def _unexpected(self, at: int, wanted: str, remedy: str) -> StopReadingError:
        found = _WORD.match(self._text, at)
        return self._stop(at, f"{quoted(found[0] if found else '')} where {wanted} should be", remedy)

    def _stop(self, at: int, message: str, remedy: str) -> StopReadingError:
        self._report.error(Code.SYNTAX, self._anchor.source.place(at), f"not JSON: {message}", remedy)
        return StopReadingError()


def _unescape(found: re.Match[str]) -> str:
    escape = found[0]
    if len(escape) == 12:
        return bytes.fromhex(escape[2:6] + escape[8:12]).decode("utf-16-be")
    if escape[1] == "u":
        return chr(int(escape[2:], 16))
    return _SHORT_ESCAPES.get(escape[1], escape[1])
