"""What differs in meaning between two policies or artefacts: all of it, and nothing else.

Everybody is in one class of users before and one after, each address in one destination class of either, each
service in one service class of either. What all of these say is compared, for every pair that there is, so
that nothing is left to chance; most pairs are found to be the same by the number of a profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from wardgate.compiler.analysis.address_space import AddressSpace, address_space, example_address, joined
from wardgate.compiler.analysis.areas import describe_addresses
from wardgate.compiler.analysis.boxes import Box, Entries, boxes
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.analysis.levels import Openness
from wardgate.compiler.analysis.people import Directory
from wardgate.compiler.analysis.profiles import Profiles
from wardgate.compiler.analysis.service_space import (
    Mask,
    Services,
    ServiceSpace,
    describe_services,
    is_of_one_version,
    service_space,
)
from wardgate.compiler.analysis.statements import (
    Change,
    Compared,
    Difference,
    Membership,
    Statement,
    Witness,
)
from wardgate.compiler.analysis.view import View
from wardgate.compiler.collection import paused_collection
from wardgate.compiler.language.model import Packet
from wardgate.compiler.lowering.ragged import Integers
from wardgate.runtime.layout.manifest import RuleSource

_CELLS = 1 << 20
"""Cells of rows that are compared at once."""

_MOST_ENTRIES = 40_000_000
"""Pairs of a class and a destination that may differ."""


def compare(old: View, new: View) -> Difference:
    """All that differs in meaning. AnalysisError where that is more than can be told."""
    with paused_collection():
        return _Comparison(old, new).difference()


class _Comparison:
    def __init__(self, old: View, new: View) -> None:
        self._views = (old, new)
        users = sorted({*old.class_of, *new.class_of})
        self._directory = Directory(users, new.groups, old.groups)
        self._stranger = _stranger({*users, *old.groups, *new.groups})
        others = old.class_number(None), new.class_number(None)
        members: dict[tuple[int, int], list[str]] = {others: []}
        for user in users:
            members.setdefault((old.class_number(user), new.class_number(user)), []).append(user)
        self._pairs = np.array(sorted(members), np.int64)
        self._members = [
            self._directory.mask(members[pair]) | (self._directory.unnamed if pair == others else 0)
            for pair in sorted(members)
        ]
        self._addresses: AddressSpace = address_space(self._views)
        self._services: ServiceSpace = service_space(self._views)
        self._profiles = Profiles(self._views, self._services)
        self._told: dict[tuple[int, int], Services] = {}

    def difference(self) -> Difference:
        old, new = self._views
        directions = (False, True) if old.inbound_row or new.inbound_row else (False,)
        statements = [
            self._statement(change, box, inbound)
            for inbound in directions
            for change, entries in self._entries(inbound)
            for whole in boxes(entries)
            for box in self._of_one_form(whole)
        ]
        statements.sort(key=lambda one: (one.change.order, one.inbound, -one.users, str(one.people)))
        compared = Compared(
            len(self._pairs),
            len(directions),
            self._addresses.count,
            sum(map(len, self._services.pieces)),
        )
        return Difference(old.name, new.name, _memberships(old, new), statements, compared)

    def _entries(self, inbound: bool) -> Iterator[tuple[Change, Entries]]:
        """What differs in one direction, by the change that it is."""
        rows, cells, kinds = self._differing(inbound)
        keys, kind = np.unique(kinds, return_inverse=True)
        changed = self._changes(keys)
        for change in sorted({change for found in changed for change in found}, key=lambda one: one.order):
            services = [found.get(change, 0) for found in changed]
            mine = np.flatnonzero(np.array([bool(one) for one in services], bool)[kind])
            # Different pairs of profiles may come to the same.
            numbers: dict[int, int] = {}
            number = np.array([numbers.setdefault(one, len(numbers)) for one in services], np.int64)
            yield change, Entries(rows[mine], cells[mine], number[kind[mine]], list(numbers))

    def _differing(self, inbound: bool) -> tuple[Integers, Integers, Integers]:
        """Rows and cells where profiles differ, and which: old * profiles + new."""
        found = []
        total = 0
        step = max(1, _CELLS // len(self._addresses.version))
        count = len(self._profiles)
        for start in range(0, len(self._pairs), step):
            pairs = self._pairs[start : start + step]
            before, after = (self._profiles_at(side, pairs[:, side], inbound) for side in (0, 1))
            rows, cells = np.nonzero(before != after)
            total += len(rows)
            if total > _MOST_ENTRIES:
                raise AnalysisError(
                    "tell",
                    f"what differs between {self._views[0].name} and {self._views[1].name}",
                    f"more than {_MOST_ENTRIES:,} pairs of a class of users and a destination do",
                    "compare them in parts: leave groups or destinations out of both",
                )
            found.append((rows + start, cells, before[rows, cells] * count + after[rows, cells]))
        return (
            np.concatenate([rows for rows, _, _ in found]),
            np.concatenate([cells for _, cells, _ in found]),
            np.concatenate([kinds for _, _, kinds in found]),
        )

    def _profiles_at(self, side: int, classes: Integers, inbound: bool) -> Integers:
        # Neighbours have the same class before: it is looked up once.
        distinct, place = np.unique(classes, return_inverse=True)
        buckets = self._views[side].buckets(distinct, self._addresses.classes[side], inbound=inbound)
        profiles: Integers = self._profiles.of_bucket[side][buckets][place]
        return profiles

    def _changes(self, keys: Integers) -> list[Mapping[Change, int]]:
        """For each pair of profiles the atoms, as bits, for which they differ, by how."""
        found: list[Mapping[Change, int]] = []
        count = len(self._profiles)
        step = max(1, _CELLS // self._services.count)
        for start in range(0, len(keys), step):
            pairs = [divmod(key, count) for key in keys[start : start + step].tolist()]
            rows = self._profiles.rows({number for pair in pairs for number in pair})
            found += [_changes(rows[old], rows[new]) for old, new in pairs]
        return found

    def _of_one_form(self, box: Box) -> Iterator[Box]:
        """A box, cut by IP version where its services have other words for IPv4 than for IPv6."""
        six = frozenset(cell for cell in box.cells if self._addresses.version[cell] == 6)
        four = box.cells - six
        if four and six and is_of_one_version(self._services, self._mask(box.services)):
            yield Box(box.rows, four, box.services)
            yield Box(box.rows, six, box.services)
        else:
            yield box

    def _mask(self, services: int) -> Mask:
        data = np.frombuffer(services.to_bytes(-(-self._services.count // 8), "little"), np.uint8)
        return np.unpackbits(data, bitorder="little", count=self._services.count).astype(bool)

    def _statement(self, change: Change, box: Box, inbound: bool) -> Statement:
        rows, cells = np.array(sorted(box.rows)), np.array(sorted(box.cells))
        mask = self._mask(box.services)
        version = self._addresses.version[int(cells[0])]
        users = 0
        for row in rows.tolist():
            users |= self._members[row]
        intervals = joined(
            {self._addresses.version[cell]: self._addresses.intervals[cell]} for cell in cells.tolist()
        )
        old_rules, new_rules = (self._rules(side, rows, cells, mask, inbound) for side in (0, 1))
        subjects = {rule.policy for rule in (*old_rules, *new_rules)}
        return Statement(
            change,
            inbound,
            self._directory.describe(users, subjects),
            (users & ~self._directory.unnamed).bit_count(),
            describe_addresses(intervals),
            self._described(box.services, mask, version),
            self._witness(rows, int(cells[0]), mask, inbound),
            old_rules,
            new_rules,
        )

    def _described(self, services: int, mask: Mask, version: int) -> Services:
        # The same sets come up again and again.
        key = services, version
        if key not in self._told:
            self._told[key] = describe_services(self._services, mask, version)
        return self._told[key]

    def _witness(self, rows: Integers, cell: int, mask: Mask, inbound: bool) -> Witness:
        row = next((r for r in rows.tolist() if self._members[r] != self._directory.unnamed), int(rows[0]))
        user = self._directory.example(self._members[row])
        version = self._addresses.version[cell]
        remote = example_address(self._addresses.intervals[cell], version)
        atom = self._services.best(mask, version)
        packet = Packet(remote, *self._services.example(atom, version), inbound)
        decided = []
        for side, view in enumerate(self._views):
            column = self._addresses.classes[side][cell : cell + 1]
            bucket = int(view.buckets(self._pairs[row : row + 1, side], column, inbound=inbound)[0, 0])
            decided.append(view.decided(bucket, int(self._services.classes[side][version][atom])))
        return Witness(user or self._stranger, packet, *decided)

    def _rules(
        self,
        side: int,
        rows: Integers,
        cells: Integers,
        mask: Mask,
        inbound: bool,
    ) -> tuple[RuleSource, ...]:
        """The rules by which one side decides of a box's packets, in the order of the source."""
        view = self._views[side]
        classes = np.unique(self._pairs[rows, side])
        found: set[int] = set()
        for version in (4, 6):
            own = cells[self._addresses.versions[cells] == version]
            if not len(own):
                continue
            columns = np.unique(self._addresses.classes[side][own])
            buckets = np.unique(view.buckets(classes, columns, inbound=inbound))
            service_classes = np.unique(self._services.classes[side][version][mask])
            found |= view.deciding(buckets[buckets != 0].astype(np.int64), service_classes)
        return tuple(view.rule(number) for number in sorted(found))


def _memberships(old: View, new: View) -> tuple[Membership, ...]:
    found = []
    for group in sorted(old.groups.keys() & new.groups.keys()):
        before, after = old.groups[group], new.groups[group]
        if before != after:
            found.append(Membership(group, tuple(sorted(after - before)), tuple(sorted(before - after))))
    return tuple(found)


def _changes(before: Openness, after: Openness) -> Mapping[Change, int]:
    differs = before != after
    pairs = np.unique(before[differs].astype(np.uint64) << np.uint64(32) | after[differs].astype(np.uint64))
    found = {}
    for pair in pairs.tolist():
        change = Change(pair >> 32, pair & (1 << 32) - 1)
        mask = (before == change.before) & (after == change.after)
        found[change] = int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")
    return found


def _stranger(taken: Sequence[str] | set[str]) -> str:
    """A user's name that nobody has."""
    names = {name.removeprefix("group:") for name in taken}
    name, number = "anyone-else", 1
    while name in names:
        number += 1
        name = f"anyone-else-{number}"
    return name
