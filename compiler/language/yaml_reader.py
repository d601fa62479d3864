"""YAML to nodes, from parser events, so that every key and value keeps its place.

Taken from YAML: mappings, lists, scalars of every style, comments. Refused, with a remedy: anchors,
aliases, merge keys, tags, several documents. They let one line mean something elsewhere, and a policy
is read line by line by those who review it.
"""

from __future__ import annotations

from typing import Any

import yaml
from wardgate.compiler.language.builder import StopReadingError, TreeBuilder
from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.nodes import Broken, Node, Scalar
from wardgate.compiler.language.source import Anchor, Source, describe_character, hidden_character

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it, which is many times faster, else PyYAML's own."""

# PyYAML's types call marks optional, for events that people make; those of a parser have them.
_Event = Any

_REMEDIES = (
    ("scanning an alias", 'put a name that starts with `*` in quotes: "*"'),
    ("scanning an anchor", "put text that starts with `&` in quotes"),
    ("mapping values are not allowed", "check the indentation, and put text that has `: ` in it in quotes"),
    ("cannot start any token", "indent with spaces, and put text that starts with this character in quotes"),
    ("quoted scalar", "close the quote"),
    ("flow sequence", "put a comma between entries and close the bracket"),
    ("flow mapping", "put a comma between entries and close the brace"),
    ("block collection", "indent all entries of a list alike"),
    ("block mapping", "indent all keys of a mapping alike"),
    ("simple key", "put a colon and a space after the key, and check the indentation"),
    ("directive", "remove the line; a policy needs no YAML directives"),
    ("document start", "remove what precedes this; one file is one YAML document"),
    ("block scalar", "indent the text under `|` or `>` by at least one space"),
)
_TOO_DEEP = "maximum nesting depth"
"""In what libyaml says of more than a thousand levels."""
_OTHER_REMEDY = "check the indentation, the brackets and the quotes here and on the lines above"


def read_yaml(source: Source, report: Report) -> Node | None:
    """The root of the document, None for an empty one or after an error that ends the reading."""
    return _read(source, report, Loader)


def _read(source: Source, report: Report, loader: Any) -> Node | None:
    reader = _Reader(Anchor(source), report)
    try:
        for event in yaml.parse(source.text, Loader=loader):
            reader.take(event)
    except StopReadingError:
        return Broken(Anchor(source))
    except yaml.MarkedYAMLError as error:
        if _TOO_DEEP in (error.problem or "") and loader is not yaml.SafeLoader:
            # libyaml scans ahead, and gives up far behind the place that is too deep for us.
            return _read(source, report, yaml.SafeLoader)
        _report_syntax(error, source, report)
        return Broken(Anchor(source))
    except yaml.YAMLError as error:
        report.error(Code.SYNTAX, source.at(0, 0), f"not YAML: {error}", _OTHER_REMEDY)
        return Broken(Anchor(source))
    return reader.builder.root


class _Reader:
    """Takes a parser's events."""

    def __init__(self, anchor: Anchor, report: Report) -> None:
        self.builder = TreeBuilder(anchor, report)
        self._anchor = anchor
        self._source = anchor.source
        self._report = report

    def take(self, event: _Event) -> None:
        """Takes an event. StopReadingError where the rest cannot be read."""
        # In the order of how often they come.
        kind = type(event)
        if kind is yaml.ScalarEvent:
            plain = event.anchor is None and event.tag is None
            scalar = self._scalar(event)
            if (plain or not self._report_decoration(event)) and self._is_visible(scalar):
                self.builder.add(scalar)
            else:
                self.builder.add(Broken(self._anchor, scalar.offset))
        elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            self.builder.close()
        elif kind is yaml.SequenceStartEvent:
            self._report_decoration(event)
            self.builder.open_list(event.start_mark.index)
        elif kind is yaml.MappingStartEvent:
            self._report_decoration(event)
            self.builder.open_map(event.start_mark.index)
        elif kind is yaml.AliasEvent:
            self._report_decoration(event)
            self.builder.add(Broken(self._anchor, event.start_mark.index))
        elif kind is yaml.DocumentStartEvent and self.builder.root is not None:
            self._report.error(
                Code.UNSUPPORTED_YAML,
                self._anchor.place(event.start_mark.index),
                "a second YAML document starts here",
                "keep one document a file and list further files under `include`",
            )
            raise StopReadingError

    def _scalar(self, event: _Event) -> Scalar:
        start, end, text, source = event.start_mark, event.end_mark, event.value, self._source
        offset = start.index
        written = source.text[offset : end.index]
        length = len(written) if end.line == start.line else len(source.lines[start.line]) - start.column
        plain = not event.style
        inset = None
        if plain and written == text:
            inset = 0
        elif written[1:-1] == text and event.style in ("'", '"'):
            inset = 1
        return Scalar(text, plain, self._anchor, offset, length or 1, inset)

    def _is_visible(self, scalar: Scalar) -> bool:
        # The file's characters were looked at before; only an escape can bring in others.
        hidden = hidden_character(scalar.text) if scalar.inset is None else None
        if hidden is not None:
            self._report.error(
                Code.CHARACTER,
                scalar.position,
                f"the text has {describe_character(hidden)}, by an escape",
                "write the text without escapes",
                length=scalar.length,
            )
        return hidden is None

    def _report_decoration(self, event: _Event) -> bool:
        """Reports an alias, an anchor or a tag; True where the node cannot be taken as it stands."""
        anchor: Any = event.anchor
        tag = getattr(event, "tag", None)
        if anchor is None and tag is None:
            return False
        position = self._anchor.place(event.start_mark.index)
        if isinstance(event, yaml.AliasEvent):
            self._report.error(
                Code.UNSUPPORTED_YAML,
                position,
                f"YAML aliases (`*{anchor}`) are not part of the language",
                'write the value out; everyone is "*", in quotes',
                length=len(anchor) + 1,
            )
            return True
        if anchor is not None:
            self._report.error(
                Code.UNSUPPORTED_YAML,
                position,
                f"YAML anchors (`&{anchor}`) are not part of the language",
                "remove the anchor and write the value out where it is needed",
                length=len(anchor) + 1,
            )
        if tag is not None:
            self._report.error(
                Code.UNSUPPORTED_YAML,
                position,
                f"YAML tags (`{tag}`) are not part of the language",
                "remove the tag; put text that starts with `!` in quotes",
            )
        return True


def _report_syntax(error: Any, source: Source, report: Report) -> None:
    context, problem = error.context or "", error.problem or "not YAML"
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    if "scanning an alias" in context:
        # The place of what follows the asterisk would puzzle; the asterisk itself is meant.
        line, column = error.context_mark.line, error.context_mark.column
    # What is never closed is noticed behind the last line, where there is nothing to show.
    if not any(map(str.strip, source.lines[line:])):
        line = max((n for n, text in enumerate(source.lines) if text.strip()), default=0)
        column = len(source.lines[line].rstrip())
    message = f"not YAML: {problem}"
    if context:
        message += f" ({context}"
        opened = error.context_mark
        if opened is not None and (opened.line, opened.column) != (line, column):
            message += f" that starts at line {opened.line + 1}, column {opened.column + 1}"
        message += ")"
    told = f"{context} {problem}"
    remedy = next((text for words, text in _REMEDIES if words in told), _OTHER_REMEDY)
    report.error(Code.SYNTAX, source.at(line, column), message, remedy)
