"""What programs find in tables, one packet at a time: lookup.h line by line, in every form of tables.

`meaning` asks it about every packet, and `touched` are the entries that doing so reads. `claims` asks about
buckets besides that no packet gets to, as the proof does. It is a second decoder, slow and without any idea,
for tests of the one that proves artefacts right.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache, cached_property, wraps
from itertools import pairwise
from typing import Any

from encoded_policy import CODES, EncodedPolicy

PORT_PROTOCOLS = (6, 17, 132)
U32 = (1 << 32) - 1
U64 = (1 << 64) - 1
TOP = {4: 1 << 32, 6: 1 << 128}


def parts6(shared_bits: int, address: int) -> tuple[int, int]:
    """What an IPv6 address is compared by, and boundaries are in tables: halves; where bits are shared, the
    last 63 bits, and the 64 before them."""
    low_bits = 63 if shared_bits else 64
    return address >> low_bits & U64, address & (1 << low_bits) - 1


def reached6(shared_bits: int, address: int, boundary: tuple[int, int], *, wide: bool = True) -> bool:
    """Whether an address has reached a boundary of these parts, as programs compare: where bits are shared,
    by the sign of differences. Not `wide`: no boundary has a low part."""
    high, low = parts6(shared_bits, address)
    if not shared_bits:
        return (high, low) >= boundary
    low_reached = boundary[1] - low - 1 >> 63 & 1 if wide else 1
    return not _not_negative(boundary[0] - high - low_reached)


class _OutsideError(Exception):
    """A load behind the end of a table: what asked for it gives 0."""


def _not_negative(number: int) -> bool:
    """Of a difference in 64 bits."""
    return not number >> 63 & 1


def _guarded(look_up: Callable[..., int]) -> Callable[..., int]:
    @wraps(look_up)
    def guarded(*arguments: object) -> int:
        try:
            return look_up(*arguments)
        except _OutsideError:
            return 0

    return guarded


def _without_repetitions(said: list[tuple[int, int, Any]]) -> list[tuple[int, int, Any]]:
    """Of neighbours that have the same first and last, the first."""
    return said[:1] + [
        entry for before, entry in pairwise(said) if before[2] != entry[2] or before[0] != entry[0]
    ]


class Walk:
    """`escaped`: (table, index) that a lookup asked for outside the table, or outside its row of a matrix.
    `needed`: the furthest entries that searches could read, by table: programs look whether they are there.

    What `known`, a walk of other tables, has found is taken over as far as it must be the same here; it has
    escaped nowhere. Then `touched` is not all.
    """

    def __init__(self, encoded: EncodedPolicy, known: Walk | None = None) -> None:
        self.encoded = encoded
        self.values = {
            name: struct.unpack(f"<{len(data) // element}{CODES[element]}", data)
            for name, (element, data) in encoded.tables.items()
        }
        self.parameters = encoded.manifest.parameters
        self.touched: set[tuple[str, int]] = set()
        self.escaped: set[tuple[str, int]] = set()
        self.needed: dict[str, int] = {}
        self.remembering = known is None
        self.inbound = any(rule.inbound for rule in encoded.policy.rules)
        self._judged: dict[int, list[tuple[int, int, int]]] = {}
        if known:
            for name, prefixes in (
                ("destinations4", ("route4",)),
                ("destinations6", ("route6",)),
                ("services", ("ports", "protocols")),
            ):
                if self._parts(prefixes) == known._parts(prefixes):
                    self.__dict__[name] = getattr(known, name)
            judging = ("buckets", "bucket_rules", "judge", "within", "fragment_class", "ports", "protocols")
            if self._parts(judging) == known._parts(judging):
                self._judged = dict(known._judged)

    def _parts(self, prefixes: tuple[str, ...]) -> object:
        tables = {name: data for name, data in self.encoded.tables.items() if name.startswith(prefixes)}
        parameters = {name: value for name, value in self.parameters.items() if name.startswith(prefixes)}
        return tables, parameters

    def load(self, table: str, index: int) -> int:
        values = self.values[table]
        if index >= len(values):
            self.escaped.add((table, index))
            raise _OutsideError
        self.touched.add((table, index))
        return values[index]

    def destination(self, version: int, address: int) -> int | None:
        """None: programs without tables for the version drop the packet before they ask."""
        if version == 4:
            if "route4_roots" in self.values:
                return self.trie4(address)
            if "route4_boundaries" in self.parameters:
                return self.code4(address)
            return self.search4(address) if "route4_class" in self.values else None
        return self.search6(address) if "route6_class" in self.values else None

    @_guarded
    def trie4(self, address: int) -> int:
        pointer = self.parameters["route4_pointer"]
        entry = self.load("route4_roots", address >> 16)
        if "route4_nodes" in self.values:
            for shift in (8, 0):
                if entry & pointer:
                    entry = self.load("route4_nodes", (entry & ~pointer & U32) << 8 | address >> shift & 255)
        return entry

    @_guarded
    def search4(self, address: int) -> int:
        bits, position = self.parameters["route4_index_bits"], 0
        if bits:
            position = self.load("route4_index", address >> (32 - bits))
        steps = self.parameters["route4_steps"]
        self._check_has("route4_keys", position, steps)
        if steps & 1:
            step = 1 << steps - 1
            position += step * self._reached4(address, position + step)
        for shift in range(steps & ~1, 0, -2):
            # Three boundaries at once: two halving steps, if they are in order.
            step = 1 << shift - 2
            position += step * sum([self._reached4(address, position + n * step) for n in (1, 2, 3)])
        return self.load("route4_class", position)

    def _check_has(self, table: str, position: int, steps: int) -> None:
        """Programs look once whether a search can leave its table, if it has any steps."""
        furthest = position + (1 << steps) - 1
        if steps and furthest >= len(self.values[table]):
            self.escaped.add((table, furthest))
            raise _OutsideError
        if steps:
            self.needed[table] = max(self.needed.get(table, 0), furthest)

    def _reached4(self, address: int, position: int) -> bool:
        return _not_negative(address - self.load("route4_keys", position))

    @_guarded
    def code4(self, address: int) -> int:
        reached = sum(_not_negative(address - key) for key in self._constants(4))
        return self.load("route4_class", reached)

    def _constants(self, version: int) -> list[int]:
        numbers = range(1, self.parameters[f"route{version}_boundaries"] + 1)
        if version == 4:
            return [self.parameters[f"route4_boundary_{n}"] for n in numbers]
        return [
            self.parameters[f"route6_boundary_{n}_high"] << 64 | self.parameters[f"route6_boundary_{n}_low"]
            for n in numbers
        ]

    def _begin(self, table: str, position: int, steps: int) -> None:
        """What a search compares before it begins: whether its steps can leave the table."""
        furthest = position + (1 << steps) - 1
        # A table of low halves may be shorter, but programs do not compare with its length.
        if steps and furthest >= len(self.values[table]):
            self.escaped.add((table, furthest))
            raise _OutsideError

    @_guarded
    def search6(self, address: int) -> int:
        parameters = self.parameters
        shared_bits, index_bits = parameters["route6_shared_bits"], parameters.get("route6_index_bits", 0)
        high, position = address >> 64, 0
        if shared_bits:
            shared = high >> (64 - shared_bits)
            if shared < parameters["route6_shared"]:
                return parameters["route6_below"]
            if shared > parameters["route6_shared"]:
                return parameters["route6_above"]
        if "route6_boundaries" in parameters:
            keys = [parts6(shared_bits, key) for key in self._constants(6)]
            reached = sum(reached6(shared_bits, address, key) for key in keys)
            return self.load("route6_class", reached)
        if index_bits:
            cell = high >> (64 - shared_bits - index_bits) & (1 << index_bits) - 1
            position = self.load("route6_index", cell)
        self._begin("route6_high", position, parameters["route6_steps"])
        self._check_has("route6_high", position, parameters["route6_steps"])
        step = 1 << parameters["route6_steps"] >> 1
        while step:
            high = self.load("route6_high", position + step)
            low = self.load("route6_low", position + step) if "route6_low" in self.values else 0
            position += step * reached6(shared_bits, address, (high, low))
            step >>= 1
        return self.load("route6_class", position)

    @_guarded
    def bucket(self, row: int, destination: int) -> int:
        if "reach" in self.values:
            return self.load("reach", self._cell("reach", row, destination))
        entry = self.load("reach_directory", self._place("reach", row, destination))
        if "reach_pages" in self.values:
            return self.load("reach_pages", entry << 6 | destination & 63)
        starts = self.load("reach_lines", 2 * entry)
        base = self.load("reach_lines", 2 * entry + 1)
        rank = (starts & (2 << (destination & 63)) - 1).bit_count()
        return self.load("reach_values", base + rank & U64)

    @_guarded
    def service(self, protocol: int, port: int) -> int:
        if "ports_directory" not in self.values or protocol not in PORT_PROTOCOLS:
            return self.load("protocols", protocol)
        page = self.load("ports_directory", PORT_PROTOCOLS.index(protocol) << 8 | port >> 8)
        return self.load("ports_pages", page << 8 | port & 255)

    @_guarded
    def decision(self, bucket: int, service: int) -> int:
        """The deciding rule and its verdict, `rule << 2 | verdict`; of an mfa from bit 40 on the seconds that
        the rule gives a login, 0 where it does not say."""
        record = self.load("buckets", bucket)
        judgement = self.judgement(record >> 32, service)
        if not judgement:
            return 0
        entry = self.load("bucket_rules", (record & U32) + (judgement >> 2))
        if "within" not in self.values:
            return entry << 2 | judgement & 3
        seconds = self.seconds(entry >> 1) if entry & 1 and judgement & 3 == 2 else 0
        return seconds << 40 | entry >> 1 << 2 | judgement & 3

    def seconds(self, rule: int) -> int:
        """How long a rule that says so gives a login; never is no time that a rule says."""
        try:
            return self.load("within", rule) or 1 << 33
        except _OutsideError:
            return 1 << 33

    @_guarded
    def judgement(self, pattern: int, service: int) -> int:
        if "judge" in self.values:
            return self.load("judge", self._cell("judge", pattern, service))
        page = self.load("judge_directory", self._place("judge", pattern, service))
        return self.load("judge_pages", page << 6 | service & 63)

    def _cell(self, matrix: str, row: int, column: int) -> int:
        width = self.parameters[f"{matrix}_width"]
        if column >= width:
            # In the table, perhaps, but in another row.
            self.escaped.add((matrix, row * width + column))
        return row * width + column

    def _place(self, matrix: str, row: int, column: int) -> int:
        width = self.parameters[f"{matrix}_per_row"]
        if column >> 6 >= width:
            self.escaped.add((f"{matrix}_directory", row * width + (column >> 6)))
        return row * width + (column >> 6)

    def row(self, policy_class: int, inbound: bool) -> int:
        return policy_class + (self.parameters["inbound_row"] if inbound else 0)

    def edges(self, version: int) -> Iterator[int]:
        """Addresses from which on a lookup may go another way, not in order."""
        if version == 4:
            yield from self._edges4()
            return
        bits, index_bits = self.parameters["route6_shared_bits"], self.parameters.get("route6_index_bits", 0)
        base = self.parameters["route6_shared"] << (128 - bits)
        yield from (0, base, base + (1 << 128 - bits))
        if index_bits and "route6_boundaries" not in self.parameters:
            for cell in self._changes("route6_index", 0, 1 << index_bits):
                yield base + (cell << 128 - bits - index_bits)
        for key in self._keys6():
            # The sign of a difference changes twice; of the low part's, where that has a bit too much.
            yield from (key, key ^ 1 << 127, key ^ 1 << 126, key ^ 3 << 126, key ^ 1 << 63)

    def _keys6(self) -> list[int]:
        if "route6_boundaries" in self.parameters:
            return self._constants(6)
        if not self.parameters["route6_steps"]:
            return []
        lows = self.values.get("route6_low", (0,) * len(self.values["route6_high"]))
        bits = self.parameters["route6_shared_bits"]
        split = 63 if bits else 64
        base = self.parameters["route6_shared"] >> bits - 1 << 127 if bits else 0
        return [
            base | high << split | low & (1 << split) - 1
            for high, low in zip(self.values["route6_high"], lows, strict=False)
        ]

    def _edges4(self) -> Iterator[int]:
        if "route4_boundaries" in self.parameters:
            for key in self._constants(4):
                yield from (key, key ^ 1 << 63)
            return
        if "route4_class" in self.values:
            bits = self.parameters["route4_index_bits"]
            for cell in self._changes("route4_index", 0, 1 << bits) if bits else ():
                yield cell << (32 - bits)
            yield from self.values.get("route4_keys", ())
            return
        yield from (root << 16 for root in self._changes("route4_roots", 0, 1 << 16))
        if "route4_nodes" not in self.values:
            return
        pointer = self.parameters["route4_pointer"]
        for root, entry in enumerate(self.values["route4_roots"]):
            if entry & pointer:
                for second in range(256):
                    address = root << 16 | second << 8
                    yield address
                    below = (entry & ~pointer & U32) << 8 | second
                    if below < len(self.values["route4_nodes"]) and self._node(below) & pointer:
                        yield from range(address + 1, address + 256)

    def _changes(self, table: str, start: int, count: int) -> list[int]:
        """Of `count` entries from `start` on, each of which some packet asks for: the first, those that are
        not as the one before, and of those that are not there, one."""
        values = self.values[table][start : start + count]
        if self.remembering:
            self.touched.update((table, start + index) for index in range(len(values)))
        found = [index for index in range(1, len(values)) if values[index] != values[index - 1]]
        return [0, *found, *([len(values)] if 0 < len(values) < count else [])]

    def _node(self, index: int) -> int:
        return self.values["route4_nodes"][index]

    @property
    def destinations(self) -> tuple[tuple[int, int, int | None], ...]:
        """(version, first address, class) for all addresses."""
        return self.destinations4 + self.destinations6

    @cached_property
    def destinations4(self) -> tuple[tuple[int, int, int | None], ...]:
        return self._destinations(4, {"route4_roots", "route4_class"})

    @cached_property
    def destinations6(self) -> tuple[tuple[int, int, int | None], ...]:
        return self._destinations(6, {"route6_class"})

    def _destinations(self, version: int, tables: set[str]) -> tuple[tuple[int, int, int | None], ...]:
        found: list[tuple[int, int, int | None]] = []
        edges = set(self.edges(version)) if tables & self.values.keys() else set()
        for address in sorted(edge for edge in {0, *edges} if edge < TOP[version]):
            number = self.destination(version, address)
            if not found or found[-1][2] != number:
                found.append((version, address, number))
        return tuple(found)

    @cached_property
    def services(self) -> tuple[tuple[int, int, int], ...]:
        """(protocol, first port, class) for all services."""
        found: list[tuple[int, int, int]] = []
        for protocol in range(256):
            for port in self._ports(protocol):
                entry = protocol, port, self.service(protocol, port)
                if not found or (found[-1][0], found[-1][2]) != (protocol, entry[2]):
                    found.append(entry)
        return tuple(found)

    def _ports(self, protocol: int) -> Iterator[int]:
        """The ports from which on a lookup may find another class, in order."""
        if protocol not in PORT_PROTOCOLS or "ports_directory" not in self.values:
            yield 0
            return
        directory, changes = self.values["ports_directory"], cache(self._changes)
        for page in range(256):
            place = PORT_PROTOCOLS.index(protocol) << 8 | page
            for index in (
                changes("ports_pages", directory[place] << 8, 256) if place < len(directory) else (0,)
            ):
                yield page << 8 | index

    def classes(self) -> list[int]:
        """The policy classes that some user has."""
        return sorted({self.encoded.manifest.default_class, *self.encoded.manifest.subjects.values()})

    def meaning(self) -> object:
        """What the tables say of every packet of every user, in a form that has no numbers of classes."""
        buckets: dict[tuple[int, bool], list[tuple[int, int, int | None]]] = {}
        destinations = self.destinations
        numbers = sorted({number for *_, number in destinations}, key=str)
        for policy_class in self.classes():
            for inbound in (False, True)[: 1 + self.inbound]:
                row = self.row(policy_class, inbound)
                found: dict[int | None, int | None] = {
                    number: None if number is None else self.bucket(row, number) for number in numbers
                }
                said = [(version, address, found[number]) for version, address, number in destinations]
                buckets[policy_class, inbound] = _without_repetitions(said)
        reached = {bucket for said in buckets.values() for _, _, bucket in said if bucket}
        return buckets, {bucket: self.judged(bucket) for bucket in sorted(reached)}

    def claims(self) -> object:
        """The meaning, and what all buckets decide, also such as nobody has: the proof asks of them too."""
        return self.meaning(), [self.judged(bucket.id) for bucket in self.encoded.manifest.buckets]

    def judged(self, bucket: int) -> list[tuple[int, int, int]]:
        """(protocol, first port, decision) for all services, and (256, 0, decision) for fragments."""
        if bucket in self._judged:
            return self._judged[bucket]
        services = (*self.services, (256, 0, self.parameters["fragment_class"]))
        found = {number: self.decision(bucket, number) for number in sorted({n for *_, n in services})}
        said = _without_repetitions([(protocol, port, found[number]) for protocol, port, number in services])
        self._judged[bucket] = said
        return said
