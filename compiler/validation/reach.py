"""The policy's side of the matrix of buckets: for each effective policy, the bucket that decides where a
prefix is the longest of all.

A class has a few prefixes of thousands, and shares them with other classes, since its rules are all those
of some subjects. So what each subject has alone is worked out once, and a row is that of everyone with
the class's other subjects painted over it. Rows are bytes of the same shape as the table's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import EVERYONE, Rule
from wardgate.compiler.validation.buckets import Buckets
from wardgate.compiler.validation.prefixes import PrefixTree

_Stroke = tuple[int, int, bytes, int]
"""(first byte, end, a bucket's bytes, how many times)"""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a subject other than everyone brings into the effective policies that it is part of.

    `ids`: the rules of each node, `rules` of them in all. `strokes`: how a node is painted where no
    other subject has rules for it, except that of everyone. `unmet`: nodes that no class had so yet,
    and the buckets that they are then.
    """

    rules: int
    ids: dict[int, list[int]]
    strokes: dict[int, _Stroke]
    unmet: dict[int, int]


class ReachRows:
    """Paints the rows of the effective policies of one direction, all of whose rules are `rules`."""

    def __init__(self, buckets: Buckets, tree: PrefixTree, rules: Iterable[Rule], element: int) -> None:
        self._buckets = buckets
        self._tree = tree
        self._element = element
        self._rules: dict[str, list[Rule]] = {EVERYONE: []}
        for rule in rules:
            self._rules.setdefault(rule.subject, []).append(rule)
        self._parts: dict[str, _Part] = {}
        self._shared = self._by_node(self._rules[EVERYONE])
        self._shared_nodes = sorted(self._shared)
        self._shared_row = bytearray((len(tree.prefixes) + 1) * element)
        # An outer prefix is painted before those in it, here and below.
        for node in self._shared_nodes:
            # Users whom the policy does not name have these as they are.
            number = self._find_met(node, ())
            first, end, code, count = self._stroke(node, number)
            self._shared_row[first:end] = code * count

    def row(self, rules: Sequence[Rule]) -> bytearray:
        """For NO_PREFIX and each node, the bucket that decides where its prefix is the longest of all:
        that of the longest prefix around it that one of the `rules` has (semantics.reference, step 2).

        `rules` are an effective policy's. ValidationError where the manifest lacks one of their buckets.
        """
        parts = self._parts_of(rules)
        several = _in_several(parts)
        strokes: dict[int, _Stroke] = {}
        for part in parts:
            strokes.update(part.strokes)
            self._meet(part, several)
        for node in several:
            ids = [number for part in parts for number in part.ids.get(node, ())]
            strokes[node] = self._stroke(node, self._find_met(node, ids))
        row = self._shared_row.copy()
        for node in sorted(strokes):
            first, end, code, count = strokes[node]
            row[first:end] = code * count
            if self._shared:
                self._restore_inside(row, node)
        return row

    def _parts_of(self, rules: Sequence[Rule]) -> list[_Part]:
        """The subjects whose rules `rules` are, but for everyone."""
        parts = []
        counted = len(self._rules[EVERYONE])
        for subject in {rule.subject for rule in rules} - {EVERYONE}:
            part = self._parts.get(subject)
            if part is None:
                part = self._parts[subject] = self._part(self._rules[subject])
            parts.append(part)
            counted += part.rules
        if counted != len(rules):
            raise AssertionError("an effective policy has some of a subject's rules, and not all")
        return parts

    def _part(self, rules: Sequence[Rule]) -> _Part:
        ids = self._by_node(rules)
        numbers = {node: self._buckets.find(node, self._with_shared(node, own)) for node, own in ids.items()}
        strokes = {node: self._stroke(node, number) for node, number in numbers.items()}
        return _Part(len(rules), ids, strokes, numbers)

    def _meet(self, part: _Part, several: set[int]) -> None:
        """Note which buckets a class has that come from one part alone."""
        if not part.unmet or part.unmet.keys() <= several:
            return
        for node in part.unmet.keys() - several:
            self._buckets.meet(part.unmet.pop(node), node, self._with_shared(node, part.ids[node]))

    def _find_met(self, node: int, ids: Sequence[int]) -> int:
        """The bucket of a prefix that a class has with the rules `ids` beside those of everyone."""
        rules = self._with_shared(node, ids)
        number = self._buckets.find(node, rules)
        self._buckets.meet(number, node, rules)
        return number

    def _with_shared(self, node: int, ids: Sequence[int]) -> tuple[int, ...]:
        """Rules of a node with those of everyone, in source order."""
        return tuple(sorted((*self._shared.get(node, ()), *ids)))

    def _by_node(self, rules: Iterable[Rule]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for rule in rules:
            for node in self._tree.nodes_of_rule[rule.id]:
                found.setdefault(node, []).append(rule.id)
        return found

    def _stroke(self, node: int, number: int) -> _Stroke:
        element, end = self._element, self._tree.ends[node - 1]
        return node * element, end * element, number.to_bytes(element, "little"), end - node

    def _restore_inside(self, row: bytearray, node: int) -> None:
        """Put back the prefixes of everyone that are longer than the one just painted."""
        element, nodes, ends = self._element, self._shared_nodes, self._tree.ends
        position = bisect_right(nodes, node)
        while position < len(nodes) and nodes[position] < ends[node - 1]:
            inner = nodes[position]
            end = ends[inner - 1]
            row[inner * element : end * element] = self._shared_row[inner * element : end * element]
            position = bisect_left(nodes, end, position)


def _in_several(parts: Sequence[_Part]) -> set[int]:
    """Nodes that more than one part has."""
    if len(parts) < 2:
        return set()
    seen: set[int] = set()
    several: set[int] = set()
    for part in parts:
        several |= seen & part.ids.keys()
        seen |= part.ids.keys()
    return several
