"""What tables say, in the policy's terms: prefixes, users, services, rules with their lines.

Tables are read by compiler.validation's decoders, which know all forms that a structure of tables can have.
A structure (`services`, `route4`, `route6`, `reach`, `judge`) may be several tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from typing import Final

import numpy as np
from wardgate.compiler.explain.services import ServiceClasses, Span, group, representative, spans
from wardgate.compiler.inspect.errors import InspectionError
from wardgate.compiler.language.model import ICMP, ICMPV6, PORT_PROTOCOLS, Address, Prefix
from wardgate.compiler.validation.encoded import (
    Encoded,
    EncodedTable,
    integers,
    read_artefact,
    read_encoded,
)
from wardgate.compiler.validation.freshness import rule_of
from wardgate.compiler.validation.judging import Judgements
from wardgate.compiler.validation.matrix import Rows, rows_of
from wardgate.compiler.validation.routes4 import has_routes4, runs4
from wardgate.compiler.validation.routes6 import has_routes6, runs6
from wardgate.compiler.validation.services import decode_services
from wardgate.runtime.layout.codes import Verdict
from wardgate.runtime.layout.manifest import Bucket, Manifest, RuleSource, Table

STRUCTURES: Final = {
    "services": ("protocols", "ports"),
    "route4": ("route4",),
    "route6": ("route6",),
    "reach": ("reach",),
    "judge": ("judge", "buckets", "bucket_rules", "within"),
}
"""Each structure, and what its tables' names begin with."""

_VERDICT_BITS: Final = 2
_BITS: Final = {4: 32, 6: 128}
_ICMP: Final = {4: ICMP, 6: ICMPV6}


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service class, and its services in the words of a policy."""

    service_class: int
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """Addresses `first` to `last` are of a destination class. `prefix`: the longest one around them that a
    bucket has; None where none is."""

    first: str
    last: str
    destination_class: int
    prefix: str | None


@dataclass(frozen=True, slots=True)
class ReachEntry:
    """A policy class's users, and the bucket that decides for them about a destination class.

    `prefix` is that of the class; the bucket's own may be one around it.
    """

    policy_class: int
    users: tuple[str, ...]
    inbound: bool
    destination_class: int
    prefix: str
    bucket: int
    bucket_prefix: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a bucket says of services, and the rule that says so; None where no rule does."""

    services: tuple[str, ...]
    verdict: str
    rule: RuleSource | None


@dataclass(frozen=True, slots=True)
class JudgeEntry:
    """A bucket, and what it says of all services; `fragment` of later fragments of unknown packets."""

    bucket: int
    prefix: str
    inbound: bool
    rulings: tuple[Ruling, ...]
    fragment: Ruling


@dataclass(frozen=True, slots=True)
class RawRun:
    """Equal entries `first` to `last` of a table."""

    first: int
    last: int
    value: int


_Interval = tuple[int, int, int, Prefix | None]

Entry = ServiceEntry | RouteEntry | ReachEntry | JudgeEntry


def read_tables(artefact: bytes, manifest: Manifest | None = None) -> Tables:
    """The tables of an artefact; ValidationError (compiler.validation) where they are not as it says.

    `manifest`: the artefact's, where it is at hand.
    """
    return Tables(read_encoded(read_artefact(artefact), manifest))


