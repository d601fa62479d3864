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
from wardgate.compiler.language.source import Source, describe_character, hidden_character

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
_OTHER_REMEDY = "check the indentation, the brackets and the quotes here and on the lines above"


def read_yaml(source: Source, report: Report) -> Node | None:
    """The root of the document, None for an empty one or after an error that ends the reading."""
    builder = TreeBuilder(report)
    try:
        for event in yaml.parse(source.text, Loader=Loader):
            _take(event, source, builder, report)
    except StopReadingError:
        return Broken(source.at(0, 0))
    except yaml.MarkedYAMLError as error:
        _report_syntax(error, source, report)
        return Broken(source.at(0, 0))
    except yaml.YAMLError as error:
        report.error(Code.SYNTAX, source.at(0, 0), f"not YAML: {error}", _OTHER_REMEDY)
        return Broken(source.at(0, 0))
    return builder.root


def _take(event: _Event, source: Source, builder: TreeBuilder, report: Report) -> None:
    position = source.at(event.start_mark.line, event.start_mark.column)
    if isinstance(event, yaml.NodeEvent):
        decorated = _report_decoration(event, source, report)
        if isinstance(event, yaml.AliasEvent):
            builder.add(Broken(position))
        elif isinstance(event, yaml.ScalarEvent):
            scalar = _scalar(event, source)
            if decorated or not _visible(scalar, report):
                builder.add(Broken(position))
            else:
                builder.add(scalar)
        elif isinstance(event, yaml.SequenceStartEvent):
            builder.open_list(position)
        else:
            builder.open_map(position)
    elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
        builder.close()
    elif isinstance(event, yaml.DocumentStartEvent) and builder.root is not None:
        report.error(
            Code.UNSUPPORTED_YAML,
            position,
            "a second YAML document starts here",
            "keep one document a file and list further files under `include`",
        )
        raise StopReadingError


def _scalar(event: _Event, source: Source) -> Scalar:
    start, end, text = event.start_mark, event.end_mark, event.value
    position = source.at(start.line, start.column)
    written = source.text[start.index : end.index]
    length = len(written) if end.line == start.line else len(source.lines[start.line]) - start.column
    plain = not event.style
    if plain and written == text:
        inset = 0
    elif written[1:-1] == text and event.style in ("'", '"'):
        inset = 1
    else:
        return Scalar(text, plain, position, max(1, length), None)
    return Scalar(text, plain, position, max(1, length), inset)


def _visible(scalar: Scalar, report: Report) -> bool:
    # The file's characters were looked at before; only an escape can bring in others.
    hidden = hidden_character(scalar.text) if scalar.inset is None else None
    if hidden is not None:
        report.error(
            Code.CHARACTER,
            scalar.position,
            f"the text has {describe_character(hidden)}, by an escape",
            "write the text without escapes",
            length=scalar.length,
        )
    return hidden is None


def _report_decoration(event: _Event, source: Source, report: Report) -> bool:
    """Reports an alias, an anchor or a tag; True where the node cannot be taken as it stands."""
    position = source.at(event.start_mark.line, event.start_mark.column)
    anchor: Any = event.anchor
    if isinstance(event, yaml.AliasEvent):
        report.error(
            Code.UNSUPPORTED_YAML,
            position,
            f"YAML aliases (`*{anchor}`) are not part of the language",
            'write the value out; everyone is "*", in quotes',
            length=len(anchor) + 1,
        )
        return True
    if anchor is not None:
        report.error(
            Code.UNSUPPORTED_YAML,
            position,
            f"YAML anchors (`&{anchor}`) are not part of the language",
            "remove the anchor and write the value out where it is needed",
            length=len(anchor) + 1,
        )
    tag = getattr(event, "tag", None)
    if tag is not None:
        report.error(
            Code.UNSUPPORTED_YAML,
            position,
            f"YAML tags (`{tag}`) are not part of the language",
            "remove the tag; put text that starts with `!` in quotes",
        )
    return anchor is not None or tag is not None


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
