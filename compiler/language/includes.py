"""Reads the main file and what it includes, each file once."""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from wardgate.compiler.language import schema
from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.files import Files, is_pattern
from wardgate.compiler.language.json_reader import read_json
from wardgate.compiler.language.memory import Memory
from wardgate.compiler.language.model import Position
from wardgate.compiler.language.names import quoted
from wardgate.compiler.language.nodes import Broken, Mapping, Node, Scalar
from wardgate.compiler.language.schema import Shape
from wardgate.compiler.language.source import Source, decode
from wardgate.compiler.language.yaml_reader import read_yaml

_INCLUDE = Shape("an include", "include: [groups.yaml, rules/*.yaml]")
_POLICY = Shape("a policy", "version: 1")


@dataclass(frozen=True, slots=True)
class Document:
    """A policy file that was read. `main`: it is the one that was asked for."""

    source: Source
    root: Mapping
    main: bool


@dataclass(frozen=True, slots=True)
class Documents:
    """All files, the main one first, included ones where they are listed, depth first.

    `complete` is False where a file could not be read, so that names may be missing for that reason.
    """

    documents: tuple[Document, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file to read, where it is listed and by which file; None and None for the main file."""

    name: str
    entry: Scalar | None
    by: _Wanted | None

    def ancestors(self) -> Iterator[_Wanted]:
        """The file itself, the one that included it, and so on."""
        wanted: _Wanted | None = self
        while wanted is not None:
            yield wanted
            wanted = wanted.by


def read_documents(files: Files, main: str, report: Report, memory: Memory | None = None) -> Documents:
    """Reads `main` and its includes; reports everything that cannot be read."""
    documents: list[Document] = []
    complete = True
    seen: dict[str, _Wanted] = {}
    waiting = [_Wanted(main, None, None)]
    while waiting:
        wanted = waiting.pop()
        if not _is_new(wanted, files, seen, report):
            continue
        document = _read(wanted, files, report, memory)
        if document is None:
            complete = False
            continue
        documents.append(document)
        waiting.extend(reversed(list(_included(document, wanted, files, report))))
    return Documents(tuple(documents), complete)


def _is_new(wanted: _Wanted, files: Files, seen: dict[str, _Wanted], report: Report) -> bool:
    identity = files.identity(wanted.name)
    first = seen.setdefault(identity, wanted)
    if first is wanted or wanted.entry is None:
        return True
    trail = list(wanted.ancestors())
    entry, length = wanted.entry, wanted.entry.length
    if any(files.identity(ancestor.name) == identity for ancestor in trail[1:]):
        names = [ancestor.name for ancestor in reversed(trail)]
        start = next(i for i, name in enumerate(names) if files.identity(name) == identity)
        report.error(
            Code.INCLUDE_CYCLE,
            entry.position,
            f"include cycle: {' -> '.join(names[start:])}",
            "remove this include, or narrow the pattern so that it does not match the file itself",
            length=length,
        )
    else:
        where = f" at {first.entry.position}" if first.entry else ""
        report.error(
            Code.INCLUDE,
            entry.position,
            f"{quoted(wanted.name)} was already included{where}",
            "include each file once; the order of files does not matter",
            length=length,
        )
    return False


def _read(wanted: _Wanted, files: Files, report: Report, memory: Memory | None) -> Document | None:
    name = wanted.name
    try:
        data = files.read(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place = wanted.entry.position if wanted.entry else Position(name, 1, 1)
        length = wanted.entry.length if wanted.entry else 1
        report.error(
            Code.UNREADABLE,
            place,
            f"cannot read {quoted(name)}: {reason}",
            "name a policy file that exists and may be read"
            + ("; includes are relative to the file that has them" if wanted.entry else ""),
            length=length,
        )
        return None
    kept = memory.read(name, data, report) if memory is not None else None
    if kept is not None:
        return _document(*kept, wanted, report)
    source = decode(name, data, report)
    if source is None:
        return None
    root = read_json(source, report) if name.endswith(".json") else read_yaml(source, report)
    return _document(source, root, wanted, report)


def _document(source: Source, root: Node | None, wanted: _Wanted, report: Report) -> Document | None:
    if isinstance(root, Broken):
        return None
    if root is None or (isinstance(root, Scalar) and root.absent):
        report.error(
            Code.EMPTY,
            source.at(0, 0),
            "the file has no policy in it",
            "a policy starts with: version: 1",
        )
        return None
    if not isinstance(root, Mapping):
        schema.wrong_type(report, root, _POLICY, "a mapping")
        return None
    return Document(source, root, wanted.by is None)


def _included(document: Document, wanted: _Wanted, files: Files, report: Report) -> Iterator[_Wanted]:
    node = next((value for key, value in document.root.entries if key.text == "include"), None)
    if node is None:
        return
    folder = posixpath.dirname(wanted.name)
    for entry in schema.texts(report, node, _INCLUDE):
        if entry.text.startswith("/"):
            report.error(
                Code.INCLUDE,
                entry.position,
                f"{quoted(entry.text)} is not relative",
                "name it relative to this file's folder, so that the policy means the same on any machine",
                length=entry.length,
            )
            continue
        if is_pattern(entry.text):
            # Only the entry is a pattern; a bracket in the folder's own name is a bracket.
            pattern = posixpath.normpath(posixpath.join(glob.escape(folder), entry.text))
            for found in _matching(pattern, entry, files, report):
                yield _Wanted(found, entry, wanted)
        else:
            yield _Wanted(posixpath.normpath(posixpath.join(folder, entry.text)), entry, wanted)


def _matching(pattern: str, entry: Scalar, files: Files, report: Report) -> list[str]:
    if "**" in pattern:
        report.error(
            Code.INCLUDE,
            entry.position,
            "`**` is not part of the language",
            "name each folder, as in: include: [a/*.yaml, b/*.yaml]",
            length=entry.length,
        )
        return []
    try:
        found = files.matching(pattern)
    except (OSError, ValueError) as error:
        report.error(
            Code.INCLUDE,
            entry.position,
            f"cannot look for {quoted(entry.text)}: {error}",
            "name files that exist",
            length=entry.length,
        )
        return []
    if not found:
        report.error(
            Code.INCLUDE,
            entry.position,
            f"no file matches {quoted(entry.text)}",
            "patterns are relative to the file that has them; remove the entry if there is none yet",
            length=entry.length,
        )
    return found
