"""The policy's side of the matrix of buckets: for each effective policy, the bucket that decides where a
prefix is the longest of all.

A class has a few prefixes of thousands, and shares them with other classes, since its rules are all those
of some subjects. So what each subject has alone is worked out once, as strokes over a row, and a row is
those of the class's subjects. Rows are bytes of the same shape as the table's.

A stroke goes over all that is inside its prefix. Nearly all prefixes have none inside: their strokes are
one entry each, and their order is of no account as long as they come after those of the prefixes around.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wardgate.compiler.language.model import EVERYONE, Rule
from wardgate.compiler.validation.buckets import Buckets
from wardgate.compiler.validation.encoded import Numbers
from wardgate.compiler.validation.prefixes import PrefixTree
from wardgate.compiler.validation.subjects import Subjects

_Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Part:
    """What a subject brings into the effective policies that it is part of: the `rules` of each node, and the
    buckets that nodes are where no other subject has rules for them, except everyone.

    `nodes` are all, `leaves` those with nothing inside, of which `numbers` are the buckets, `inner` the
    others. `unmet`: nodes that no class had so yet, and the buckets that they are then.
    """

    rules: dict[int, list[int]]
    nodes: _Places
    leaves: _Places
    numbers: Numbers
    inner: dict[int, int]
    unmet: dict[int, int]


class ReachRows:
    """Paints the rows of the effective policies of one direction, all of whose rules are `rules`."""

    def __init__(
        self, buckets: Buckets, tree: PrefixTree, rules: Iterable[Rule], element: int, *, inbound: bool
    ) -> None:
        self._buckets = buckets
        self._tree = tree
        self._ends = (0, *tree.ends)
        self._inbound = inbound
        self._kind = np.dtype(f"<u{element}")
        self._rules: dict[str, dict[int, list[int]]] = {EVERYONE: {}}
        for rule in rules:
            of_subject = self._rules.setdefault(rule.subject, {})
            for node in tree.nodes_of_rule[rule.id]:
                of_subject.setdefault(node, []).append(rule.id)
        self._parts: dict[str, _Part] = {}
        # Which class was the last to have a node.
        self._last = np.zeros(len(tree.prefixes) + 1, np.int64)
        self._classes = 0
        self._shared: dict[int, list[int]] = {}
        self._everyone = self._part(self._rules[EVERYONE])
        # Users whom the policy does not name have everyone's as they are.
        self._meet(self._everyone, ())
        self._shared = self._everyone.rules

    def row(self, subjects: Subjects) -> bytes:
        """For NO_PREFIX and each node, the bucket that decides where its prefix is the longest of all:
        that of the longest prefix around it that a rule of the `subjects` has (semantics.reference, step 2).

        ValidationError where the manifest lacks one of their buckets.
        """
        parts = [self._part_of(subject) for subject in subjects if subject != EVERYONE]
        several = self._in_several(parts)
        inner = dict(self._everyone.inner)
        for part in parts:
            inner.update(part.inner)
            self._meet(part, several)
        leaves: list[tuple[int, int]] = []
        for node in several:
            number = self._merged(node, parts)
            if self._is_leaf(node):
                leaves.append((node, number))
            else:
                inner[node] = number

        row = np.zeros(len(self._ends), self._kind)
        for node in sorted(inner):
            row[node : self._ends[node]] = inner[node]
        for part in (self._everyone, *parts):
            row[part.leaves] = part.numbers
        for node, number in leaves:
            row[node] = number
        return row.tobytes()

    def _part_of(self, subject: str) -> _Part:
        part = self._parts.get(subject)
        if part is None:
            part = self._parts[subject] = self._part(self._rules.get(subject, {}))
        return part

    def _part(self, rules: dict[int, list[int]]) -> _Part:
        numbers = {
            node: self._buckets.find(node, self._with_shared(node, own)) for node, own in rules.items()
        }
        leaves = [node for node in numbers if self._is_leaf(node)]
        return _Part(
            rules,
            np.array(list(rules), np.intp),
            np.array(leaves, np.intp),
            np.array([numbers[node] for node in leaves], self._kind),
            {node: number for node, number in numbers.items() if not self._is_leaf(node)},
            numbers,
        )

    def _is_leaf(self, node: int) -> bool:
        return self._ends[node] == node + 1

    def _in_several(self, parts: Sequence[_Part]) -> Sequence[int]:
        """Nodes that more than one part has."""
        if len(parts) < 2:
            return ()
        self._classes += 1
        several: set[int] = set()
        for part in parts:
            again = part.nodes[self._last[part.nodes] == self._classes]
            several.update(again.tolist())
            self._last[part.nodes] = self._classes
        return tuple(several)

    def _meet(self, part: _Part, several: Sequence[int]) -> None:
        """Note which buckets a class has that come from one part alone."""
        if not part.unmet or (several and part.unmet.keys() <= set(several)):
            return
        for node in part.unmet.keys() - set(several):
            number = part.unmet.pop(node)
            self._buckets.meet(number, node, self._with_shared(node, part.rules[node]), self._inbound)

    def _merged(self, node: int, parts: Sequence[_Part]) -> int:
        """The bucket of a node that several parts have."""
        ids = [number for part in parts for number in part.rules.get(node, ())]
        rules = self._with_shared(node, ids)
        number = self._buckets.find(node, rules)
        self._buckets.meet(number, node, rules, self._inbound)
        return number

    def _with_shared(self, node: int, ids: Sequence[int]) -> tuple[int, ...]:
        """Rules of a node with those of everyone, in source order."""
        return tuple(sorted((*self._shared.get(node, ()), *ids)))
