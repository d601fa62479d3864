"""One direction of a policy, arranged for questions about all of its packets at once.

Users come as policy classes, addresses as prefixes in a tree, services as masks. Every question about a
packet is one about a *case*: a policy class, a prefix that is the longest around the packet's address of
those that the class has rules for, and a service class. These are finitely many, so an answer for each of
them is an answer for every packet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from math import inf

from wardgate.compiler.language.model import EVERYONE, GROUP_MARK, Action, Address, Policy, Prefix, Rule
from wardgate.compiler.lint.masks import Mask, ServiceMasks
from wardgate.compiler.lowering.classes import PolicyClasses
from wardgate.compiler.lowering.destinations import destinations

Masks = tuple[Mask, ...]
"""What rules say: a mask for each rank, see Side.rank_of."""

DENY = 0
ALLOW = -1
ASKING = slice(1, -1)
"""Where in Masks the ranks of these are; between them are those of `mfa`."""


Key = int
"""Subjects of a policy class: those that users share, `*` and groups, as bits; and above these bits the
number of the user whose own rules are among them, from 1, if any. A policy class has one such user."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """The subjects with rules for a prefix that meet in some policy classes, and those classes, both
    ascending. Their rules for the prefix are these classes' bucket. `key`: the subjects as one number."""

    key: Key
    subjects: tuple[int, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A prefix that rules are about. The nodes inside it are those from its own number up to `end`.

    `parent`: the node around it, -1: none. `children`: the nodes directly inside. `spare`: an address in
    it that is in none of them, None where they leave none. `rules`: its rules by subject; `shared`: those of
    these subjects that several users may have, as bits.
    """

    prefix: Prefix
    parent: int
    end: int
    children: tuple[int, ...]
    spare: int | None
    rules: dict[int, tuple[Rule, ...]]
    shared: int


class Side:
    """The rules of one direction. Subjects and policy classes go by number; `subjects[i]` has the name."""

    def __init__(self, policy: Policy, classes: PolicyClasses, masks: ServiceMasks, *, inbound: bool) -> None:
        self.inbound = inbound
        self.rules = tuple(rule for rule in policy.rules if rule.inbound is inbound)
        self._masks = masks
        names = dict.fromkeys(rule.subject for rule in policy.rules)
        shared = [name for name in names if name == EVERYONE or name.startswith(GROUP_MARK)]
        self._width = len(shared)
        self.subjects = tuple(dict.fromkeys((*shared, *names)))
        self.number_of = {name: number for number, name in enumerate(self.subjects)}
        self.classes = tuple(
            frozenset(self.number_of[name] for name in found.subjects) for found in classes.classes
        )
        """The subjects of each policy class."""
        self.shared = tuple(_bits(subjects, self._width) for subjects in self.classes)
        """Of each policy class, the subjects that several users may have, as bits."""
        self.own_of = tuple(max(subjects, default=-1) for subjects in self.classes)
        """Of each, the subject that is one user; where there is none, another one, or -1."""
        having: list[list[int]] = [[] for _ in self.subjects]
        for number, subjects in enumerate(self.classes):
            for subject in subjects:
                having[subject].append(number)
        self.having = tuple(tuple(numbers) for numbers in having)
        """The policy classes of each subject."""
        self.nodes, self.places = _tree(self.rules, self.number_of, self._width)
        self._meetings: dict[int, tuple[Meeting, ...]] = {}
        self._own: dict[tuple[int, int], Masks] = {}
        self._said: dict[tuple[int, int], Masks] = {}
        self._mask_of: dict[int, Mask] = {}
        ages = sorted({_age(rule) for rule in self.rules if rule.action is Action.MFA}) or [inf]
        self.ranks = len(ages) + 2
        self.rank_of = {rule.id: _rank(rule, ages) for rule in self.rules}
        """Of each rule, by its id, its rank among all: of those that match, the least wins. They are that of
        `deny`, one for each time that `mfa` rules give a login, and that of `allow`."""

    @cached_property
    def nodes_of(self) -> dict[int, tuple[int, ...]]:
        """The nodes of each rule, by its id."""
        return {
            rule.id: tuple(self.places[prefix] for prefix in dict.fromkeys(rule.destinations))
            for rule in self.rules
        }

    def mask(self, rule: Rule, node: int) -> Mask:
        """The services that `rule` covers, towards addresses of a node's IP version."""
        version = self.nodes[node].prefix.version
        key = rule.id << 1 | (version == 6)
        mask = self._mask_of.get(key)
        if mask is None:
            mask = self._mask_of[key] = self._masks.of(rule.services, version)
        return mask

    def service(self, mask: Mask, node: int) -> tuple[int, int | None]:
        """Protocol and port of a packet in `mask`."""
        return self._masks.one_of(mask, self.nodes[node].prefix.version)

    def meetings(self, node: int) -> tuple[Meeting, ...]:
        """Who meets at a node: every policy class with rules for its prefix is in one of these. Those of
        few subjects come first."""
        found = self._meetings.get(node)
        if found is None:
            found = self._meetings[node] = self._meet(node)
        return found

    def _meet(self, at: int) -> tuple[Meeting, ...]:
        node = self.nodes[at]
        if len(node.rules) == 1:
            (subject,) = node.rules
            classes = self.having[subject]
            return (Meeting(self.present(at, classes[0]), (subject,), classes),) if classes else ()
        grouped: dict[Key, list[int]] = {}
        for number in sorted({number for subject in node.rules for number in self.having[subject]}):
            grouped.setdefault(self.present(at, number), []).append(number)
        found = [Meeting(key, self.subjects_in(key), tuple(classes)) for key, classes in grouped.items()]
        return tuple(sorted(found, key=lambda meeting: (len(meeting.subjects), meeting.subjects)))

    def own(self, node: int, subject: int) -> Masks:
        """What the rules of a subject for a node's prefix cover, by rank."""
        key = (node, subject)
        found = self._own.get(key)
        if found is None:
            masks = [0] * self.ranks
            for rule in self.nodes[node].rules[subject]:
                masks[self.rank_of[rule.id]] |= self.mask(rule, node)
            found = self._own[key] = tuple(masks)
        return found

    def said(self, node: int, subjects: Key) -> Masks:
        """What a bucket says of each service: the rules of `subjects` for a node's prefix, of which the
        stronger ones win."""
        key = (node, subjects)
        found = self._said.get(key)
        if found is None:
            found = self._said[key] = winning(
                [self.own(node, subject) for subject in self.subjects_in(subjects)], self.ranks
            )
        return found

    def present(self, node: int, number: int) -> Key:
        """The subjects of a policy class that have rules for a node's prefix; 0: none has."""
        at, own = self.nodes[node], self.own_of[number]
        key = self.shared[number] & at.shared
        if own >= self._width and own in at.rules:
            key |= (own - self._width + 1) << self._width
        return key

    def subjects_in(self, key: Key) -> tuple[int, ...]:
        """The subjects that a key is of, ascending."""
        found = numbers_of(key & (1 << self._width) - 1)
        own = key >> self._width
        return (*found, self._width + own - 1) if own else found

    def around(self, node: int) -> Iterator[int]:
        """The nodes around a node, innermost first."""
        at = self.nodes[node].parent
        while at >= 0:
            yield at
            at = self.nodes[at].parent

    def has(self, number: int) -> Callable[[int], bool]:
        """Whether a policy class has a bucket at a node."""
        return lambda node: self.present(node, number) != 0

    def decided_at(self, node: int, has: Callable[[int], bool]) -> Address | None:
        """An address for which a node is the innermost of those that `has` says are there; None where the
        ones inside it leave none."""
        found = self._open(node, has)
        if found is None:
            return None
        return IPv4Address(found) if self.nodes[node].prefix.version == 4 else IPv6Address(found)

    def _open(self, node: int, has: Callable[[int], bool]) -> int | None:
        waiting = [node]
        while waiting:
            at = self.nodes[waiting.pop()]
            if at.spare is not None:
                return at.spare
            waiting += (child for child in reversed(at.children) if not has(child))
        return None


def united(masks: Iterable[Mask]) -> Mask:
    """All that any of them covers."""
    found = 0
    for mask in masks:
        found |= mask
    return found


def winning(said: Sequence[Sequence[Mask]], ranks: int) -> Masks:
    """What wins, by rank, where several parts of a bucket say these."""
    stronger, found = 0, []
    for rank in range(ranks):
        mask = united(masks[rank] for masks in said)
        found.append(mask & ~stronger)
        stronger |= mask
    return tuple(found)


def _age(rule: Rule) -> float:
    return inf if rule.within is None else rule.within


def _rank(rule: Rule, ages: Sequence[float]) -> int:
    if rule.action is Action.MFA:
        return 1 + bisect_left(ages, _age(rule))
    return 0 if rule.action is Action.DENY else len(ages) + 1


def _tree(
    rules: tuple[Rule, ...], number_of: dict[str, int], width: int
) -> tuple[tuple[Node, ...], dict[Prefix, int]]:
    """The nodes, in address order, a prefix before those inside it; and the number of each prefix."""
    met: dict[Prefix, dict[int, list[Rule]]] = {}
    for rule in rules:
        subject = number_of[rule.subject]
        for prefix in dict.fromkeys(rule.destinations):
            met.setdefault(prefix, {}).setdefault(subject, []).append(rule)
    space, _ = destinations(tuple(met))
    children: list[list[int]] = [[] for _ in space.prefixes]
    ends = list(range(1, len(children) + 1))
    for number in range(len(children) - 1, -1, -1):
        parent = space.parents[number] - 1
        if parent >= 0:
            children[parent].append(number)
            ends[parent] = max(ends[parent], ends[number])
    spans = [_span(prefix) for prefix in space.prefixes]
    nodes = []
    for number, prefix in enumerate(space.prefixes):
        inside = tuple(reversed(children[number]))
        spare = _spare(spans[number], [spans[child] for child in inside])
        by_subject = {subject: tuple(found) for subject, found in met[prefix].items()}
        shared = _bits(by_subject, width)
        nodes.append(Node(prefix, space.parents[number] - 1, ends[number], inside, spare, by_subject, shared))
    return tuple(nodes), {prefix: number for number, prefix in enumerate(space.prefixes)}


def _bits(subjects: Iterable[int], width: int) -> int:
    """Those below `width`, as bits."""
    bits = 0
    for subject in subjects:
        if subject < width:
            bits |= 1 << subject
    return bits


def numbers_of(bits: int) -> tuple[int, ...]:
    """The numbers of the bits that are set, ascending."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return tuple(found)


def _span(prefix: Prefix) -> tuple[int, int]:
    first = int(prefix.network_address)
    return first, first + (1 << prefix.max_prefixlen - prefix.prefixlen) - 1


def _spare(span: tuple[int, int], taken: list[tuple[int, int]]) -> int | None:
    """An address of `span` outside of those taken, which are in order; not its first where another is as
    good, since that is often no host's."""
    at, last = span
    for first, end in taken:
        if at < first:
            break
        at = end + 1
    else:
        first = last + 1
    if at >= first:
        return None
    return at + 1 if at == span[0] and at + 1 < first else at
