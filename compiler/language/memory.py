"""What a reader that reads a policy again and again keeps from one time to the next.

Only what was read without an error is kept, and only what cannot read otherwise now is taken again: nodes
whose text is the same; and the hosts and rules of those, from the last run without an error, if the names
in them still mean the same. Where there are DNS names, whose addresses have to be asked for anew, these are
nodes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import attrgetter

from wardgate.compiler.language.diagnostics import Code, Diagnostic, Report
from wardgate.compiler.language.model import Position, Prefix, Rule, ServiceForm
from wardgate.compiler.language.nodes import Node
from wardgate.compiler.language.source import Source, decode
from wardgate.compiler.language.top_level import Entry, read_entries

Hosts = Mapping[str, tuple[Prefix, ...]]
Services = Mapping[str, tuple[ServiceForm, ...]]
_Hosts = tuple[tuple[Node, ...], Hosts]


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    source: Source
    root: Node
    entries: Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class _Section:
    """`rules` of the section `node`, which stood at `place`; the first one's id is `first`. `warnings`: told
    while they were read."""

    node: Node
    place: Position
    first: int
    rules: Sequence[Rule]
    warnings: tuple[Diagnostic, ...]
    hosts: Hosts
    services: Services


class Memory:
    """See the module. `seen` is called for each file of a run, `end` at its end."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._seen: set[str] = set()
        self._sections: dict[int, _Section] = {}
        self._used: dict[int, _Section] = {}
        self._hosts: _Hosts = ((), {})
        self._new_hosts: _Hosts = self._hosts

    def read(self, name: str, data: bytes, report: Report) -> tuple[Source, Node] | None:
        """A file as it would be read, or None where it has to be read as a whole. Reports nothing."""
        self._seen.add(name)
        kept = self._files.pop(name, None)
        if kept is None or kept.data != data:
            aside = Report()
            source = decode(name, data, aside)
            found = None if source is None else read_entries(source, kept.entries if kept else {})
            if source is None or found is None:
                return None
            kept = _File(data, source, *found)
        self._files[name] = kept
        report.add_source(name, kept.source)
        return kept.source, kept.root

    def hosts(self, nodes: Sequence[Node]) -> Hosts | None:
        """What the sections `nodes` said last time, if they are the same."""
        kept, hosts = self._hosts
        same = len(kept) == len(nodes) and all(a is b for a, b in zip(kept, nodes, strict=True))
        return hosts if same else None

    def keep_hosts(self, nodes: Sequence[Node], hosts: Hosts) -> None:
        """Keep what the sections `nodes` say, of which nothing was reported."""
        self._new_hosts = tuple(nodes), hosts

    def rules(
        self, node: Node, first: int, hosts: Hosts, services: Services, report: Report
    ) -> Sequence[Rule] | None:
        """The rules of the section `node`, from id `first` on, if they read as last time; reports what was
        reported then."""
        kept = self._sections.get(id(node))
        if kept is None or kept.node is not node or not _same(kept.hosts, hosts):
            return None
        place = node.position
        if not _same(kept.services, services) or (kept.place.file, kept.place.column) != (
            place.file,
            place.column,
        ):
            return None
        lines = place.line - kept.place.line
        if lines or first != kept.first:
            rules = _moved(kept.rules, first, lines)
            warnings = tuple(_warning_moved(warning, lines) for warning in kept.warnings)
            kept = _Section(node, place, first, rules, warnings, hosts, services)
        for warning in kept.warnings:
            report.warning(
                warning.code, warning.position, warning.message, warning.remedy, length=warning.length
            )
        self._used[id(node)] = kept
        return kept.rules

    def keep_rules(
        self,
        node: Node,
        rules: Sequence[Rule],
        first: int,
        hosts: Hosts,
        services: Services,
        told: tuple[Diagnostic, ...],
    ) -> None:
        """Keep the rules of the section `node`, of which `told` was reported."""
        # Others are errors, or have places in their texts.
        if all(diagnostic.code is Code.HOST_BITS for diagnostic in told):
            place = node.position
            self._used[id(node)] = _Section(node, place, first, rules, told, hosts, services)

    def end(self, *, failed: bool, asked: bool) -> None:
        """Forget what the run that ends did not use. `failed`: it had errors; `asked`: for DNS names."""
        self._files = {name: kept for name, kept in self._files.items() if name in self._seen}
        if asked:
            self._sections, self._hosts = {}, ((), {})
        elif not failed:
            self._sections, self._hosts = self._used, self._new_hosts
        self._seen, self._used, self._new_hosts = set(), {}, self._hosts


def _same(first: Mapping[str, object], second: Mapping[str, object]) -> bool:
    return first is second or first == second


def _moved(rules: Sequence[Rule], first: int, lines: int) -> list[Rule]:
    """The rules with ids from `first` on, so many lines further down. By columns: there may be thousands."""
    content = map(attrgetter("action", "subject", "inbound", "text"), rules)
    services = map(attrgetter("destinations", "services", "within"), rules)
    files = [rule.position.file for rule in rules]
    numbers = [rule.position.line + lines for rule in rules]
    columns = [rule.position.column for rule in rules]
    places = map(Position, files, numbers, columns)
    return [
        Rule(number, *said, place, *meant)
        for number, said, place, meant in zip(count(first), content, places, services)
    ]


def _warning_moved(warning: Diagnostic, lines: int) -> Diagnostic:
    place = warning.position
    return Diagnostic(
        warning.severity,
        warning.code,
        warning.message,
        Position(place.file, place.line + lines, place.column),
        warning.source_line,
        warning.remedy,
        warning.length,
    )
