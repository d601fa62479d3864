"""The manifest of a lowered policy."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from itertools import starmap
from operator import attrgetter

from wardgate.compiler.codegen.generate import map_uses
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.classes import DEFAULT_CLASS
from wardgate.compiler.lowering.lowered import Lowered
from wardgate.runtime.layout import maps
from wardgate.runtime.layout.features import ARTEFACT_FEATURES
from wardgate.runtime.layout.manifest import (
    FORMAT_VERSION,
    Bucket,
    Manifest,
    MapUse,
    PolicyFile,
    ProgramUse,
    RuleSource,
    Table,
    TunnelIndex,
    digest_of_tables,
)

_SOURCE = attrgetter(
    "id", "action._value_", "subject", "inbound", "position.file", "position.line", "position.column", "text",
    "within",
)  # fmt: skip
"""The fields of a RuleSource, of a rule. An Enum's `value` is ten times as slow."""

_PROGRAMS = (
    ProgramUse(maps.PROGRAM_INGRESS, "tc", "tc"),
    ProgramUse(maps.PROGRAM_EGRESS, "tc", "tc"),
    ProgramUse(maps.PROGRAM_XDP, "xdp", "xdp"),
)


def policy_digest(policy: Policy) -> str:
    """SHA-256, in hex, of the policy's files, their names, and the addresses of its DNS names."""
    digest = hashlib.sha256()
    for file in sorted(policy.files, key=lambda file: file.name):
        digest.update(f"{file.name}\0{_file_digest(file.text)}\0".encode())
    for name in sorted(policy.resolved):
        addresses = ",".join(str(address) for address in policy.resolved[name])
        digest.update(f"{name}\0{addresses}\0".encode())
    return digest.hexdigest()


def _file_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def describe_files(policy: Policy) -> tuple[PolicyFile, ...]:
    """The manifest's `files`."""
    return tuple(PolicyFile(file.name, _file_digest(file.text)) for file in policy.files)


def describe_rules(policy: Policy) -> tuple[RuleSource, ...]:
    """The manifest's `rules`."""
    return tuple(starmap(RuleSource, map(_SOURCE, policy.rules)))


def describe(lowered: Lowered, tables: Mapping[str, bytes], tools: Mapping[str, str]) -> Manifest:
    """The manifest of `lowered`, whose tables' content is `tables` (by section), made by `tools` (name to
    version)."""
    policy = lowered.policy
    prefixes = [str(prefix) for prefix in lowered.destinations.prefixes]
    return Manifest(
        format=FORMAT_VERSION,
        wardgate=importlib.metadata.version("wardgate"),
        digest=policy_digest(policy),
        files=describe_files(policy),
        tunnel=tuple(str(prefix) for prefix in policy.tunnel),
        tunnel4=_index(lowered, 4),
        tunnel6=_index(lowered, 6),
        classes=lowered.parameters["classes"],
        default_class=DEFAULT_CLASS,
        subjects=lowered.classes.of_user,
        resolved={name: tuple(str(a) for a in found) for name, found in policy.resolved.items()},
        rules=describe_rules(policy),
        buckets=tuple(
            Bucket(number, prefixes[destination - 1], inbound, rules)
            for number, (destination, inbound, rules) in enumerate(lowered.buckets.parts(), 1)
        ),
        tables=tuple(
            Table(data.name, data.section, data.element, len(data.values), data.doc)
            for data in lowered.tables
        ),
        tables_digest=digest_of_tables(tables),
        parameters=lowered.parameters,
        maps=tuple(MapUse(layout.name, layout.scope.value, entries) for layout, entries in map_uses(lowered)),
        programs=_PROGRAMS,
        features=ARTEFACT_FEATURES,
        tools=tools,
    )


def _index(lowered: Lowered, version: int) -> TunnelIndex | None:
    part = lowered.tunnels.get(version)
    return TunnelIndex(str(part.tunnel.network.network_address), part.size) if part else None
