"""The artefact's manifest: what a runtime, an inspector or a reader must know of the policy inside.

JSON in section `.wardgate.manifest`, keys sorted, UTF-8. `Manifest.from_json` accepts nothing that it
does not know, so that a newer artefact is refused and never half understood.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.runtime.layout import json_text, typed_json

FORMAT_VERSION = 3


class ManifestError(ValueError):
    """The manifest is missing, damaged, or of a version that this runtime does not know."""


def digest_of_tables(tables: Mapping[str, bytes]) -> str:
    """SHA-256, in hex, of tables (section to content) and the names of their sections."""
    digest = hashlib.sha256()
    for name in sorted(tables):
        digest.update(f"{name}\0{len(tables[name])}\0".encode())
        digest.update(tables[name])
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A file of the policy; `name` is relative to the main file's folder, `digest` is sha256 in hex."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class RuleSource:
    """A rule and where it stands. Ids count from 1 in the order of the source. `within`: how many seconds ago
    the last login may have been; None: the rule does not say."""

    id: int
    action: str
    policy: str
    inbound: bool
    file: str
    line: int
    column: int
    text: str
    within: int | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """All rules of one effective policy with the same prefix; ids are positions in the list, from 1."""

    id: int
    prefix: str
    inbound: bool
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A compiled table: `count` little-endian integers of `element` bytes, alone in its section."""

    name: str
    section: str
    element: int
    count: int
    doc: str


@dataclass(frozen=True, slots=True)
class TunnelIndex:
    """The first `size` addresses from `base` on, whose devices are found by address."""

    base: str
    size: int


@dataclass(frozen=True, slots=True)
class MapUse:
    """A map that the artefact declares; see maps.MapLayout."""

    name: str
    scope: str
    entries: int


@dataclass(frozen=True, slots=True)
class ProgramUse:
    """A program; `hook` is `tc` or `xdp`."""

    name: str
    section: str
    hook: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The form that a structure of tables takes, and why.

    `variant` and `parameter` are those of compiler.lowering.survey; `bytes` of its tables, `touched` of
    the cache lines among them that packets to the policy's destinations touch; `loads` from its tables on
    the longest path. `hot`, `busy` and `spread`: what those add to a decision, in ps; see PathCost.
    """

    structure: str
    variant: str
    parameter: int
    loads: int
    bytes: int
    touched: int
    hot: int
    busy: int
    spread: int
    reason: str


@dataclass(frozen=True, slots=True)
class PathCost:
    """What a TCP segment meets at most on its way through a program.

    `decisions`: how often the tables are asked; what the fast path does not let pass is decided again by
    the slow one. `table_loads`: from tables; `map_lookups`: of addresses, classes, devices and limits;
    `counters`: lookups of what is counted in. `hot`, `busy` and `spread`: ps predicted over an empty program,
    where the same segment comes again and again, 4,096 different ones by turns, and segments evenly from
    all devices to all destinations; None where most is not the tables' (a dropped packet is told of).
    """

    packet: str
    decisions: int
    table_loads: int
    map_lookups: int
    counters: int
    hot: int | None
    busy: int | None
    spread: int | None


@dataclass(frozen=True, slots=True)
class MapCost:
    """Kernel memory of a map: `bytes` as the artefact declares it, without what each CPU or address adds.

    `slot`: bytes, of these, for a device slot (a hash is rounded up to a power of two of them); `address`:
    for each address that no index covers; `processor`: for each CPU that the kernel may have.
    """

    name: str
    entries: int
    bytes: int
    slot: int
    address: int
    processor: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the artefact costs, known before it is loaded (docs/costs.md).

    `table_bytes`: of the tables, in the artefact; `kernel_table_bytes`: of the kernel's memory for them;
    `touched`: of what is looked at for segments that come evenly from so many `devices` to all destinations,
    the maps included; `slots`: the device slots that the maps' bytes are for. `largest_table`: its bytes;
    `linux`: the least version that takes a table so large, None: any that takes an artefact.
    """

    choices: tuple[Choice, ...]
    paths: tuple[PathCost, ...]
    table_bytes: int
    kernel_table_bytes: int
    touched: int
    devices: int
    slots: int
    maps: tuple[MapCost, ...]
    largest_table: int
    linux: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module. `classes` counts policy classes with class 0; `parameters` are the numbers
    that the generated C was specialised with, by name, for decoders and interpreters. `tables_digest`:
    of what is in the tables (`digest_of_tables`), so of what a class means."""

    format: int
    wardgate: str
    digest: str
    files: tuple[PolicyFile, ...]
    tunnel: tuple[str, ...]
    tunnel4: TunnelIndex | None
    tunnel6: TunnelIndex | None
    classes: int
    default_class: int
    subjects: Mapping[str, int]
    resolved: Mapping[str, tuple[str, ...]]
    rules: tuple[RuleSource, ...]
    buckets: tuple[Bucket, ...]
    tables: tuple[Table, ...]
    tables_digest: str
    parameters: Mapping[str, int]
    maps: tuple[MapUse, ...]
    programs: tuple[ProgramUse, ...]
    features: tuple[str, ...]
    tools: Mapping[str, str]
    certificate: Certificate | None = None

    def class_of(self, user: str) -> int:
        """Policy class of `user`; a user whom the policy does not mention has that of `"*"`."""
        return self.subjects.get(user, self.default_class)

    def rule(self, rule_id: int) -> RuleSource | None:
        """The rule with this id; None for 0. IndexError where the manifest has no such rule."""
        return self.rules[rule_id - 1] if rule_id else None

    def bucket(self, bucket_id: int) -> Bucket | None:
        """The bucket with this id; None for 0. IndexError where the manifest has no such bucket."""
        return self.buckets[bucket_id - 1] if bucket_id else None

    def to_json(self) -> bytes:
        """Canonical bytes: sorted keys, no spaces, UTF-8."""
        return json_text.write(self).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """The manifest in `data`; ManifestError where it is not exactly one of this format."""
        try:
            document = json.loads(data.decode("utf-8"))
            if b"\\ud" in data.lower():
                # Half of a pair of surrogates is no text, and nobody could write it down again.
                json.dumps(document, ensure_ascii=False).encode()
        # ValueError: bytes that are no UTF-8, what is no JSON, and numbers of more digits than Python reads.
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"manifest is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise ManifestError("manifest is not a JSON object")
        version = document.get("format")
        if version != FORMAT_VERSION or isinstance(version, bool):
            raise ManifestError(
                f"manifest has format {version!r}, this runtime knows {FORMAT_VERSION}; "
                "compile the policy with a matching release"
            )
        try:
            manifest = typed_json.read(cls, document)
        except typed_json.MismatchError as error:
            raise ManifestError(f"manifest{error}") from None
        manifest._check_references()
        return manifest

    def _check_references(self) -> None:
        identified = {"rules": [r.id for r in self.rules], "buckets": [b.id for b in self.buckets]}
        for name, ids in identified.items():
            if ids != list(range(1, len(ids) + 1)):
                raise ManifestError(f"manifest.{name}: ids do not count from 1")
        for bucket in self.buckets:
            if bucket.rules and not 1 <= min(bucket.rules) <= max(bucket.rules) <= len(self.rules):
                raise ManifestError(f"manifest.buckets[{bucket.id - 1}] names a rule that is not there")
        for user, number in {**self.subjects, "*": self.default_class}.items():
            if not 1 <= number < self.classes:
                raise ManifestError(f"manifest.subjects: {user!r} has class {number} of {self.classes}")