class Tables:
    """The tables of an artefact. Its methods raise ValidationError (compiler.validation) where tables do not
    fit each other."""

    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded
        self._manifest = encoded.manifest
        self._words: dict[tuple[int, int], list[tuple[int, tuple[str, ...]]]] = {}

    @property
    def described(self) -> tuple[Table, ...]:
        """The tables as the manifest has them."""
        return self._manifest.tables

    @property
    def names(self) -> tuple[str, ...]:
        """The tables' names, in the order of the manifest."""
        return tuple(table.name for table in self.described)

    @property
    def structures(self) -> Mapping[str, tuple[str, ...]]:
        """The structures that are there, and their tables."""
        found = {
            structure: tuple(n for n in self.names if structure_of(n) == structure)
            for structure in STRUCTURES
        }
        return {structure: tables for structure, tables in found.items() if tables}

    def find(self, name: str) -> tuple[str | None, str | None]:
        """The structure and the table that `name` means; InspectionError where it means neither.

        The table is None where only a structure has this name, the structure where a table belongs to none.
        """
        if name in self.names:
            return structure_of(name), name
        if name in self.structures:
            return name, None
        known = ", ".join(dict.fromkeys((*self.structures, *self.names)))
        raise InspectionError(f"table {name!r}", "the artefact has none of this name", f"name one of {known}")

    def entries(self, structure: str) -> Iterator[Entry]:
        """What a structure says. Entries that say nothing (no bucket) are left out."""
        readers: Mapping[str, Callable[[], Iterator[Entry]]] = {
            "services": self.services,
            "route4": lambda: self.routes(4),
            "route6": lambda: self.routes(6),
            "reach": self.reach,
            "judge": self.judge,
        }
        yield from readers[structure]()

    def raw(self, table: str) -> Iterator[RawRun]:
        """The entries of a table as numbers, equal neighbours together."""
        yield from _raw_runs(self._encoded.table(table))

    @cached_property
    def _spans(self) -> Sequence[Span]:
        decoded = decode_services(self._encoded)
        protocols = tuple(decoded.protocols.get(number, 0) for number in range(256))
        ports = tuple(tuple(decoded.ports[number]) for number in PORT_PROTOCOLS)
        return tuple(spans(ServiceClasses(ports, protocols)))

    def services(self) -> Iterator[ServiceEntry]:
        """All service classes that packets can be of."""
        for number, words in sorted(group(((span, span.number) for span in self._spans), ICMP)):
            yield ServiceEntry(number, tuple(words))

    @cached_property
    def _prefixes(self) -> Mapping[int, Sequence[Prefix]]:
        """The prefixes of buckets by IP version, in address order, one before those inside it."""
        found = {read_prefix(text) for text in {bucket.prefix for bucket in self._manifest.buckets}}
        return {
            version: sorted(
                (p for p in found if p.version == version),
                key=lambda p: (int(p.network_address), p.prefixlen),
            )
            for version in (4, 6)
        }

    def routes(self, version: int) -> Iterator[RouteEntry]:
        """All addresses of an IP version, in order."""
        for first, last, number, prefix in self._intervals[version]:
            shown = str(_address(version, first)), str(_address(version, last))
            yield RouteEntry(*shown, number, str(prefix) if prefix else None)

    @cached_property
    def _intervals(self) -> Mapping[int, Sequence[_Interval]]:
        """All addresses by IP version: first, last, destination class, the longest prefix of a bucket."""
        return {version: tuple(self._runs(version)) for version in (4, 6)}

    def _runs(self, version: int) -> Iterator[_Interval]:
        encoded = self._encoded
        if not (has_routes4(encoded) if version == 4 else has_routes6(encoded)):
            return
        runs: list[tuple[int, int]] = []
        for first, number in runs4(encoded) if version == 4 else runs6(encoded):
            if not runs or runs[-1][1] != number:
                runs.append((first, number))
        after = [first for first, _ in runs[1:]] + [1 << _BITS[version]]
        waiting = list(reversed(self._prefixes[version]))
        around: list[Prefix] = []
        for (first, number), end in zip(runs, after, strict=True):
            while waiting and int(waiting[-1].network_address) <= first:
                around.append(waiting.pop())
            while around and int(around[-1].broadcast_address) < first:
                around.pop()
            inside = next((p for p in reversed(around) if int(p.broadcast_address) >= first), None)
            yield first, end - 1, number, inside

    @cached_property
    def _destinations(self) -> Mapping[int, str]:
        """What destination classes are called: by their prefix, or by addresses if several have the same."""
        ranges: dict[int, list[tuple[int, int, int, Prefix | None]]] = {}
        for version in (4, 6):
            for first, last, number, prefix in self._intervals[version]:
                ranges.setdefault(number, []).append((version, first, last, prefix))
        names: dict[int, str] = {}
        owners: dict[str, int] = {}
        for number, found in ranges.items():
            prefix = found[0][3]
            if prefix is not None and owners.setdefault(str(prefix), number) == number:
                names[number] = str(prefix)
            else:
                names[number] = _addresses(found)
        return names

    def reach(self) -> Iterator[ReachEntry]:
        """The bucket of each policy class for each destination class, where there is one."""
        encoded, manifest = self._encoded, self._manifest
        destinations = self._destinations
        rows = self._reach
        users: dict[int, list[str]] = {}
        for user, number in manifest.subjects.items():
            users.setdefault(number, []).append(user)
        directions = (False, True) if any(rule.inbound for rule in manifest.rules) else (False,)
        for number in range(1, manifest.classes):
            mine = tuple(users.get(number, ()))
            for inbound in directions:
                row_number = number + (encoded.parameter("inbound_row") if inbound else 0)
                row = integers(rows.row(row_number), rows.element)
                for column in np.flatnonzero(row).tolist():
                    if column in destinations:
                        bucket = self._bucket(int(row[column]))
                        name = destinations[column]
                        yield ReachEntry(number, mine, inbound, column, name, bucket.id, bucket.prefix)

    def ways_to(self, bucket: Bucket) -> Iterator[tuple[int, str]]:
        """Who has a bucket, and for which addresses: a policy class, and an address that it decides about."""
        encoded, addresses = self._encoded, self._addresses
        rows = self._reach
        row_of = encoded.parameter("inbound_row") if bucket.inbound else 0
        for number in range(1, self._manifest.classes):
            row = integers(rows.row(number + row_of), rows.element)
            for column in np.flatnonzero(row == bucket.id).tolist():
                if column in addresses:
                    yield number, str(_address(*addresses[column]))

    @cached_property
    def _addresses(self) -> Mapping[int, tuple[int, int]]:
        """An address of each destination class: IP version and number."""
        # The last run's: address 0 is nobody's.
        return {
            number: (version, first) for version in (4, 6) for first, _, number, _ in self._intervals[version]
        }

    @cached_property
    def _reach(self) -> Rows:
        return rows_of(self._encoded, "reach", self._addresses)

    def services_of(self, bucket: Bucket, rule: int) -> Iterator[str]:
        """Services, as a query takes them, about which a bucket decides by a rule: one of each class."""
        decision = self._judgements.decisions(bucket.id)
        met = set()
        for span in self._spans:
            if span.number not in met and rule_of(decision(span.number) >> _VERDICT_BITS) == rule:
                met.add(span.number)
                yield representative(span)

    @cached_property
    def _judgements(self) -> Judgements:
        columns = {span.number for span in self._spans}
        return Judgements(self._encoded, (*columns, self._encoded.parameter("fragment_class")))

    def _bucket(self, number: int) -> Bucket:
        try:
            bucket = self._manifest.bucket(number)
        except IndexError:
            bucket = None
        if bucket is None:
            raise InspectionError("the tables", f"they name bucket {number}, which is not there")
        return bucket

    def judge(self) -> Iterator[JudgeEntry]:
        """What each bucket says of each service."""
        for bucket in self._manifest.buckets:
            yield self.bucket(bucket)

    def bucket(self, bucket: Bucket) -> JudgeEntry:
        """What a bucket says of each service."""
        decision = self._judgements.decisions(bucket.id)
        pattern, _ = self._judgements.record(bucket.id)
        key = pattern, read_prefix(bucket.prefix).version
        words = self._words.get(key)
        if words is None:
            decided = ((span, decision(span.number)) for span in self._spans)
            first: dict[int, int] = {}
            for span in self._spans:
                first.setdefault(decision(span.number), span.number)
            # Of other buckets of this pattern, other rules decide, about the same services.
            words = self._words[key] = [
                (first[found], tuple(texts)) for found, texts in group(decided, _ICMP[key[1]])
            ]
        rulings = [self._ruling(decision(service_class), texts) for service_class, texts in words]
        rulings.sort(key=lambda ruling: (ruling.rule is None, ruling.rule.id if ruling.rule else 0))
        fragment = self._ruling(decision(self._encoded.parameter("fragment_class")), ("later fragments",))
        return JudgeEntry(bucket.id, bucket.prefix, bucket.inbound, tuple(rulings), fragment)

    def _ruling(self, decision: int, words: tuple[str, ...]) -> Ruling:
        verdict = Verdict(decision & (1 << _VERDICT_BITS) - 1)
        number = rule_of(decision >> _VERDICT_BITS)
        try:
            rule = self._manifest.rule(number)
        except IndexError:
            raise InspectionError("the tables", f"they name rule {number}, which is not there") from None
        return Ruling(words, verdict.label, rule)


