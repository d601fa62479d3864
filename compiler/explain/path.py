"""The way of a packet through a program: source lines, and what was looked up in tables and maps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any, Final

from wardgate.compiler.vm.helpers import HELPERS
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.maps import ArrayTable, HashTable
from wardgate.compiler.vm.memory import OFFSET_MASK
from wardgate.compiler.vm.observe import Observer
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import TABLE_SECTION_PREFIX, MapLayout
from wardgate.runtime.layout.records import Field, Record

_LOOKUP: Final = 1
"""BPF_FUNC_map_lookup_elem."""
_WITH_KEY: Final = (1, 2, 3)
"""It, and those that update and delete: they take a map and a key."""


@dataclass(frozen=True, slots=True)
class CodeLine:
    """From instruction `index` of the image on, the code is of this line; `file` as the compiler saw it."""

    index: int
    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Load:
    """An entry of a table that was loaded."""

    table: str
    index: int
    value: int

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {"table": self.table, "index": self.index, "value": self.value}


@dataclass(frozen=True, slots=True)
class MapCall:
    """A call about a map's element: `key` in words; `found` None where the call is no lookup."""

    map: str
    operation: str
    key: str
    found: bool | None

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {"map": self.map, "operation": self.operation, "key": self.key, "found": self.found}


@dataclass(frozen=True, slots=True)
class FieldLoad:
    """Fields of an element of a map that were loaded, by name."""

    map: str
    key: str
    fields: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {"map": self.map, "key": self.key, "fields": self.fields}


Looked = Load | MapCall | FieldLoad


@dataclass(frozen=True, slots=True)
class Step:
    """A run of instructions of one source line; `enters` names the function that begins with it. `file` is
    empty and `line` 0 where the artefact does not tell."""

    enters: str | None
    file: str
    line: int
    text: str
    instructions: int
    looked: tuple[Looked, ...]

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {
            "enters": self.enters,
            "file": self.file,
            "line": self.line,
            "text": self.text,
            "instructions": self.instructions,
            "looked_up": [one.to_json() for one in self.looked],
        }


@dataclass(frozen=True, slots=True)
class Path:
    """All of it, with the number of `instructions` that ran."""

    program: str
    instructions: int
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        steps = [step.to_json() for step in self.steps]
        return {"name": self.program, "instructions": self.instructions, "steps": steps}


@dataclass(slots=True)
class _Visit:
    pc: int
    looked: list[Looked] = field(default_factory=list)


class PathObserver(Observer):
    """Keeps one run of a machine; `path` is what it was, and forgets it."""

    def __init__(self, manifest: Manifest) -> None:
        self._elements = {table.section: table.element for table in manifest.tables}
        self._visits: list[_Visit] = []
        self._elements_at: dict[int, tuple[MapLayout, str]] = {}
        self._asked: tuple[MapLayout, str] | None = None

    def visit(self, pc: int) -> None:
        """See Observer."""
        self._visits.append(_Visit(pc))

    def loaded(self, address: int, size: int, value: int) -> None:
        """See Observer."""
        base, offset = address & ~OFFSET_MASK, address & OFFSET_MASK
        section = self.host.memory.name(address)
        element = self._elements.get(section)
        if element is not None:
            name = section.removeprefix(TABLE_SECTION_PREFIX)
            self._visits[-1].looked.append(Load(name, offset // element, value))
            return
        known = self._elements_at.get(base)
        if known is not None and known[0].value is not None:
            fields = _fields(known[0].value, offset, size, value)
            self._visits[-1].looked.append(FieldLoad(known[0].name, known[1], fields))

    def called(self, helper: int, arguments: tuple[int, ...]) -> None:
        """See Observer."""
        if helper not in _WITH_KEY:
            return
        table = self.host.handles.get(arguments[0])
        if not isinstance(table, ArrayTable | HashTable):
            return
        key = _key(table.layout, self.host.memory.read(arguments[1], table.layout.key_size))
        self._asked = (table.layout, key)
        if helper != _LOOKUP:
            operation = HELPERS[helper][0].split("_")[1]
            self._visits[-1].looked.append(MapCall(table.layout.name, operation, key, None))

    def returned(self, helper: int, value: int) -> None:
        """See Observer."""
        if helper != _LOOKUP or self._asked is None:
            return
        layout, key = self._asked
        self._visits[-1].looked.append(MapCall(layout.name, "lookup", key, value != 0))
        if value:
            self._elements_at[value & ~OFFSET_MASK] = self._asked

    def path(self, image: Image, program: str, lines: Sequence[CodeLine]) -> Path:
        """The run since the last call; `lines` are those of the image, sorted by index."""
        visits, self._visits = self._visits, []
        self._elements_at.clear()
        entries = {entry: name for name, entry in image.functions.items()}
        # A function's code does not have the line of what stands before it.
        starts = sorted(entries)
        begins = [line.index for line in lines]
        steps: list[Step] = []
        for visit in visits:
            at = bisect_right(begins, visit.pc) - 1
            function = starts[bisect_right(starts, visit.pc) - 1]
            line = lines[at] if at >= 0 and begins[at] >= function else CodeLine(visit.pc, "", 0, "")
            enters = entries.get(visit.pc)
            last = steps[-1] if steps else None
            if last and not enters and (last.file, last.line) == (line.file, line.line):
                steps[-1] = Step(
                    last.enters, last.file, last.line, last.text, last.instructions + 1,
                    (*last.looked, *visit.looked),
                )  # fmt: skip
            else:
                steps.append(Step(enters, line.file, line.line, line.text, 1, tuple(visit.looked)))
        return Path(program, len(visits), tuple(steps))


def _key(layout: MapLayout, key: bytes) -> str:
    if layout.key is None:
        return str(int.from_bytes(key, "little"))
    parts = layout.key.unpack(key)
    shown = [
        _address(value) if isinstance(value, bytes) else f"{name} {value}" for name, value in parts.items()
    ]
    return ", ".join(shown)


def _address(value: bytes) -> str:
    address = IPv6Address(value)
    return str(address.ipv4_mapped or address)


def _fields(record: Record, offset: int, size: int, value: int) -> dict[str, int]:
    """The fields that `value`, of `size` bytes at `offset` of a record, is; in part where it cuts one."""
    content = value.to_bytes(8, "little")[:size]
    found = {}
    for one in record.fields:
        start = record.offsets[one.name]
        low, high = max(start, offset), min(start + one.size, offset + size)
        if low < high:
            part = int.from_bytes(content[low - offset : high - offset], "little")
            found[_field_name(one, low - start)] = part
    return found


def _field_name(one: Field, offset: int) -> str:
    return one.name if one.length == 1 else f"{one.name}[{offset // (one.size // one.length)}]"
