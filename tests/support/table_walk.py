"""What programs find in tables, one packet at a time: lookup.h line by line, masks and all.

`meaning` asks it about every packet, and `touched` are the entries that doing so reads. It is a second
decoder, slow and without any idea, for tests of the one that proves artefacts right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache, cached_property

from encoded_policy import CODES, EncodedPolicy

PORT_PROTOCOLS = (6, 17, 132)
U32 = (1 << 32) - 1
TOP = {4: 1 << 32, 6: 1 << 128}


class Walk:
    """`escaped`: (table, index) that a lookup asked for outside the table, before its mask, or outside its
    row of a matrix.

    What `known`, a walk of other tables, has found is taken over as far as it must be the same here.
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
        self.inbound = any(rule.inbound for rule in encoded.policy.rules)
        if known:
            for name, prefixes in (
                ("destinations4", ("route4",)),
                ("destinations6", ("route6",)),
                ("services", ("ports", "protocols")),
            ):
                if self._parts(prefixes) == known._parts(prefixes):
                    self.__dict__[name] = getattr(known, name)

    def _parts(self, prefixes: tuple[str, ...]) -> object:
        tables = {name: data for name, data in self.encoded.tables.items() if name.startswith(prefixes)}
        parameters = {name: value for name, value in self.parameters.items() if name.startswith(prefixes)}
        return tables, parameters

    def load(self, table: str, index: int) -> int:
        values = self.values[table]
        if index >= len(values):
            self.escaped.add((table, index))
        index &= len(values) - 1
        self.touched.add((table, index))
        return values[index]

    def destination(self, version: int, address: int) -> int | None:
        """None: programs without tables for the version drop the packet before they ask."""
        if version == 4:
            return self.trie(address) if "route4_roots" in self.values else None
        return self.search(address) if "route6_class" in self.values else None

    def trie(self, address: int) -> int:
        pointer = self.parameters["route4_pointer"]
        entry = self.load("route4_roots", address >> 16)
        if "route4_nodes" in self.values:
            for shift in (8, 0):
                if entry & pointer:
                    entry = self.load("route4_nodes", (entry & ~pointer & U32) << 8 | address >> shift & 255)
        return entry

    def search(self, address: int) -> int:
        parameters = self.parameters
        shared_bits, index_bits = parameters["route6_shared_bits"], parameters["route6_index_bits"]
        high, position = address >> 64, 0
        if shared_bits:
            shared = high >> (64 - shared_bits)
            if shared < parameters["route6_shared"]:
                return parameters["route6_below"]
            if shared > parameters["route6_shared"]:
                return parameters["route6_above"]
        if index_bits:
            # The mask takes the shared bits away.
            cell = (high >> (64 - shared_bits - index_bits)) & (len(self.values["route6_index"]) - 1)
            position = self.load("route6_index", cell)
        step = 1 << parameters["route6_steps"] >> 1
        while step:
            key = self.load("route6_high", position + step) << 64
            if "route6_low" in self.values:
                key |= self.load("route6_low", position + step)
            position += step * (address >= key)
            step >>= 1
        return self.load("route6_class", position)

    def bucket(self, row: int, destination: int) -> int:
        page = self._page("reach", row, destination)
        return self.load("reach_pages", page << 6 | destination & 63)

    def service(self, protocol: int, port: int) -> int:
        if "ports_directory" not in self.values or protocol not in PORT_PROTOCOLS:
            return self.load("protocols", protocol)
        page = self.load("ports_directory", PORT_PROTOCOLS.index(protocol) << 8 | port >> 8)
        return self.load("ports_pages", page << 8 | port & 255)

    def decision(self, bucket: int, service: int) -> int:
        page = self._page("judge", bucket, service)
        return self.load("judge_pages", page << 6 | service & 63)

    def _page(self, matrix: str, row: int, column: int) -> int:
        width = self.parameters[f"{matrix}_per_row"]
        if column >> 6 >= width:
            # In the table, perhaps, but in another row.
            self.escaped.add((f"{matrix}_directory", row * width + (column >> 6)))
        return self.load(f"{matrix}_directory", row * width + (column >> 6))

    def row(self, policy_class: int, inbound: bool) -> int:
        return policy_class + (self.parameters["inbound_row"] if inbound else 0)

    def edges(self, version: int) -> Iterator[int]:
        """Addresses from which on a lookup may go another way, not in order."""
        if version == 4:
            yield from self._edges4()
            return
        bits, cells = self.parameters["route6_shared_bits"], 1 << self.parameters["route6_index_bits"]
        base = self.parameters["route6_shared"] << (128 - bits)
        size = (1 << 128 - bits) // cells
        yield from (0, base, *(base + cell * size for cell in range(cells)), base + cells * size)
        lows = self.values.get("route6_low", (0,) * len(self.values["route6_high"]))
        for high, low in zip(self.values["route6_high"], lows, strict=True):
            yield high << 64 | low

    def _edges4(self) -> Iterator[int]:
        if "route4_nodes" not in self.values:
            yield from range(0, 1 << 32, 1 << 16)
            return
        pointer = self.parameters["route4_pointer"]
        for root, entry in enumerate(self.values["route4_roots"]):
            yield root << 16
            if entry & pointer:
                for second in range(256):
                    address = root << 16 | second << 8
                    yield address
                    if self.load("route4_nodes", (entry & ~pointer & U32) << 8 | second) & pointer:
                        yield from range(address + 1, address + 256)

    @property
    def destinations(self) -> tuple[tuple[int, int, int | None], ...]:
        """(version, first address, class) for all addresses."""
        return self.destinations4 + self.destinations6

    @cached_property
    def destinations4(self) -> tuple[tuple[int, int, int | None], ...]:
        return self._destinations(4, "route4_roots")

    @cached_property
    def destinations6(self) -> tuple[tuple[int, int, int | None], ...]:
        return self._destinations(6, "route6_class")

    def _destinations(self, version: int, table: str) -> tuple[tuple[int, int, int | None], ...]:
        found: list[tuple[int, int, int | None]] = []
        edges = set(self.edges(version)) if table in self.values else set()
        for address in sorted({0, *edges} - {TOP[version]}):
            number = self.destination(version, address)
            if not found or found[-1][2] != number:
                found.append((version, address, number))
        return tuple(found)

    @cached_property
    def services(self) -> tuple[tuple[int, int, int], ...]:
        """(protocol, first port, class) for all services."""
        found: list[tuple[int, int, int]] = []
        for protocol in range(256):
            for port in range(1 << 16) if protocol in PORT_PROTOCOLS else (0,):
                entry = protocol, port, self.service(protocol, port)
                if not found or (found[-1][0], found[-1][2]) != (protocol, entry[2]):
                    found.append(entry)
        return tuple(found)

    def classes(self) -> list[int]:
        """The policy classes that some user has."""
        return sorted({self.encoded.manifest.default_class, *self.encoded.manifest.subjects.values()})

    def meaning(self) -> object:
        """What the tables say of every packet of every user, in a form that has no numbers of classes."""
        buckets: dict[tuple[int, bool], list[tuple[int, int, int | None]]] = {}
        for policy_class in self.classes():
            for inbound in (False, True)[: 1 + self.inbound]:
                row = self.row(policy_class, inbound)
                bucket = cache(lambda destination, row=row: self.bucket(row, destination))
                said: list[tuple[int, int, int | None]] = []
                for version, address, destination in self.destinations:
                    entry = version, address, None if destination is None else bucket(destination)
                    if not said or (said[-1][0], said[-1][2]) != (version, entry[2]):
                        said.append(entry)
                buckets[policy_class, inbound] = said
        reached = {bucket for said in buckets.values() for _, _, bucket in said if bucket}
        return buckets, {bucket: self.judged(bucket) for bucket in sorted(reached)}

    def judged(self, bucket: int) -> list[tuple[int, int, int]]:
        """(protocol, first port, decision) for all services, and (256, 0, decision) for fragments."""
        decision = cache(lambda service: self.decision(bucket, service))
        said: list[tuple[int, int, int]] = []
        for protocol, port, service in (*self.services, (256, 0, self.parameters["fragment_class"])):
            entry = protocol, port, decision(service)
            if not said or (said[-1][0], said[-1][2]) != (protocol, entry[2]):
                said.append(entry)
        return said
