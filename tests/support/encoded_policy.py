"""Policies as tables and a manifest in an object without programs: what a decoder of tables reads, and
made in milliseconds. Parts of it can be changed one at a time."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wardgate.compiler.artefact import ElfObject, Section
from wardgate.compiler.artefact.describe import describe
from wardgate.compiler.artefact.elf import SectionKind, write_object
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import lower
from wardgate.compiler.lowering.plan import Choose
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import MANIFEST_SECTION, TABLE_SECTION_PREFIX

CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True)
class EncodedPolicy:
    """`tables`: name to (bytes of an element, content)."""

    policy: Policy
    manifest: Manifest
    tables: Mapping[str, tuple[int, bytes]]

    def artefact(self) -> bytes:
        """The object."""
        contents = {TABLE_SECTION_PREFIX + name: data for name, (_, data) in self.tables.items()}
        contents[MANIFEST_SECTION] = self.manifest.to_json()
        sections = [Section(name, SectionKind.PROGBITS, 0, 8, data) for name, data in contents.items()]
        return write_object(ElfObject(tuple(sections), ()))

    def entries(self, name: str) -> tuple[int, ...]:
        """The entries of a table."""
        element, data = self.tables[name]
        return struct.unpack(f"<{len(data) // element}{CODES[element]}", data)

    def changed(self, name: str, changes: Mapping[int, int]) -> EncodedPolicy:
        """With other values at some indexes of a table."""
        element, data = self.tables[name]
        content = bytearray(data)
        for index, value in changes.items():
            low = value & ((1 << 8 * element) - 1)
            content[index * element : (index + 1) * element] = low.to_bytes(element, "little")
        return replace(self, tables={**self.tables, name: (element, bytes(content))})

    def swapped(self, name: str, first: int, second: int, count: int = 1) -> EncodedPolicy:
        """With `count` entries from `first` on where those from `second` on are, and the other way."""
        entries = self.entries(name)
        changes = {first + index: entries[second + index] for index in range(count)}
        changes |= {second + index: entries[first + index] for index in range(count)}
        return self.changed(name, changes)

    def described(self, change: Callable[[Any], object]) -> EncodedPolicy:
        """With a manifest whose JSON document `change` has altered."""
        document = json.loads(self.manifest.to_json())
        change(document)
        return replace(self, manifest=Manifest.from_json(json.dumps(document).encode()))

    def replaced(self, name: str, element: int, values: Iterable[int]) -> EncodedPolicy:
        """With a table of other size, whose entries have `element` bytes."""
        entries = list(values)
        data = struct.pack(f"<{len(entries)}{CODES[element]}", *entries)

        def resize(document: Any) -> None:
            table = next(table for table in document["tables"] if table["name"] == name)
            table.update(element=element, count=len(entries))

        return replace(self.described(resize), tables={**self.tables, name: (element, data)})

    def widened(self, least: int) -> EncodedPolicy:
        """With entries of `least` bytes where they have fewer."""
        wider = self
        for name, (element, _) in self.tables.items():
            if element < least:
                wider = wider.replaced(name, least, self.entries(name))
        return wider

    def with_parameters(self, **parameters: int) -> EncodedPolicy:
        """With other numbers in the manifest's parameters."""
        return self.described(lambda document: document["parameters"].update(parameters))

    def content(self, matrix: str) -> str:
        """The table that has the entries of a matrix, in whatever form it is."""
        return next(name for name in (matrix, f"{matrix}_pages", f"{matrix}_values") if name in self.tables)

    def row(self, matrix: str, number: int) -> tuple[str, int, int]:
        """The table that tells rows of a matrix apart, where a row begins in it, and how long it is."""
        plain = matrix in self.tables
        width = self.manifest.parameters[f"{matrix}_width" if plain else f"{matrix}_per_row"]
        return matrix if plain else f"{matrix}_directory", number * width, width

    def place(self, matrix: str, row: int, column: int) -> int:
        """Which entry of its content a matrix has for a row and a column."""
        table, first, _ = self.row(matrix, row)
        if table == matrix:
            return first + column
        entry = self.entries(table)[first + (column >> 6)]
        if f"{matrix}_pages" in self.tables:
            return entry << 6 | column & 63
        starts, base = self.entries(f"{matrix}_lines")[2 * entry : 2 * entry + 2]
        return base + (starts & (2 << (column & 63)) - 1).bit_count()


def encode(policy: Policy | str, choose: Choose | None = None) -> EncodedPolicy:
    """The tables and the manifest of a policy, or of a policy's text, in the forms that `choose` picks."""
    if isinstance(policy, str):
        policy = parse_policy_text(policy).policy
    lowered = lower(policy, choose)
    return EncodedPolicy(
        policy,
        describe(lowered, {table.section: table.to_bytes() for table in lowered.tables}, {"none": "1"}),
        {table.name: (table.element, table.to_bytes()) for table in lowered.tables},
    )
