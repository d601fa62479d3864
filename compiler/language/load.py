"""From a policy file, or a text, to a Policy or every error in it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.compiler.language import schema
from wardgate.compiler.language.claims import ClaimReader
from wardgate.compiler.language.definitions import read_definitions, read_tunnel
from wardgate.compiler.language.destinations import Destinations
from wardgate.compiler.language.diagnostics import Code, Diagnostic, Report
from wardgate.compiler.language.files import DiskFiles, Files, MemoryFiles
from wardgate.compiler.language.includes import Document, Documents, read_documents
from wardgate.compiler.language.memory import Memory
from wardgate.compiler.language.model import EVERYONE, GROUP_MARK, Action, Policy, Rule, SourceFile
from wardgate.compiler.language.names import Vocabulary, quoted
from wardgate.compiler.language.nodes import Broken, Node, Scalar
from wardgate.compiler.language.resolver import Names, Resolver
from wardgate.compiler.language.rules import WordReader, read_rules
from wardgate.compiler.language.schema import Shape
from wardgate.compiler.language.top_level import KEYS

VERSION = "1"
"""The version of the language that this release knows."""

_POLICY = Shape("a policy", "version: 1")
_NO_DOCUMENTS = Documents((), True)
_NO_DOCUMENTS = Documents((), True)


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy without errors, and what may surprise its author, in source order. `documents`: what it was
    read from, for questions about names and not about meaning; none where it was not read from a text."""

    policy: Policy
    warnings: tuple[Diagnostic, ...]
    documents: Documents = field(default=_NO_DOCUMENTS, compare=False, repr=False)


def load_policy(path: Path, *, resolver: Resolver | None = None) -> LoadedPolicy:
    """Reads the policy at `path` and the files that it includes.

    JSON where the name ends in `.json`, else YAML. DNS names are asked of `resolver`; without one
    they are errors. Positions and `Policy.files` name files relative to the folder of `path`.
    Raises PolicyError, with every error of every file.
    """
    return _load(DiskFiles(path.parent), path.name or str(path), resolver)


def parse_policy_text(
    text: str | bytes,
    name: str = "policy.yaml",
    files: Mapping[str, str | bytes] | None = None,
    *,
    resolver: Resolver | None = None,
) -> LoadedPolicy:
    """Like `load_policy`, for a policy at hand; `files` are what it may include, by relative name."""
    return _load(MemoryFiles({**(files or {}), name: text}), posixpath.normpath(name), resolver)


class PolicyReader:
    """Reads the policy at `path` again and again, each time as `load_policy` does.

    What did not change since the last time is taken from `memory`, so that it is ready sooner.
    """

    def __init__(self, path: Path, *, resolver: Resolver | None = None) -> None:
        self._path = path
        self._resolver = resolver
        self._memory = Memory()

    def load(self) -> LoadedPolicy:
        """The policy as its files are now. Raises PolicyError, with every error of every file."""
        path = self._path
        return _load(DiskFiles(path.parent), path.name or str(path), self._resolver, self._memory)


def _load(files: Files, main: str, resolver: Resolver | None, memory: Memory | None = None) -> LoadedPolicy:
    report = Report()
    documents = read_documents(files, main, report, memory)
    for document in documents.documents:
        _check_head(document, report)
    names = Names(resolver)
    tunnel = read_tunnel(documents, report)
    definitions = read_definitions(documents, names, report, memory)
    destinations = Destinations(definitions.hosts, names, definitions.complete)
    words = WordReader(definitions, destinations, report)
    rules = read_rules(documents, definitions, words, report, memory)
    users = _named_users(definitions.groups, rules)
    claims = ClaimReader(definitions, users, Vocabulary(users), words, report)
    tests = tuple(claims.tests(documents))
    assertions = tuple(claims.assertions(documents))
    _warn_if_closed(documents, rules, report)
    if memory is not None:
        memory.end(failed=report.failed, asked=bool(names.asked))
    report.raise_if_failed()
    policy = Policy(
        files=tuple(SourceFile(d.source.name, d.source.text) for d in documents.documents),
        tunnel=tuple(prefix for prefix, _ in tunnel),
        tunnel_positions=tuple(position for _, position in tunnel),
        groups=definitions.groups,
        rules=rules,
        tests=tests,
        assertions=assertions,
        resolved=dict(sorted(names.asked.items())),
    )
    return LoadedPolicy(policy, report.diagnostics(), documents)


def _named_users(groups: Mapping[str, tuple[str, ...]], rules: tuple[Rule, ...]) -> frozenset[str]:
    members = {member for group in groups.values() for member in group}
    subjects = {rule.subject for rule in rules if not rule.subject.startswith(GROUP_MARK)}
    return frozenset(members | subjects - {EVERYONE})


def _check_head(document: Document, report: Report) -> None:
    found: dict[str, tuple[Scalar, Node]] = {}
    for key, value in document.root.entries:
        if key.text in KEYS:
            found[key.text] = (key, value)
        else:
            schema.unknown_key(report, key, _POLICY, KEYS)
    if "version" in found:
        _check_version(found["version"][1], report)
    elif document.main:
        report.error(
            Code.MISSING_KEY,
            document.root.position,
            "the policy has no `version`",
            f"put `version: {VERSION}` on its first line",
        )
    if "tunnel" in found and not document.main:
        key = found["tunnel"][0]
        report.error(
            Code.MISPLACED,
            key.position,
            "`tunnel` stands in an included file",
            "move it to the main file, where everyone looks for it",
            length=key.length,
        )


def _check_version(node: Node, report: Report) -> None:
    if isinstance(node, Broken) or (isinstance(node, Scalar) and node.plain and node.text == VERSION):
        return
    shown = quoted(node.text) if isinstance(node, Scalar) else schema.kind_of(node)
    if isinstance(node, Scalar) and node.text == VERSION:
        message, remedy = "`version` is a text, not a number", "remove the quotes"
    else:
        message = f"{shown} is no version of the language"
        remedy = f"write `version: {VERSION}`, the one that this release knows"
    report.error(Code.VERSION, node.position, message, remedy, length=schema.length_of(node))


def _warn_if_closed(documents: Documents, rules: tuple[Rule, ...], report: Report) -> None:
    if not report.failed and all(rule.action is Action.DENY for rule in rules):
        report.warning(
            Code.NOTHING_ALLOWED,
            documents.documents[0].root.position,
            "no rule allows anything, so every packet is dropped",
            'add rules, as in: policies: {"*": {allow: ["10.0.0.5 443/tcp"]}}',
        )
