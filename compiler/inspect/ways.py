"""The way of a packet through the programs: which instructions run where a rule decides.

Rules are in tables, and all of them take nearly the same instructions. Which those are is found by asking the
interpreter: for a rule, a packet is found that it decides, from the tables, and run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from wardgate.compiler.explain import packets
from wardgate.compiler.explain.engines import VmEngine
from wardgate.compiler.explain.probe import TC_PASS
from wardgate.compiler.explain.query import Query
from wardgate.compiler.inspect.errors import InspectionError
from wardgate.compiler.inspect.model import Inspection
from wardgate.compiler.inspect.tables import Tables, read_prefix
from wardgate.compiler.language import QueryError
from wardgate.compiler.language.model import UDP
from wardgate.compiler.vm.errors import ImageError
from wardgate.compiler.vm.maps import ArrayTable
from wardgate.runtime.layout.manifest import Bucket, Manifest, RuleSource
from wardgate.runtime.layout.maps import RULE_HITS
from wardgate.runtime.layout.records import COUNTER_WORDS, HITS, HITS_A_BLOCK

MOST_RULES: Final = 200
"""With more rules than this, rules of a kind share the way of one of them."""

_STRANGER: Final = "somebody"
"""A user whom the policy does not name; if it does, a longer name is taken."""

_PAYLOAD: Final = 64
"""Bytes of a datagram, as of a DNS query."""

_MOST_TRIED: Final = 6
"""Buckets of a rule, and rules of a kind, that are tried for a packet: other rules may take all of theirs."""


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one packet. `query` is that packet, `rule` the rule that decides it; `passes`: whether it
    passes; `steps`: instructions executed; `executed`: those of each function, by their index."""

    query: Query
    rule: int
    passes: bool
    steps: int
    executed: Mapping[str, frozenset[int]]


class Ways:
    """Finds the ways of an artefact's rules.

    The constructor raises ImageError (compiler.vm) where the interpreter cannot run the artefact, the methods
    ProgramError where it must not; InspectionError where the manifest names what is no address or user.
    """

    def __init__(self, inspection: Inspection, tables: Tables) -> None:
        self._inspection, self._tables = inspection, tables
        manifest = inspection.manifest
        _check_tunnel(manifest)
        self._engine = VmEngine(inspection.data, observe=True, manifest=manifest, silent=True)
        self._entries = sorted((entry, name) for name, entry in self._engine.machine.image.functions.items())
        self._starts = [entry for entry, _ in self._entries]
        self._user_of = {number: user for user, number in manifest.subjects.items()}
        stranger = _STRANGER
        while stranger in manifest.subjects:
            stranger += "_"
        self._user_of.setdefault(manifest.default_class, stranger)
        self._buckets: dict[int, list[Bucket]] = {}
        for bucket in manifest.buckets:
            for rule in bucket.rules:
                self._buckets.setdefault(rule, []).append(bucket)

    def of_rules(self) -> Mapping[int, Way]:
        """A way for each rule, by its id; rules that decide no packet have none."""
        rules = self._inspection.manifest.rules
        if len(rules) <= MOST_RULES:
            found = {rule.id: self.of_rule(rule) for rule in rules}
            return {number: way for number, way in found.items() if way is not None}
        shared: dict[tuple[object, ...], Way] = {}
        tried: Counter[tuple[object, ...]] = Counter()
        kinds = {rule.id: self._kind(rule) for rule in rules}
        for rule in rules:
            kind = kinds[rule.id]
            if kind not in shared and tried[kind] < _MOST_TRIED:
                tried[kind] += 1
                way = self.of_rule(rule)
                if way is not None:
                    shared[kind] = way
        return {number: shared[kind] for number, kind in kinds.items() if kind in shared}

    def _kind(self, rule: RuleSource) -> tuple[object, ...]:
        """What the way of a rule's packets depends on, but for the form of the tables at the address."""
        versions = {":" in bucket.prefix for bucket in self._buckets.get(rule.id, ())[:2]}
        services = rule.text.split()[1:]
        words = {word.rpartition("/")[2] if word[:1].isdigit() else word for word in services}
        return rule.action, rule.inbound, frozenset(versions), frozenset(words)

    def of_rule(self, rule: RuleSource) -> Way | None:
        """The way of a packet that a rule decides; None where no packet was found."""
        for query in self._queries(rule):
            before = self._hits(rule.id)
            way = self._run(query, rule.id)
            # The program itself counts which rule decided.
            if self._hits(rule.id) > before:
                return way
        return None

    def _queries(self, rule: RuleSource) -> Iterator[Query]:
        authed = rule.action == "mfa"
        for bucket in self._buckets.get(rule.id, ())[:_MOST_TRIED]:
            service = self._service(bucket, rule)
            place = next(iter(self._places(bucket)), None) if service else None
            if service and place:
                try:
                    yield Query.parse(*place, service, authed=authed, inbound=rule.inbound)
                except QueryError as error:
                    raise InspectionError("the manifest", str(error)) from None

    def _places(self, bucket: Bucket) -> Iterator[tuple[str, str]]:
        for number, address in self._tables.ways_to(bucket):
            if number in self._user_of:
                yield self._user_of[number], address

    def _service(self, bucket: Bucket, rule: RuleSource) -> str | None:
        """A service about which the bucket decides by the rule."""
        address = str(read_prefix(bucket.prefix).network_address)
        for service in self._tables.services_of(bucket, rule.id):
            try:
                Query.parse("anybody", address, service)
            except QueryError:
                # No packet is of this service: port 0, or a protocol that is an IPv6 extension header.
                continue
            return service
        return None

    def _run(self, query: Query, rule: int) -> Way:
        machine = self._engine.machine
        machine.trace.clear()
        question = self._engine.probe(query)
        if query.packet.protocol == UDP:
            question = replace(question, packet=_longer(question.packet))
        result = self._engine.run_probe(question)
        executed: dict[str, set[int]] = {}
        for pc in set(machine.trace):
            entry, name = self._entries[bisect_right(self._starts, pc) - 1]
            executed.setdefault(name, set()).add(pc - entry)
        frozen = {name: frozenset(found) for name, found in executed.items()}
        return Way(query, rule, result.return_value == TC_PASS, len(machine.trace), frozen)

    def _hits(self, rule: int) -> int:
        """Packets that the rule has decided."""
        table = self._engine.machine.maps[RULE_HITS.name]
        if not isinstance(table, ArrayTable):
            raise ImageError(f"the map {RULE_HITS.name} is no array")
        block = table.lookup((rule // HITS_A_BLOCK).to_bytes(4, "little")) or bytes(HITS.size)
        place = rule % HITS_A_BLOCK * COUNTER_WORDS * 8
        return int.from_bytes(block[place : place + 8], "little")


def _longer(packet: bytes) -> bytes:
    """A datagram with a payload of an ordinary length: the fast path does not take very short ones."""
    source, destination = packets.addresses(packet)
    _, datagram = packets.body(packet)
    ports = int.from_bytes(datagram[:2], "big"), int.from_bytes(datagram[2:4], "big")
    return packets.ip(source, destination, UDP, packets.udp(*ports, bytes(_PAYLOAD)))


def _check_tunnel(manifest: Manifest) -> None:
    """What a device's address is made of: InspectionError where it is none."""
    for text in manifest.tunnel:
        read_prefix(text)
    for index in (manifest.tunnel4, manifest.tunnel6):
        if index is not None:
            try:
                ip_address(index.base)
            except ValueError as error:
                raise InspectionError("the manifest", str(error)) from None
