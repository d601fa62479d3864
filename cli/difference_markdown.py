"""What changes between two policies, as Markdown for a review comment.

Whatever comes from a policy stands in code spans, in which nothing is markup, a mention or a link
(CommonMark 0.31, section 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from wardgate.compiler.analysis import wording

if TYPE_CHECKING:
    from wardgate.compiler.analysis.statements import Difference, Membership, Statement
    from wardgate.compiler.analysis.view import Decided
    from wardgate.runtime.layout.manifest import RuleSource

_MOST_OF_GROUPS = 10_000
_MOST_OF_STATEMENTS = 50_000
"""Characters: a comment may have 65,536 on the large hosts of repositories."""
_MOST_NAMES = 10
_MOST_LINES = 5


def code(text: str) -> str:
    """`text` in a code span, whatever is in it."""
    shown = wording.visible(text) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def written(found: Difference) -> str:
    """The comment."""
    return "\n".join(_lines(found))


def _lines(found: Difference) -> Iterator[str]:
    title = "Access widens" if found.widens else "Access does not widen"
    yield f"### {title if found.statements else 'No difference in meaning'}"
    yield ""
    yield f"{code(found.old)} → {code(found.new)}: {wording.outcome(found)}"
    for text in _within(_MOST_OF_GROUPS, (_membership(one) for one in found.memberships)):
        yield ""
        yield text
    texts = _within(_MOST_OF_STATEMENTS, ("\n".join(_statement(one)) for one in found.statements))
    for title, widens in (("Wider", True), ("Narrower", False)):
        mine = [
            text for one, text in zip(found.statements, texts, strict=False) if one.change.widens is widens
        ]
        if mine:
            yield ""
            yield f"#### {title}"
            yield ""
            yield from mine
    hidden = len(found.statements) - len(texts)
    if hidden > 0:
        yield ""
        yield f"{hidden:,} more changes are not shown here; `wardgate diff --all` shows them."


def _within(most: int, texts: Iterable[str]) -> list[str]:
    """The first of the texts that have so many characters together."""
    found = []
    for text in texts:
        most -= len(text) + 2
        if most < 0:
            break
        found.append(text)
    return found


def _membership(change: Membership) -> str:
    parts = [
        f"{_codes(users)} {verb}{'s' * (len(users) == 1)}"
        for users, verb in ((change.joined, "join"), (change.left, "leave"))
        if users
    ]
    return f"{code(change.group)}: {', '.join(parts)}."


def _statement(statement: Statement) -> Iterator[str]:
    witness = statement.witness
    way = "from" if statement.inbound else "to"
    where = _spans(wording.areas(statement, _MOST_NAMES))
    services = _spans(wording.services(statement, _MOST_NAMES))
    yield f"- **{_people(statement)}: {statement.words}** {way} {where}, {services}"
    yield f"  - such as {code(wording.packet(witness.user, witness.packet))}"
    yield f"  - before: {_why(witness.before, statement.old_rules)}"
    yield f"  - now: {_why(witness.after, statement.new_rules)}"


def _people(statement: Statement) -> str:
    found = statement.people
    names = _codes(found.terms, " and in ") if found.both else _codes(found.terms)
    names = f"whoever is in {names}" if found.both else names
    return f"{names} except {_codes(found.excepting)}" if found.excepting else names


def _codes(items: Sequence[object], between: str = ", ") -> str:
    shown = between.join(_name(item) for item in items[:_MOST_NAMES])
    return shown if len(items) <= _MOST_NAMES else f"{shown} and {len(items) - _MOST_NAMES:,} more"


def _name(item: object) -> str:
    from wardgate.compiler.analysis.people import EVERYBODY, UNNAMED

    return str(item) if item in (EVERYBODY, UNNAMED) else code(str(item))


def _spans(text: str) -> str:
    return "; ".join(map(code, text.split("; ")))


def _why(decided: Decided, rules: Sequence[RuleSource]) -> str:
    if decided.rule is None:
        text = f"{decided.label}, {wording.without_rule(decided)}"
        shown = f"{text} ({_places(decided.bucket)})" if decided.bucket else text
    else:
        shown = f"{decided.label}, {_place(decided.rule)} {code(wording.plain(decided.rule.text))}"
    others = [rule for rule in rules if rule != decided.rule]
    return f"{shown}; also {_places(others)}" if others else shown


def _place(rule: RuleSource) -> str:
    return code(f"{rule.file}:{rule.line}")


def _places(rules: Sequence[RuleSource]) -> str:
    places = list(dict.fromkeys(_place(rule) for rule in rules))
    return wording.listed(places, _MOST_LINES)
