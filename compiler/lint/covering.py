"""Which rules make a dead rule dead: of those that are left when all dead rules are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wardgate.compiler.language.model import Address, Rule
from wardgate.compiler.lint.dead import Living
from wardgate.compiler.lint.findings import InconsistencyError
from wardgate.compiler.lint.masks import Mask
from wardgate.compiler.lint.side import Side

_ENOUGH = 6
"""Rules of one kind after which no more are looked for: nobody reads on, and there may be thousands."""


@dataclass(slots=True)
class Cover:
    """What makes a rule dead, by the ids of rules: those of its own buckets that say the same or something
    stronger (`covering`), those of buckets around that then say the same (`repeating`), and those of
    longer prefixes that leave it no address (`longer`).

    An example: users of the policy class `number`, `address`, services `mask`, at the rule's `node`. With
    `open`, the rule's bucket decides there.
    """

    node: int
    number: int
    address: Address
    mask: Mask
    open: bool
    covering: dict[int, Rule] = field(default_factory=dict)
    repeating: dict[int, Rule] = field(default_factory=dict)
    longer: dict[int, Rule] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All of them, in source order."""
        found = {**self.covering, **self.repeating, **self.longer}
        return tuple(found[number] for number in sorted(found))


def cover_of(living: Living, rule: Rule) -> Cover | None:
    """What makes a dead rule dead; None where no policy class has it."""
    side = living.side
    subject = side.number_of[rule.subject]
    found: Cover | None = None
    for node in side.nodes_of[rule.id]:
        for meeting in living.meetings_of(node, subject):
            # Whose rules for the prefix are the same is told the same, unless it is about others.
            same = side.nodes[node].spare is not None and any(
                other in living.parts[node] for other in meeting.subjects
            )
            for number in meeting.classes[:1] if same else meeting.classes:
                found = _explain(living, rule, node, number, found)
                if max(len(found.covering), len(found.repeating), len(found.longer)) >= _ENOUGH:
                    return found
            own = living.parts[node].get(subject)
            if same and own is not None and own.covers(rule, side.mask(rule, node)):
                # By itself, whoever else has rules there.
                break
    return found


def _explain(living: Living, rule: Rule, node: int, number: int, found: Cover | None) -> Cover:
    side = living.side
    mask = side.mask(rule, node)
    address = side.decided_at(node, side.has(number))
    if address is None:
        first = side.nodes[node].prefix.network_address
        found = found or Cover(node, number, first, mask, False)
        found.longer.update((other.id, other) for other in _inside(side, node, number))
        return found
    where, around = node, side.around(node)
    while not (bucket := living.bucket(where, number)):
        where = next(around)
    chosen = _covering(side, bucket, rule, mask)
    if found is None or not found.open:
        longer = found.longer if found is not None else {}
        found = Cover(node, number, address, mask & chosen[0][1], True, longer=longer)
    kind = found.covering if where == node else found.repeating
    kind.update((other.id, other) for other, _ in chosen)
    return found


def _covering(
    side: Side, bucket: Sequence[tuple[Rule, Mask]], rule: Rule, mask: Mask
) -> list[tuple[Rule, Mask]]:
    """Few rules of a bucket that are as strong as `rule` or stronger and together cover `mask`: one, where
    one does."""
    ranks = side.rank_of
    able = [(other, covers) for other, covers in bucket if ranks[other.id] <= ranks[rule.id]]
    for pair in able:
        if not mask & ~pair[1]:
            return [pair]
    chosen: list[tuple[Rule, Mask]] = []
    while mask:
        useful = [pair for pair in able if pair[1] & mask]
        if not useful:
            raise InconsistencyError(f"{rule.position}: `{rule.text}` is dead, and nothing covers it")
        chosen.append(max(useful, key=lambda pair: ((pair[1] & mask).bit_count(), -pair[0].id)))
        mask &= ~chosen[-1][1]
    return chosen


def _inside(side: Side, node: int, number: int) -> list[Rule]:
    """A rule for each of the outermost longer prefixes inside a node's."""
    has = side.has(number)
    found: list[Rule] = []
    waiting = list(reversed(side.nodes[node].children))
    while waiting and len(found) < _ENOUGH:
        at = waiting.pop()
        if has(at):
            found.append(side.nodes[at].rules[side.subjects_in(side.present(at, number))[0]][0])
        else:
            waiting += reversed(side.nodes[at].children)
    return found
