"""Rules without which the policy would say the same.

A rule is *dead* if no verdict changes when it is removed, whoever sends what. Of rules that are dead only
because of each other some have to stay; those that are found here can be removed all at once, and of
the rules that are then left none can be removed any more. Narrow rules go before wide ones, later ones
before earlier ones.

For a policy class, the rule's prefix and the services that it covers, removing it changes nothing if

- no address is left for the prefix, since longer prefixes have them all; or
- other rules of the bucket say the same of these services, or something stronger; or
- the rule is alone in its bucket, and what then decides, the bucket around, says exactly the same.

A rule is dead if that is so for all of its prefixes in each class that has it, and so if no class has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from wardgate.compiler.language.model import Rule
from wardgate.compiler.lint.masks import Mask
from wardgate.compiler.lint.side import Masks, Meeting, Side, united, winning


class Part:
    """The rules of a subject for a prefix that are not known to be dead. By rank: `once` has the services
    that any of them covers, `twice` those that several do."""

    __slots__ = ("_side", "once", "rules", "twice")

    def __init__(self, side: Side, rules: Iterable[tuple[Rule, Mask]]) -> None:
        self._side = side
        self.rules = {rule.id: (rule, mask) for rule, mask in rules}
        self.once: list[Mask] = []
        self.twice: list[Mask] = []
        self._count()

    def _count(self) -> None:
        once, twice = [0] * self._side.ranks, [0] * self._side.ranks
        for rule, mask in self.rules.values():
            rank = self._side.rank_of[rule.id]
            twice[rank] |= once[rank] & mask
            once[rank] |= mask
        self.once, self.twice = once, twice

    def without(self, rule: Rule) -> list[Mask]:
        """`once`, if `rule` were not there."""
        once = list(self.once)
        if rule.id in self.rules:
            rank, mask = self._side.rank_of[rule.id], self.rules[rule.id][1]
            once[rank] &= ~(mask & ~self.twice[rank])
        return once

    def covers(self, rule: Rule, mask: Mask) -> bool:
        """Whether rules that are as strong as `rule`, or stronger, cover all of `mask`."""
        return not mask & ~_upto(self.once, self._side.rank_of[rule.id])

    def remove(self, gone: Iterable[Rule]) -> None:
        """Take rules out."""
        for rule in gone:
            del self.rules[rule.id]
        self._count()


class Living:
    """The rules of a side that are not known to be dead; `dead` are the others, in the order found."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.dead: dict[int, Rule] = {}
        self.parts: list[dict[int, Part]] = [
            {
                subject: Part(side, ((rule, side.mask(rule, number)) for rule in rules))
                for subject, rules in node.rules.items()
            }
            for number, node in enumerate(side.nodes)
        ]
        self._meetings: dict[int, dict[int, list[Meeting]]] = {}
        self._touched: list[tuple[int, int]] = []

    def bury(self) -> None:
        """Find all dead rules."""
        for rule in self.side.rules:
            if not self.side.having[self.side.number_of[rule.subject]]:
                self._remove(rule)
        self._bury_within_parts()
        waiting = [rule for rule in self.side.rules if rule.id not in self.dead]
        while waiting:
            self._touched = []
            for rule in sorted(waiting, key=self._order):
                if self._is_dead(rule):
                    self._remove(rule)
            waiting = self._rules_touched()

    def has(self, number: int) -> Callable[[int], bool]:
        """Whether a policy class has a bucket at a node."""
        subjects = self.side.classes[number]
        return lambda node: not subjects.isdisjoint(self.parts[node])

    def bucket(self, node: int, number: int) -> list[tuple[Rule, Mask]]:
        """The rules of a policy class for a node's prefix, with what they cover."""
        parts = self.parts[node]
        subjects = [
            subject for subject in self.side.subjects_in(self.side.present(node, number)) if subject in parts
        ]
        return [pair for subject in subjects for pair in parts[subject].rules.values()]

    def _order(self, rule: Rule) -> tuple[int, int, int]:
        nodes = self.side.nodes_of[rule.id]
        longest = max(self.side.nodes[node].prefix.prefixlen for node in nodes)
        width = max(self.side.mask(rule, node).bit_count() for node in nodes)
        return -longest, width, -rule.id

    def _bury_within_parts(self) -> None:
        """What other rules of the same subject for the same prefix cover, for many rules at a time."""
        for node, parts in enumerate(self.parts):
            for part in list(parts.values()):
                if len(part.rules) > 1:
                    for rule in self._covered_within(part):
                        self.dead[rule.id] = rule
                    part.remove(rule for rule, _ in list(part.rules.values()) if rule.id in self.dead)
            self.parts[node] = {subject: part for subject, part in parts.items() if part.rules}

    def _covered_within(self, part: Part) -> list[Rule]:
        found: list[Rule] = []
        stronger = 0
        for rank in range(self.side.ranks):
            ours = [pair for pair in part.rules.values() if self.side.rank_of[pair[0].id] == rank]
            kept = stronger
            free = []
            for rule, mask in ours:
                if len(self.side.nodes_of[rule.id]) == 1:
                    free.append((rule, mask))
                else:
                    # Of several prefixes; looked at when all of them are.
                    kept |= mask
            free.sort(key=lambda pair: (pair[1].bit_count(), -pair[0].id))
            behind = [0] * (len(free) + 1)
            for place in range(len(free) - 1, -1, -1):
                behind[place] = behind[place + 1] | free[place][1]
            for place, (rule, mask) in enumerate(free):
                if mask & ~(kept | behind[place + 1]):
                    kept |= mask
                else:
                    found.append(rule)
            stronger |= part.once[rank]
        return found

    def _remove(self, rule: Rule) -> None:
        self.dead[rule.id] = rule
        subject = self.side.number_of[rule.subject]
        for node in self.side.nodes_of[rule.id]:
            part = self.parts[node][subject]
            part.remove((rule,))
            self._touched.append((node, node + 1))
            if not part.rules:
                del self.parts[node][subject]
                # Prefixes inside have another one around them now. Those around only have more addresses, and
                # no rule is dead for that.
                self._touched.append((node, self.side.nodes[node].end))

    def _rules_touched(self) -> list[Rule]:
        found: dict[int, Rule] = {}
        at = 0
        for first, end in sorted(self._touched):
            for node in range(max(first, at), end):
                for part in self.parts[node].values():
                    found |= {number: rule for number, (rule, _) in part.rules.items()}
            at = max(at, end)
        return list(found.values())

    def _is_dead(self, rule: Rule) -> bool:
        return all(self._idle(rule, node) for node in self.side.nodes_of[rule.id])

    def _idle(self, rule: Rule, node: int) -> bool:
        """Whether removing `rule` changes nothing about a node's prefix, for all policy classes."""
        subject, rank = self.side.number_of[rule.subject], self.side.rank_of[rule.id]
        parts = self.parts[node]
        part = parts[subject]
        mask = part.rules[rule.id][1]
        alone = len(part.rules) == 1
        needed = mask if alone else mask & ~_upto(part.without(rule), rank)
        if not needed:
            return True
        for meeting in self.meetings_of(node, subject):
            others = [parts[other] for other in meeting.subjects if other != subject and other in parts]
            if others or not alone:
                rest = needed
                for other in others:
                    rest &= ~_upto(other.once, rank)
                if rest and any(self._decides(node, number) for number in meeting.classes):
                    return False
            elif not all(
                self._repeats(rule, node, number) or not self._decides(node, number)
                for number in meeting.classes
            ):
                return False
        return True

    def meetings_of(self, node: int, subject: int) -> list[Meeting]:
        """The meetings at a node that a subject is in."""
        found = self._meetings.get(node)
        if found is None:
            found = defaultdict(list)
            for meeting in self.side.meetings(node):
                for one in meeting.subjects:
                    found[one].append(meeting)
            self._meetings[node] = found
        return found[subject]

    def _decides(self, node: int, number: int) -> bool:
        """Whether an address is left for a node's prefix in a policy class."""
        return (
            self.side.nodes[node].spare is not None
            or self.side.decided_at(node, self.has(number)) is not None
        )

    def _repeats(self, rule: Rule, node: int, number: int) -> bool:
        """Whether the bucket around says what `rule` says alone at a node."""
        own = [0] * self.side.ranks
        own[self.side.rank_of[rule.id]] = self.side.mask(rule, node)
        return self._around_says(rule, node, number) == tuple(own)

    def _around_says(self, rule: Rule, node: int, number: int) -> Masks:
        subjects = self.side.classes[number]
        for around in self.side.around(node):
            parts = [part for subject, part in self.parts[around].items() if subject in subjects]
            if any(len(part.rules) > (rule.id in part.rules) for part in parts):
                return winning([part.without(rule) for part in parts], self.side.ranks)
        return ()


def _upto(masks: list[Mask], rank: int) -> Mask:
    """What rules of this rank and stronger ones cover."""
    return united(masks[: rank + 1])


def dead_rules(side: Side) -> Living:
    """The dead rules of a side, and what is left."""
    living = Living(side)
    living.bury()
    return living
