"""What changes between two policies, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from wardgate.compiler.analysis import wording

if TYPE_CHECKING:
    from wardgate.compiler.analysis.statements import Difference, Statement
    from wardgate.compiler.analysis.view import Decided
    from wardgate.runtime.layout.manifest import RuleSource

T = TypeVar("T")

_WIDTH = 80
_MARGIN = 9
_LABEL = 10
MOST_STATEMENTS = 40
"""Statements that are shown unless all are wanted; those that widen access come first."""
_MOST_NAMES = 12
_MOST_LINES = 6


def shown(found: Difference, *, everything: bool = False) -> Iterator[str]:
    """Paragraphs, without empty lines between them."""
    most = None if everything else _MOST_NAMES
    members = [
        _filled(f"{one.group}: ", wording.membership(one, most))
        for one in _first(found.memberships, everything)
    ]
    if members:
        yield "\n".join(members)
    for statement in _first(found.statements, everything):
        yield _statement(statement, most, everything)
    hidden = len(found.statements) - len(_first(found.statements, everything))
    if hidden:
        yield f"{hidden:,} more changes are not shown; --all shows them, --json has them."
    yield "\n".join(textwrap.wrap(wording.outcome(found), _WIDTH))


def _first(items: Sequence[T], everything: bool) -> Sequence[T]:
    return items if everything else items[:MOST_STATEMENTS]


def _statement(statement: Statement, most: int | None, everything: bool) -> str:
    change, witness = statement.change, statement.witness
    margin = " " * _MARGIN
    mark = "WIDER" if change.widens else "narrower"
    rows = [
        ("from" if statement.inbound else "to", wording.areas(statement, most)),
        ("service", wording.services(statement, most)),
        ("such as", wording.packet(witness.user, witness.packet)),
        *_why("before", witness.before, statement.old_rules, everything),
        *_why("now", witness.after, statement.new_rules, everything),
    ]
    lines = [
        _filled(mark.ljust(_MARGIN), f"{wording.people(statement, most)}: {statement.words}", margin),
        *(
            _filled(" " * _MARGIN + label.ljust(_LABEL), text, " " * (_MARGIN + _LABEL))
            for label, text in rows
        ),
    ]
    return "\n".join(lines)


def _why(
    label: str, decided: Decided, rules: Sequence[RuleSource], everything: bool
) -> Iterator[tuple[str, str]]:
    """The rule that decides the witness, and the places of others that decide such packets."""
    if decided.rule is None:
        yield label, f"{decided.label}: {wording.without_rule(decided)}"
        if decided.bucket:
            yield "", _places("its rules:", decided.bucket, everything)
    else:
        rule = decided.rule
        yield label, f'{decided.label}: {place(rule)} "{wording.plain(rule.text)}"'
    others = [rule for rule in rules if rule != decided.rule]
    if others:
        yield "", _places("also", others, everything)


def place(rule: RuleSource) -> str:
    """Where a rule stands."""
    return f"{wording.plain(rule.file)}:{rule.line}"


def _places(label: str, rules: Sequence[RuleSource], everything: bool) -> str:
    places = list(dict.fromkeys(place(rule) for rule in rules))
    return f"{label} {wording.listed(places, None if everything else _MOST_LINES)}"


def _filled(label: str, text: str, margin: str | None = None) -> str:
    # Labels that are no margin have a group's name, which may be anything in an artefact.
    return textwrap.fill(
        wording.visible(text),
        _WIDTH,
        initial_indent="".join(c if c.isprintable() else "?" for c in label),
        subsequent_indent=" " * len(label) if margin is None else margin,
        break_on_hyphens=False,
        break_long_words=False,
    )
