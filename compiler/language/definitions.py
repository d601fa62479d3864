"""The sections that define names: `groups`, `hosts`, `services`; and `tunnel`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wardgate.compiler.language import schema
from wardgate.compiler.language.addresses import looks_like_address, read_prefix
from wardgate.compiler.language.destinations import read_target, unknown_target
from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.includes import Documents
from wardgate.compiler.language.memory import Memory
from wardgate.compiler.language.model import EVERYONE, GROUP_MARK, Position, Prefix, ServiceForm
from wardgate.compiler.language.names import (
    NAME_FORM,
    Vocabulary,
    is_group,
    is_user,
    label_flaw,
    quoted,
)
from wardgate.compiler.language.nodes import Node, Scalar, Sequence
from wardgate.compiler.language.resolver import Names
from wardgate.compiler.language.schema import Shape
from wardgate.compiler.language.services import Definition, Services, expand_definitions
from wardgate.compiler.language.words import Flaw, Reading, Word, report_flaws, split_words

_GROUPS = Shape("`groups`", "groups: {group:admins: [alice, bob]}")
_MEMBERS = Shape("a group's list of members", "group:admins: [alice, bob]")
_MEMBER = Shape("a member", "alice")
_HOSTS = Shape("`hosts`", 'hosts: {lab: [10.1.0.0/16, "fd00:1::/48"]}')
_TARGETS = Shape("a host", "wiki: 10.0.0.5")
_SERVICES = Shape("`services`", "services: {web: [80/tcp, 443/tcp]}")
_FORMS = Shape("a service", "web: [80/tcp, 443/tcp]")
_TUNNEL = Shape("`tunnel`", 'tunnel: [10.9.0.0/16, "fd09::/64"]')


@dataclass(frozen=True, slots=True)
class Definitions:
    """The names of a policy. A name that is defined wrongly is here too, with nothing behind it.

    `complete` is False where a file could not be read; names may be missing then. `group_names` are
    those of `groups`, to suggest.
    """

    groups: Mapping[str, tuple[str, ...]]
    hosts: Mapping[str, tuple[Prefix, ...]]
    services: Mapping[str, tuple[ServiceForm, ...]]
    complete: bool
    group_names: Vocabulary


def sections(documents: Documents, name: str) -> Iterator[Node]:
    """The values of top-level key `name`, file by file."""
    for document in documents.documents:
        for key, value in document.root.entries:
            if key.text == name:
                yield value


def read_definitions(
    documents: Documents, names: Names, report: Report, memory: Memory | None = None
) -> Definitions:
    """Reads `groups`, `hosts` and `services` of all files."""
    groups = _read_groups(documents, report)
    hosts = _remembered_hosts(documents, names, report, memory)
    services = _read_services(documents, report)
    return Definitions(groups, hosts, services, documents.complete, Vocabulary(groups))


def _distinct(
    documents: Documents, section: str, shape: Shape, report: Report
) -> Iterator[tuple[Scalar, Node]]:
    """Entries of a section over all files; reports a name that two files define."""
    first: dict[str, Scalar] = {}
    for node in sections(documents, section):
        for key, value in schema.entries(report, node, shape):
            other = first.setdefault(key.text, key)
            yield key, value
            if other.anchor.source.name == key.anchor.source.name:
                # The reader reported a key that comes twice in one file.
                continue
            report.error(
                Code.DUPLICATE_DEFINITION,
                key.position,
                f"{quoted(key.text)} was already defined at {other.position}",
                "define it in one file, or rename one of them",
                length=key.length,
            )


def _read_groups(documents: Documents, report: Report) -> dict[str, tuple[str, ...]]:
    defined = list(_distinct(documents, "groups", _GROUPS, report))
    groups = {key.text for key, _ in defined}
    found = {}
    for key, node in defined:
        if not is_group(key.text):
            remedy = f"write {GROUP_MARK}NAME; a name has {NAME_FORM}"
            if is_user(key.text):
                remedy = f"write {GROUP_MARK}{key.text}"
            report.error(
                Code.NAME,
                key.position,
                f"{quoted(key.text)} is no group's name",
                remedy,
                length=key.length,
            )
        members: dict[str, Scalar] = {}
        for member in schema.texts(report, node, Shape(_MEMBER.what, _MEMBERS.example)):
            if not check_user(member, groups, report):
                continue
            if members.setdefault(member.text, member) is not member:
                report.warning(
                    Code.DUPLICATE_ENTRY,
                    member.position,
                    f"{quoted(member.text)} is in {key.text} already",
                    "remove one of the two",
                    length=member.length,
                )
        found[key.text] = tuple(members)
    return found


def check_user(scalar: Scalar, groups: Mapping[str, object] | set[str], report: Report) -> bool:
    """Whether `scalar` is a user's name; reports why not. `groups` has the names of all groups."""
    name = scalar.text
    if is_user(name) and GROUP_MARK + name not in groups:
        return True
    code, message = Code.NAME, f"{quoted(name)} is no user's name"
    if is_user(name):
        code = Code.NAME_CLASH
        message = f"user {quoted(name)} is called like the group {quoted(GROUP_MARK + name)}"
        remedy = f"write {GROUP_MARK}{name} where the group is meant, or rename one of them"
    elif name.startswith(GROUP_MARK):
        message = f"{quoted(name)} is a group, where one user should be"
        remedy = "groups do not contain each other, and a test asks about one user; name the users"
    elif name == EVERYONE:
        message = "`*` is everyone, where one user should be"
        remedy = 'name a user; rules for everyone stand under "*" in `policies`'
    else:
        remedy = f"a name has {NAME_FORM}"
    report.error(code, scalar.position, message, remedy, length=scalar.length)
    return False


