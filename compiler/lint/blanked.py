"""Buckets that blank part of a broader one, and DNS names that resolve into one.

The longest prefix decides alone. So a rule for one address, or a name that stands for it, takes the address
out of the prefixes around it: what the rules for these let pass there is dropped, unless a rule for the
address says so again. Whoever writes the narrow rule seldom means that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wardgate.compiler.language.model import Prefix, Rule
from wardgate.compiler.lint.masks import Mask
from wardgate.compiler.lint.side import DENY, Side, united

DnsNames = Mapping[str, Mapping[str, tuple[Prefix, ...]]]
"""By the destination that a rule may have: the DNS names that it is or contains, with their addresses."""


@dataclass(frozen=True, slots=True)
class Blanked:
    """A bucket without a rule for services (`mask`) that the bucket around it, at `outer`, lets pass.

    For users of the policy class `number`, whose bucket at `node` begins with `rule`; `lost`: the rules
    around that would let them pass, in source order.
    """

    rule: Rule
    node: int
    number: int
    outer: int
    mask: Mask
    lost: tuple[Rule, ...]


def blanked_buckets(side: Side) -> Iterator[Blanked]:
    """One for each prefix and each rule that is the first one of a bucket there which blanks."""
    for node in range(len(side.nodes)):
        if side.nodes[node].parent < 0:
            continue
        seen: set[int] = set()
        for meeting in side.meetings(node):
            rules = side.nodes[node].rules
            first = min((rules[subject][0] for subject in meeting.subjects), key=lambda rule: rule.id)
            if first.id in seen:
                continue
            said = side.said(node, meeting.key)
            mentioned = united(said)
            for number in meeting.classes:
                found = _blanked(side, node, number, first, mentioned)
                if found is not None:
                    seen.add(first.id)
                    yield found
                    break


def _blanked(side: Side, node: int, number: int, first: Rule, mentioned: Mask) -> Blanked | None:
    outer = side.nodes[node].parent
    while outer >= 0 and not side.present(outer, number):
        outer = side.nodes[outer].parent
    if outer < 0:
        return None
    subjects = side.present(outer, number)
    mask = united(side.said(outer, subjects)[DENY + 1 :]) & ~mentioned
    if not mask or side.decided_at(node, side.has(number)) is None:
        return None
    lost = [
        rule
        for subject in side.subjects_in(subjects)
        for rule in side.nodes[outer].rules[subject]
        if side.mask(rule, outer) & mask
    ]
    return Blanked(first, node, number, outer, mask, tuple(sorted(lost, key=lambda rule: rule.id)))


@dataclass(frozen=True, slots=True)
class NamedInside:
    """A rule for a DNS name with an address, at `node`, inside the prefix of `other`, at `outer`. Users of
    the policy class `number` have both rules."""

    rule: Rule
    name: str
    node: int
    number: int
    outer: int
    other: Rule


def names_inside(side: Side, names_of: DnsNames) -> Iterator[NamedInside]:
    """One for each rule and each DNS name that it is about. `names_of`: by the destination that a rule may
    have, the DNS names that it is or contains, with their addresses."""
    for rule in side.rules:
        for name, prefixes in names_of.get(destination_word(rule), {}).items():
            inside = (_inside(side, rule, name, prefix, names_of) for prefix in prefixes)
            found = next(filter(None, inside), None)
            if found is not None:
                yield found


def _inside(
    side: Side,
    rule: Rule,
    name: str,
    prefix: Prefix,
    names_of: DnsNames,
) -> NamedInside | None:
    node = side.places[prefix]
    having = side.having[side.number_of[rule.subject]]
    for outer in side.around(node):
        for subject, rules in side.nodes[outer].rules.items():
            number = next((number for number in having if subject in side.classes[number]), None)
            if number is None:
                continue
            for other in rules:
                if name not in names_of.get(destination_word(other), {}):
                    return NamedInside(rule, name, node, number, outer, other)
    return None


def destination_word(rule: Rule) -> str:
    """The destination as the rule names it."""
    return rule.text.partition(" ")[0]