def read_prefix(text: str) -> Prefix:
    """A prefix that the manifest names; InspectionError where that is none."""
    try:
        return ip_network(text)
    except ValueError as error:
        raise InspectionError("the manifest", str(error)) from None


def structure_of(table: str) -> str | None:
    """The structure that a table belongs to, None for one of a kind that is not known here."""
    for structure, beginnings in STRUCTURES.items():
        if any(table == begin or table.startswith(f"{begin}_") for begin in beginnings):
            return structure
    return None


def _raw_runs(table: EncodedTable) -> Iterator[RawRun]:
    values = table.values
    begins = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()
    for first, end in zip(begins, [*begins[1:], len(values)], strict=True):
        yield RawRun(first, end - 1, int(values[first]))


def _address(version: int, number: int) -> Address:
    return IPv4Address(number) if version == 4 else IPv6Address(number)


def _addresses(ranges: Sequence[tuple[int, int, int, Prefix | None]]) -> str:
    """A few ranges of addresses in words."""
    words = []
    for version, first, last, _ in ranges[:3]:
        start, end = _address(version, first), _address(version, last)
        pieces = list(summarize_address_range(start, end))
        words.append(str(pieces[0]) if len(pieces) == 1 else f"{start} - {end}")
    return ", ".join(words) + (", ..." if len(ranges) > 3 else "")
