"""Puts a node tree together from a reader's events, without recursion."""

from __future__ import annotations

from dataclasses import dataclass, field

from wardgate.compiler.language import nodes
from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.names import quoted
from wardgate.compiler.language.nodes import Node, Scalar
from wardgate.compiler.language.source import Anchor


class StopReadingError(Exception):
    """The rest of the file cannot be read; what is wrong has been reported."""


@dataclass(slots=True)
class _List:
    offset: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class _Map:
    offset: int
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)
    first: dict[str, Scalar] = field(default_factory=dict)
    key: Node | None = None


class TreeBuilder:
    """Takes nodes in source order, whose offsets are from `anchor`; `root` is the first complete one.

    `depth`: of how many lists and mappings the root is part.
    """

    def __init__(self, anchor: Anchor, report: Report, depth: int = 0) -> None:
        self.root: Node | None = None
        self._anchor = anchor
        self._report = report
        self._deepest = nodes.MAX_DEPTH - depth
        self._open: list[_List | _Map] = []

    def open_list(self, offset: int) -> None:
        """Starts a list."""
        self._descend(offset)
        self._open.append(_List(offset))

    def open_map(self, offset: int) -> None:
        """Starts a mapping; what follows are its keys and values in turn."""
        self._descend(offset)
        self._open.append(_Map(offset))

    def _descend(self, offset: int) -> None:
        if len(self._open) >= self._deepest:
            self._report.error(
                Code.NESTING,
                self._anchor.place(offset),
                f"lists and mappings are nested more than {nodes.MAX_DEPTH} levels deep",
                "a policy needs five levels; look for brackets that are not closed",
            )
            raise StopReadingError

    def close(self) -> None:
        """Ends the innermost list or mapping."""
        done = self._open.pop()
        if isinstance(done, _List):
            self.add(nodes.Sequence(tuple(done.items), self._anchor, done.offset))
        else:
            self.add(nodes.Mapping(tuple(done.entries), self._anchor, done.offset))

    def add_list(self, offset: int, items: tuple[Scalar, ...]) -> None:
        """Takes a list of scalars that is complete."""
        self._descend(offset)
        self.add(nodes.Sequence(items, self._anchor, offset))

    def add(self, node: Node) -> None:
        """Takes a node that is complete."""
        if self._report.full:
            raise StopReadingError
        if not self._open:
            self.root = self.root or node
            return
        parent = self._open[-1]
        if isinstance(parent, _List):
            parent.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            self._add_entry(parent, parent.key, node)
            parent.key = None

    def _add_entry(self, parent: _Map, key: Node, value: Node) -> None:
        if isinstance(key, nodes.Broken):
            return
        if not isinstance(key, Scalar):
            self._report.error(
                Code.TYPE,
                key.position,
                "a list or mapping cannot be a key",
                "write a name before the colon, in quotes if it starts with a bracket or `?`",
            )
            return
        if key.plain and key.text == "<<":
            self._report.error(
                Code.UNSUPPORTED_YAML,
                key.position,
                "merge keys (`<<`) are not part of the language",
                "write the entries out, so that each has its own line",
                length=2,
            )
            return
        # A value that comes too late is kept, so that what is wrong in it is reported too.
        parent.entries.append((key, value))
        first = parent.first.setdefault(key.text, key)
        if first is not key:
            self._report.error(
                Code.DUPLICATE_KEY,
                key.position,
                f"key {quoted(key.text)} was already given at {first.position}",
                "put everything under one key, or rename one of them",
                length=key.length,
            )
