"""Policies as tables and a manifest in an object without programs: what a decoder of tables reads, and
made in milliseconds. Parts of it can be changed one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from wardgate.compiler.artefact import ElfObject, Section
from wardgate.compiler.artefact.describe import describe
from wardgate.compiler.artefact.elf import SectionKind, write_object
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import lower
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import MANIFEST_SECTION

TOOLS = {"none": "1"}


@dataclass(frozen=True)
class EncodedPolicy:
    """`tables`: name to (bytes of an element, entries)."""

    policy: Policy
    manifest: Manifest
    tables: dict[str, tuple[int, tuple[int, ...]]]

    def artefact(self) -> bytes:
        """The object."""
        contents = {
            f".rodata.t_{name}": b"".join(value.to_bytes(element, "little") for value in values)
            for name, (element, values) in self.tables.items()
        }
        contents[MANIFEST_SECTION] = self.manifest.to_json()
        sections = [Section(name, SectionKind.PROGBITS, 0, 8, data) for name, data in contents.items()]
        return write_object(ElfObject(tuple(sections), ()))

    def entries(self, name: str) -> tuple[int, ...]:
        """The entries of a table."""
        return self.tables[name][1]

    def changed(self, name: str, changes: dict[int, int]) -> EncodedPolicy:
        """With other values at some indexes of a table."""
        element, values = self.tables[name]
        entries = list(values)
        for index, value in changes.items():
            entries[index] = value & ((1 << 8 * element) - 1)
        return replace(self, tables={**self.tables, name: (element, tuple(entries))})

    def described(self, change: Callable[[Any], None]) -> EncodedPolicy:
        """With a manifest whose JSON document `change` has altered."""
        document = json.loads(self.manifest.to_json())
        change(document)
        return replace(self, manifest=Manifest.from_json(json.dumps(document).encode()))


def encode(policy: Policy | str) -> EncodedPolicy:
    """The tables and the manifest of a policy, or of a policy's text."""
    if isinstance(policy, str):
        policy = parse_policy_text(policy).policy
    lowered = lower(policy)
    return EncodedPolicy(
        policy,
        describe(lowered, TOOLS),
        {table.name: (table.element, tuple(table.values)) for table in lowered.tables},
    )
