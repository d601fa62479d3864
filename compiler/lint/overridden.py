"""Rules that more specific rules of other subjects take the effect from.

A `deny` is *defeated*, and an `mfa` *bypassed*, where a packet that it covers passes (for `mfa`: without a
login) because a longer prefix decides about it, and no rule under the subject of the `deny` or `mfa` lets
it pass there: what one subject denies, the rules of another one allow. Exceptions that a subject
makes from its own rules are how the language is meant to be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wardgate.compiler.language.model import Action, Rule
from wardgate.compiler.lint.masks import Mask
from wardgate.compiler.lint.side import ALLOW, ASKING, DENY, Meeting, Side, numbers_of, united

MOST_NAMED = 5
"""Rules that a finding names; of more it says that there are more."""

_Guards = dict[int, tuple[Mask, Mask]]
"""By subject, what its `deny` and its `mfa` rules around a prefix cover."""


@dataclass(slots=True)
class Overridden:
    """A `deny` or `mfa` rule that others take the effect from: at `node`, for users of the policy class
    `number`, about the services `mask`. `by`: rules that do, there and elsewhere, MOST_NAMED + 1 at most."""

    rule: Rule
    node: int
    number: int
    mask: Mask
    by: dict[int, Rule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Passing:
    """What passes at a node by rules of others than a subject: at all, and without a login."""

    any: Mask
    open: Mask


def overridden_rules(side: Side) -> list[Overridden]:
    """The defeated and bypassed rules of a side, in source order."""
    found: dict[int, Overridden] = {}
    guards: list[_Guards] = []
    for number, node in enumerate(side.nodes):
        guarding = guards[node.parent] if node.parent >= 0 else {}
        if guarding:
            _look(side, number, guarding, found)
        guards.append(_joined(side, number, guarding))
    return [found[rule] for rule in sorted(found)]


def _joined(side: Side, node: int, outer: _Guards) -> _Guards:
    """The guards of what is inside a node."""
    added = {}
    for subject in side.nodes[node].rules:
        own = side.own(node, subject)
        asking = united(own[ASKING])
        if own[DENY] | asking:
            deny, mfa = outer.get(subject, (0, 0))
            added[subject] = (deny | own[DENY], mfa | asking)
    return {**outer, **added} if added else outer


def _look(side: Side, node: int, guarding: _Guards, found: dict[int, Overridden]) -> None:
    for meeting in side.meetings(node):
        said = side.said(node, meeting.key)
        if not united(said[DENY + 1 :]):
            continue
        shared, own = 0, set()
        for number in meeting.classes:
            shared |= side.shared[number]
            own.add(side.own_of[number])
        for subject in sorted({*numbers_of(shared), *own} & guarding.keys()):
            passing = _by_others(side, node, meeting, subject)
            deny, mfa = guarding[subject]
            if passing.any & deny or passing.open & mfa:
                _attribute(side, node, meeting, subject, passing, found)


def _by_others(side: Side, node: int, meeting: Meeting, subject: int) -> _Passing:
    said = side.said(node, meeting.key)
    mfa, allow = united(said[ASKING]), said[ALLOW]
    if subject in meeting.subjects:
        own = side.own(node, subject)
        mfa &= ~united(own[ASKING])
        allow &= ~own[ALLOW]
    return _Passing(mfa | allow, allow)


def _attribute(
    side: Side, node: int, meeting: Meeting, subject: int, passing: _Passing, found: dict[int, Overridden]
) -> None:
    number = next(
        (
            number
            for number in meeting.classes
            if subject in side.classes[number] and side.decided_at(node, side.has(number)) is not None
        ),
        None,
    )
    if number is None:
        return
    for rule, taken in _guards_around(side, node, subject, passing):
        known = found.get(rule.id)
        if known is None:
            known = found[rule.id] = Overridden(rule, node, number, taken)
        if len(known.by) <= MOST_NAMED:
            for other in _takers(side, node, meeting, subject, taken):
                if len(known.by) <= MOST_NAMED:
                    known.by[other.id] = other


def _guards_around(side: Side, node: int, subject: int, passing: _Passing) -> Iterator[tuple[Rule, Mask]]:
    """The rules of `subject` around a node that cover what passes, and what that is."""
    for around in side.around(node):
        for rule in side.nodes[around].rules.get(subject, ()):
            if rule.action is not Action.ALLOW:
                lost = passing.any if rule.action is Action.DENY else passing.open
                taken = side.mask(rule, node) & lost
                if taken:
                    yield rule, taken


def _takers(side: Side, node: int, meeting: Meeting, subject: int, taken: Mask) -> Iterator[Rule]:
    """The rules of a bucket that let `taken` pass, or some of it."""
    said = side.said(node, meeting.key)
    for other in meeting.subjects:
        if other != subject:
            for rule in side.nodes[node].rules[other]:
                passes = rule.action is not Action.DENY and said[side.rank_of[rule.id]]
                if passes and side.mask(rule, node) & passes & taken:
                    yield rule
