"""The finished object's tables and manifest, as bytes and numbers."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wardgate.compiler.artefact import ArtefactError, read_sections
from wardgate.compiler.validation.errors import ValidationError
from wardgate.runtime.layout.manifest import Manifest, ManifestError
from wardgate.runtime.layout.maps import MANIFEST_SECTION

_TYPECODES = {2: "H", 4: "I", 8: "Q"}
_DIFFERS = b"\1"
_MARKED = bytes(1) + _DIFFERS * 255
"""For bytes.translate: every byte but zero becomes the one to look for."""


@dataclass(frozen=True, slots=True)
class EncodedTable:
    """A table: its section's bytes, and the same as numbers."""

    name: str
    element: int
    data: bytes = field(repr=False)
    values: array[int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an artefact says of itself, and its tables by name."""

    manifest: Manifest
    tables: Mapping[str, EncodedTable]

    def parameter(self, name: str) -> int:
        """A number that the programs were specialised with."""
        try:
            return self.manifest.parameters[name]
        except KeyError:
            raise ValidationError(
                "the manifest's parameters", f"nothing of {name}", "needs tables that have it"
            ) from None

    def table(self, name: str) -> EncodedTable:
        """A table without which the others mean nothing."""
        try:
            return self.tables[name]
        except KeyError:
            raise ValidationError("the tables", f"nothing of {name}", "needs it") from None


def read_encoded(artefact: bytes) -> Encoded:
    """The tables of `artefact`; ValidationError where it cannot be read, or they are not as described."""
    try:
        sections = read_sections(artefact)
        manifest = Manifest.from_json(sections.get(MANIFEST_SECTION, b""))
    except (ArtefactError, ManifestError) as error:
        raise ValidationError("the artefact", f"what nobody can read ({error})", "has a meaning") from error
    tables = {}
    for described in manifest.tables:
        subject = f"table {described.name}"
        data, element = sections.get(described.section), described.element
        if data is None or element not in _TYPECODES or len(data) != element * described.count:
            size = "no section" if data is None else f"{len(data)} bytes"
            shape = f"{described.count} entries of {element} bytes"
            raise ValidationError(subject, f"{shape}, and has {size}", "needs both to be the same")
        if described.count & (described.count - 1) or not described.count:
            raise ValidationError(subject, f"{described.count} entries", "needs a power of two to mask with")
        values = integers(data, element)
        tables[described.name] = EncodedTable(described.name, element, data, values)
    return Encoded(manifest, tables)


def integers(data: bytes, element: int) -> array[int]:
    """The little-endian integers of `element` bytes in `data`."""
    values = array(_TYPECODES[element], data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class Spans:
    """The runs of equal entries of a table.

    They are found without looking at each entry: the table's bytes, as one long number, are compared
    with themselves shifted by an entry, and only where these differ does a run begin.
    """

    def __init__(self, table: EncodedTable) -> None:
        self._table = table
        element = table.element
        shifted = int.from_bytes(table.data[element:], "little") ^ int.from_bytes(
            table.data[:-element], "little"
        )
        differing = shifted.to_bytes(len(table.data), "little").translate(_MARKED)
        self._begins: list[int] = []
        at = differing.find(_DIFFERS)
        while at >= 0:
            self._begins.append(at // element + 1)
            at = differing.find(_DIFFERS, (at // element + 1) * element)

    def within(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(first, end, value) of each run of entries `start` to `end`, exclusive, cut to these."""
        begins, values = self._begins, self._table.values
        position = bisect_left(begins, start + 1)
        first = start
        while position < len(begins) and begins[position] < end:
            yield first, begins[position], values[first]
            first = begins[position]
            position += 1
        yield first, end, values[first]
