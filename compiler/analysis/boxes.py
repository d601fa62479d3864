"""Boxes: what is true of each of some rows, in each of some cells, for each of some services.

A set of (row, cell, services) is brought together into few boxes that are it exactly, each place in one box.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

import numpy as np
from wardgate.compiler.lowering.ragged import Integers, Lists, distinct, grouped

_MOST_PLANS = 1 << 16
"""Groups of entries up to which the other order of merging is tried as well."""
_MOST_SETS = 256
"""Sets of services up to which it is tried to cut them."""

Set = frozenset[int]


@dataclass(frozen=True, slots=True)
class Box:
    """All of `rows` with all of `cells` and all of `services`, which are the bits of a number."""

    rows: Set
    cells: Set
    services: int


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """`services[n]` is what the number `n` in `kind` stands for, as bits. The arrays have one element an
    entry, and no two entries the same row and cell."""

    row: Integers
    cell: Integers
    kind: Integers
    services: Sequence[int]


def boxes(entries: Entries) -> list[Box]:
    """Few boxes that together are the entries, in no order."""
    if not len(entries.row):
        return []
    best = _settled(_by(entries, entries.cell, entries.row, rows_first=True), _ORDERS[0])
    other_groups = len(np.unique(entries.row * len(entries.services) + entries.kind))
    if len(best) > 1 and other_groups <= _MOST_PLANS:
        other = _settled(_by(entries, entries.row, entries.cell, rows_first=False), _ORDERS[1])
        best = min(best, other, key=len)
    if len(best) > 1 and len({box.services for box in best}) <= _MOST_SETS:
        # Services that occur apart somewhere are better told apart from the beginning, or not.
        best = min(best, *(_settled(_in_atoms(best), order) for order in _ORDERS), key=len)
    return best


def _by(entries: Entries, outer: Integers, inner: Integers, *, rows_first: bool) -> list[Box]:
    """Entries of the same `outer` and services together, and then what has the same of all `inner`."""
    count = len(entries.services)
    keys, members = grouped(outer * count + entries.kind, inner)
    number, first = distinct(Lists(*_sorted_lists(members)))
    sets = [frozenset(members.values[members.offsets[at] : members.offsets[at + 1]].tolist()) for at in first]
    together, outers = grouped(number * count + keys % count, keys // count)
    found = []
    for place, key in enumerate(together.tolist()):
        mine = frozenset(outers.values[outers.offsets[place] : outers.offsets[place + 1]].tolist())
        inners, services = sets[key // count], entries.services[key % count]
        found.append(Box(inners, mine, services) if rows_first else Box(mine, inners, services))
    return found


def _sorted_lists(lists: Lists) -> tuple[Integers, Integers]:
    order = np.lexsort((lists.values, lists.owners))
    return lists.values[order], lists.offsets


_Key = Callable[[Box], Hashable]
_Merge = tuple[_Key, Callable[[list[Box]], Box]]


def _any_services(mine: list[Box]) -> Box:
    return replace(mine[0], services=reduce(or_, (box.services for box in mine)))


def _any_cells(mine: list[Box]) -> Box:
    return replace(mine[0], cells=frozenset().union(*(box.cells for box in mine)))


def _any_rows(mine: list[Box]) -> Box:
    return replace(mine[0], rows=frozenset().union(*(box.rows for box in mine)))


_SERVICES: _Merge = (lambda box: (box.rows, box.cells), _any_services)
_CELLS: _Merge = (lambda box: (box.rows, box.services), _any_cells)
_ROWS: _Merge = (lambda box: (box.cells, box.services), _any_rows)
_ORDERS = ((_SERVICES, _CELLS, _ROWS), (_SERVICES, _ROWS, _CELLS), (_CELLS, _ROWS, _SERVICES))


def _settled(found: list[Box], order: Iterable[_Merge]) -> list[Box]:
    """Boxes that differ in one way only brought together, until there are none."""
    while True:
        count = len(found)
        for key, merge in order:
            found = _merged(found, key, merge)
        if len(found) == count:
            return found


def _merged(found: list[Box], key: _Key, merge: Callable[[list[Box]], Box]) -> list[Box]:
    alike: dict[Hashable, list[Box]] = {}
    for box in found:
        alike.setdefault(key(box), []).append(box)
    if len(alike) == len(found):
        return found
    return [mine[0] if len(mine) == 1 else merge(mine) for mine in alike.values()]


def _in_atoms(found: list[Box]) -> list[Box]:
    """The boxes cut so that services of any two are the same or apart."""
    sets = {box.services for box in found}
    parts: list[int] = []
    for services in sets:
        rest, cut = services, []
        for part in parts:
            cut += [piece for piece in (part & services, part & ~services) if piece]
            rest &= ~part
        parts = [*cut, rest] if rest else cut
    of_set = {services: [part for part in parts if part & services] for services in sets}
    return [replace(box, services=part) for box in found for part in of_set[box.services]]
