"""The finished object's tables and manifest, as bytes and numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from wardgate.compiler.artefact import ArtefactError, read_sections
from wardgate.compiler.validation.errors import OutOfBoundsError, ValidationError
from wardgate.runtime.layout.manifest import Manifest, ManifestError
from wardgate.runtime.layout.maps import MANIFEST_SECTION, TABLE_SECTION_PREFIX

Numbers = npt.NDArray[np.integer]

_ELEMENTS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTable:
    """A table: its section's bytes, and the same as numbers, which are little-endian and unsigned."""

    name: str
    element: int
    data: bytes = field(repr=False)
    values: Numbers = field(repr=False)

    def __len__(self) -> int:
        return len(self.values)

    def entry(self, index: int, cause: str) -> int:
        """An entry; OutOfBoundsError, with the `cause`, where there is none at `index`."""
        if index >= len(self.values):
            raise OutOfBoundsError(self.name, index, len(self.values), cause)
        return int(self.values[index])

    def check_has(self, count: int, cause: str) -> None:
        """OutOfBoundsError, with the `cause` of reading the last, where there are fewer entries."""
        if count > len(self.values):
            raise OutOfBoundsError(self.name, count - 1, len(self.values), cause)


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


def read_artefact(artefact: bytes) -> Mapping[str, bytes]:
    """The sections of `artefact`, by name; ValidationError where it cannot be read."""
    try:
        return read_sections(artefact)
    except ArtefactError as error:
        raise _unreadable(error) from error


def read_encoded(sections: Mapping[str, bytes], manifest: Manifest | None = None) -> Encoded:
    """The tables in an artefact's sections; ValidationError where they are not as its manifest says.

    `manifest`: what its section holds, where that has been read.
    """
    try:
        manifest = manifest or Manifest.from_json(sections.get(MANIFEST_SECTION, b""))
    except ManifestError as error:
        raise _unreadable(error) from error
    tables: dict[str, EncodedTable] = {}
    for described in manifest.tables:
        # Programs find a table by its section, whatever the manifest calls it.
        if described.section != TABLE_SECTION_PREFIX + described.name or described.name in tables:
            raise ValidationError(
                f"table {described.name}", f"section {described.section}", "needs one of its name, once"
            )
        data, element, count = sections.get(described.section), described.element, described.count
        if data is None or element not in _ELEMENTS or not len(data) == element * count > 0:
            size = "no section" if data is None else f"{len(data)} bytes"
            shape = f"{count} entries of {element} bytes"
            raise ValidationError(f"table {described.name}", f"{shape}, and has {size}", "needs the same")
        tables[described.name] = EncodedTable(described.name, element, data, integers(data, element))
    return Encoded(manifest, tables)


def _unreadable(error: Exception) -> ValidationError:
    return ValidationError("the artefact", f"what nobody can read ({error})", "has a meaning")


def integers(data: bytes | bytearray, element: int) -> Numbers:
    """The little-endian integers of `element` bytes in `data`."""
    return np.frombuffer(data, f"<u{element}")


class Spans:
    """The runs of equal entries of a table."""

    def __init__(self, table: EncodedTable) -> None:
        values = table.values
        begins = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
        self._values: list[int] = values[begins].tolist()
        self._begins: list[int] = begins.tolist()
        self._ends: list[int] = [*self._begins[1:], len(values)]

    def within(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(first, end, value) of each run of entries `start` to `end`, exclusive, cut to these."""
        position = bisect_right(self._begins, start) - 1
        while start < end:
            after = min(self._ends[position], end)
            yield start, after, self._values[position]
            start = after
            position += 1