def check_subject(scalar: Scalar, definitions: Definitions, report: Report) -> bool:
    """Whether `scalar` is `*`, a known group, or a user's name; reports why not."""
    name = scalar.text
    if name == EVERYONE or name in definitions.groups:
        return True
    if not name.startswith(GROUP_MARK):
        return check_user(scalar, definitions.groups, report)
    if definitions.complete:
        report.error(
            Code.UNKNOWN_NAME,
            scalar.position,
            f"no group is called {quoted(name)}",
            definitions.group_names.did_you_mean(name) or "define it under `groups`",
            length=scalar.length,
        )
    return False


def _check_label(key: Scalar, report: Report) -> None:
    flaw = label_flaw(key.text)
    if flaw is not None:
        report.error(
            Code.NAME,
            key.position,
            f"{quoted(key.text)} cannot be a name here",
            flaw,
            length=key.length,
        )


def _remembered_hosts(
    documents: Documents, names: Names, report: Report, memory: Memory | None
) -> Mapping[str, tuple[Prefix, ...]]:
    if memory is None:
        return _read_hosts(documents, names, report)
    nodes, told = tuple(sections(documents, "hosts")), len(report)
    hosts = memory.hosts(nodes)
    if hosts is None:
        hosts = _read_hosts(documents, names, report)
        if len(report) == told:
            memory.keep_hosts(nodes, hosts)
    return hosts


def _read_hosts(documents: Documents, names: Names, report: Report) -> dict[str, tuple[Prefix, ...]]:
    defined = list(_distinct(documents, "hosts", _HOSTS, report))
    known = {key.text for key, _ in defined}
    found = {}
    for key, node in defined:
        _check_label(key, report)
        prefixes: dict[Prefix, None] = {}
        empty = True
        for scalar in schema.texts(report, node, _TARGETS):
            empty = False
            word = Word(scalar.text, 0)
            reading = _read_host_target(word.text, names, known)
            report_flaws(report, scalar, word, reading)
            prefixes.update(dict.fromkeys(reading.value or ()))
        if empty:
            _report_nothing(key, node, _TARGETS, report)
        found[key.text] = tuple(prefixes)
    return found


def _read_host_target(word: str, names: Names, known: set[str]) -> Reading[tuple[Prefix, ...]]:
    reading = None if word in known else read_target(word, names)
    return Reading(None, (unknown_target(word, known),)) if reading is None else reading


def _report_nothing(key: Scalar, node: Node, shape: Shape, report: Report) -> None:
    # A name for nothing would make rules that match nothing, or worse, be read as everything.
    if isinstance(node, Sequence) and not node.items:
        report.error(
            Code.EMPTY,
            node.position,
            f"{quoted(key.text)} stands for nothing",
            f"write {shape.what} as in: {shape.example}",
        )


def _read_services(documents: Documents, report: Report) -> dict[str, tuple[ServiceForm, ...]]:
    parts: dict[str, list[tuple[Scalar, Word]]] = {}
    written: list[tuple[Scalar, Word]] = []
    for key, node in _distinct(documents, "services", _SERVICES, report):
        _check_label(key, report)
        scalars = list(schema.texts(report, node, _FORMS))
        if not scalars:
            _report_nothing(key, node, _FORMS, report)
        parts[key.text] = [(scalar, word) for scalar in scalars for word in split_words(scalar.text)]
        written += parts[key.text]
    definitions = {
        name: Definition(name, tuple(word.text for _, word in words)) for name, words in parts.items()
    }

    def report_cycle(cycle: tuple[str, ...]) -> None:
        after = cycle[1 % len(cycle)]
        scalar, word = next((s, w) for s, w in parts[cycle[0]] if w.text == after)
        report.error(
            Code.SERVICE_CYCLE,
            scalar.at(word.offset),
            f"services contain each other: {' -> '.join((*cycle, cycle[0]))}",
            "write out the ports in one of them",
            length=scalar.span(len(word.text)),
        )

    meaning = expand_definitions(definitions, report_cycle)
    services = Services(meaning)
    for scalar, word in written:
        reading = services.read(word.text)
        if documents.complete or not _only_unknown(reading.flaws):
            report_flaws(report, scalar, word, reading)
    return meaning


def _only_unknown(flaws: tuple[Flaw, ...]) -> bool:
    return all(flaw.code is Code.UNKNOWN_NAME for flaw in flaws)


def read_tunnel(documents: Documents, report: Report) -> list[tuple[Prefix, Position]]:
    """The tunnel's prefixes with their places, in source order."""
    found: list[tuple[Prefix, Position]] = []
    for node in sections(documents, "tunnel"):
        for scalar in schema.texts(report, node, _TUNNEL):
            prefix = _tunnel_prefix(scalar, report)
            if prefix is None:
                continue
            for other, position in found:
                if prefix.overlaps(other):
                    report.error(
                        Code.OVERLAP,
                        scalar.position,
                        f"{prefix} overlaps {other} at {position}",
                        "keep the larger of the two",
                        length=scalar.length,
                    )
            found.append((prefix, scalar.position))
    return found


def _tunnel_prefix(scalar: Scalar, report: Report) -> Prefix | None:
    word = Word(scalar.text, 0)
    if looks_like_address(word.text):
        reading = read_prefix(word.text)
    else:
        flaw = Flaw(
            Code.ADDRESS,
            f"{quoted(word.text)} is no prefix",
            f"write the addresses that devices get, as in: {_TUNNEL.example}",
        )
        reading = Reading(None, (flaw,))
    report_flaws(report, scalar, word, reading)
    return reading.value
