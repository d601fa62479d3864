"""The entries of a file's root, each read by itself: those whose text is the same as last time are not read
again, wherever they now stand.

That gives the same as reading the file as a whole, or nothing. In JSON, a value ends where its closing
bracket or quote is, whatever follows. In YAML, a key of the language at the beginning of a line ends what
stood before it, unless that is still open (a bracket, a quote), which shows when it is read alone.
Whatever is out of the ordinary is left to the readers of whole files, and so is all that is to be reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wardgate.compiler.language import nodes
from wardgate.compiler.language.diagnostics import Report
from wardgate.compiler.language.json_reader import read_value, space_after
from wardgate.compiler.language.nodes import Node, Scalar
from wardgate.compiler.language.source import Anchor, Source
from wardgate.compiler.language.yaml_reader import read_yaml

KEYS = (
    "version",
    "include",
    "tunnel",
    "groups",
    "hosts",
    "services",
    "policies",
    "inbound",
    "tests",
    "assertions",
)
"""Keys of a policy file. `version` is required in the main file; `tunnel` stands only there."""

_JSON_KEY = re.compile(r'"([^"\\\x00-\x1f]*+)"')
_YAML_KEY = re.compile(rf"^({'|'.join(KEYS)}):(?=[ \t\r\n]|\Z)", re.MULTILINE)
_YAML_PREAMBLE = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?\r?\n)*")
_YAML_MARKER = re.compile(r"^(?:---|\.\.\.|%)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a file's root: its text (in JSON that of the value), and the nodes made of it, whose
    anchor is their own."""

    text: str
    key: Scalar
    value: Node


def read_entries(source: Source, known: Mapping[str, Entry]) -> tuple[nodes.Mapping, dict[str, Entry]] | None:
    """The root of the file, and its entries by key; those of `known` whose text is there are taken from it,
    with their anchors moved. None where that cannot be done, or where there is something to report."""
    read = _json_entries if source.name.endswith(".json") else _yaml_entries
    found: dict[str, Entry] = {}
    offset = None
    for entry in read(source, known):
        if entry is None or entry.key.text in found:
            return None
        found[entry.key.text] = entry
    if source.name.endswith(".json"):
        offset = space_after(source.text, 0)
    elif found:
        first = next(iter(found.values())).key
        offset = first.anchor.start + first.offset
    if offset is None:
        return None
    entries = tuple((entry.key, entry.value) for entry in found.values())
    return nodes.Mapping(entries, Anchor(source), offset), found


def _json_entries(source: Source, known: Mapping[str, Entry]) -> Iterator[Entry | None]:
    """The entries of a JSON object; ends with None where it is not as simple as that."""
    text = source.text
    at = space_after(text, 0)
    separator = "{"
    while text.startswith(separator, at):
        key = _JSON_KEY.match(text, space_after(text, at + 1))
        if key is None:
            break
        at = space_after(text, key.end())
        if not text.startswith(":", at):
            break
        at = space_after(text, at + 1)
        entry = known.get(key[1])
        length = key.end() - key.start()
        name = Scalar(key[1], False, Anchor(source), key.start(), length, 1)
        # A number would go on with the digits after it.
        if entry is not None and entry.text[0] in '{["' and text.startswith(entry.text, at):
            entry.value.anchor.source, entry.value.anchor.start = source, at
            entry = Entry(entry.text, name, entry.value)
        else:
            report = Report()
            found = read_value(source, at, report)
            if found is None or len(report):
                break
            value, end = found
            entry = Entry(text[at:end], name, value)
        yield entry
        at = space_after(text, at + len(entry.text))
        separator = ","
    if separator != "," or not text.startswith("}", at) or space_after(text, at + 1) != len(text):
        yield None


def _yaml_entries(source: Source, known: Mapping[str, Entry]) -> Iterator[Entry | None]:
    """The entries of a YAML mapping in block style; ends with None where it is not as simple as that."""
    text = source.text
    starts = [(found.start(), found[1]) for found in _YAML_KEY.finditer(text)]
    preamble = _YAML_PREAMBLE.match(text)
    if not starts or preamble is None or preamble.end() < starts[0][0] or _YAML_MARKER.search(text):
        yield None
        return
    ends = [*(start for start, _ in starts[1:]), len(text)]
    for (start, key), end in zip(starts, ends, strict=True):
        entry = known.get(key)
        if entry is None or entry.text != text[start:end]:
            entry = _yaml_entry(source.name, key, text[start:end])
        if entry is None:
            yield None
            return
        entry.key.anchor.source, entry.key.anchor.start = source, start
        yield entry


def _yaml_entry(name: str, key: str, text: str) -> Entry | None:
    report = Report()
    root = read_yaml(Source(name, text), report)
    if len(report) or not isinstance(root, nodes.Mapping) or len(root.entries) != 1:
        return None
    ((found, value),) = root.entries
    return Entry(text, found, value) if found.plain and found.text == key and found.offset == 0 else None
