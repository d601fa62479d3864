"""How maps and tables are laid out, by the artefact's own BTF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from wardgate.compiler.costs.sizes import size
from wardgate.compiler.inspect.model import Inspection
from wardgate.runtime.btf import Array, Btf, Int, Modifier, Other, Pointer, Struct
from wardgate.runtime.layout.maps import CONFIG_SECTION, MAPS_BY_NAME, TABLE_SECTION_PREFIX, MapFlag, MapType
from wardgate.runtime.layout.records import RECORDS

_DEEPEST: Final = 8
"""Structs in each other that are opened; those of an artefact hold none."""

_DOCS: Final = {(record.name, field.name): field.doc for record in RECORDS for field in record.fields}


@dataclass(frozen=True, slots=True)
class FieldLayout:
    """A member of a struct; `offset` and `size` in bytes, `depth` counts the structs around it."""

    name: str
    type: str
    offset: int
    size: int
    depth: int
    doc: str


@dataclass(frozen=True, slots=True)
class TypeLayout:
    """A type of keys or values: its name in C, its size in bytes, and its members if it is a struct."""

    name: str
    size: int
    fields: tuple[FieldLayout, ...]


@dataclass(frozen=True, slots=True)
class MapLayoutSeen:
    """A map that the artefact declares.

    `scope`: who owns it, see runtime.layout.maps. `bytes` is the kernel's memory for it, as the artefact
    declares it and its certificate says; None without one.
    """

    name: str
    type: str
    scope: str
    entries: int
    flags: tuple[str, ...]
    key: TypeLayout | None
    value: TypeLayout | None
    bytes: int | None
    doc: str


@dataclass(frozen=True, slots=True)
class DataLayout:
    """Global data: a table, or the constants that the runtime sets. `count` entries of `element` bytes."""

    name: str
    section: str
    type: str
    element: int
    count: int
    fields: tuple[FieldLayout, ...]
    doc: str


def map_layouts(inspection: Inspection) -> tuple[MapLayoutSeen, ...]:
    """The maps, in the order of the manifest."""
    manifest, btf = inspection.manifest, inspection.spec.btf
    costs = {cost.name: cost.bytes for cost in manifest.certificate.maps} if manifest.certificate else {}
    scopes = {use.name: use.scope for use in manifest.maps}
    found = []
    for name in scopes:
        spec = inspection.spec.maps[name]
        known = MAPS_BY_NAME.get(name)
        flags = tuple(flag.name.lower() for flag in MapFlag if spec.flags & flag)
        found.append(
            MapLayoutSeen(
                name,
                MapType(spec.type).name.lower(),
                scopes[name],
                spec.max_entries,
                flags,
                _type_layout(btf, spec.key_type, spec.key_size),
                _type_layout(btf, spec.value_type, spec.value_size),
                costs.get(name),
                known.doc if known else "",
            )
        )
    return tuple(found)


def data_layouts(inspection: Inspection) -> tuple[DataLayout, ...]:
    """The tables in the order of the manifest, and then the other global data."""
    spec = inspection.spec
    found = []
    for table in inspection.manifest.tables:
        name = f"u{8 * table.element}"
        found.append(DataLayout(table.name, table.section, name, table.element, table.count, (), table.doc))
    for data in spec.data.values():
        if data.name.startswith(TABLE_SECTION_PREFIX):
            continue
        fields: tuple[FieldLayout, ...] = ()
        kind = "bytes"
        doc = (
            "set by the runtime before it freezes the tables" if data.name == CONFIG_SECTION else "constants"
        )
        if spec.btf and (described := spec.btf.datasec(data.name)) and len(described[1].variables) == 1:
            variable = spec.btf.type(described[1].variables[0].var_id)
            type_id = getattr(variable, "type_id", 0)
            kind = _type_name(spec.btf, type_id)
            fields = tuple(_fields(spec.btf, type_id, 0, 0))
        found.append(DataLayout(data.name, data.name, kind, len(data.data), 1, fields, doc))
    return tuple(found)


def _type_layout(btf: Btf | None, type_id: int, bytes_: int) -> TypeLayout | None:
    if not bytes_:
        return None
    if btf is None or not type_id:
        return TypeLayout("bytes", bytes_, ())
    return TypeLayout(_type_name(btf, type_id), bytes_, tuple(_fields(btf, type_id, 0, 0)))


def _fields(btf: Btf, type_id: int, start: int, depth: int) -> Iterator[FieldLayout]:
    _, found = btf.resolve(type_id)
    if not isinstance(found, Struct) or depth >= _DEEPEST:
        return
    for member in found.members:
        offset = start + member.bit_offset // 8
        name = member.name + (f":{member.bit_size}" if member.bit_size else "")
        doc = _DOCS.get((found.name, member.name), "")
        kind = _type_name(btf, member.type_id)
        yield FieldLayout(name, kind, offset, btf.size_of(member.type_id), depth, doc)
        yield from _fields(btf, member.type_id, offset, depth + 1)


def _type_name(btf: Btf, type_id: int, depth: int = 0) -> str:
    """The type as C has it, the dimension of an array behind it."""
    if not type_id:
        return "void"
    if depth >= _DEEPEST:
        return "..."
    found = btf.type(type_id)
    match found:
        case Int() | Other():
            return found.name or "?"
        case Struct():
            return f"{'union' if found.union else 'struct'} {found.name}".rstrip()
        case Array():
            return f"{_type_name(btf, found.element_id, depth + 1)}[{found.count}]"
        case Pointer():
            return f"{_type_name(btf, found.type_id, depth + 1)} *"
        case Modifier():
            # A qualifier changes nothing about where things are.
            return found.name or _type_name(btf, found.type_id, depth + 1)
        case _:
            return found.name


def layouts_document(inspection: Inspection) -> dict[str, Any]:
    """As docs/json.md describes it."""
    return {
        "maps": [asdict(one) for one in map_layouts(inspection)],
        "data": [asdict(one) for one in data_layouts(inspection)],
    }


def layout_lines(inspection: Inspection) -> Iterator[str]:
    """Maps and data for people."""
    for found in map_layouts(inspection):
        flags = f", {', '.join(found.flags)}" if found.flags else ""
        memory = f", {size(found.bytes)}" if found.bytes is not None else ""
        unit = "bytes" if found.type == "ringbuf" else "entries"
        yield f"{found.name}: {found.type}, {found.entries:,} {unit}{memory}, of the {found.scope}{flags}"
        yield f"  {found.doc}"
        for what, layout in (("key", found.key), ("value", found.value)):
            if layout is not None:
                yield f"  {what:6}{layout.name}, {layout.size} byte{'s' * (layout.size != 1)}"
                yield from _field_lines(layout.fields)
        yield ""
    for data in data_layouts(inspection):
        shape = f"{data.type}[{data.count}]" if data.count > 1 else data.type
        yield f"{data.name}: {shape}, {size(data.element * data.count)}, in {data.section}"
        yield f"  {data.doc}"
        yield from _field_lines(data.fields)


def _field_lines(fields: tuple[FieldLayout, ...]) -> Iterator[str]:
    for field in fields:
        kind = "  " * field.depth + field.type
        yield f"    {field.offset:5} {field.size:5}  {kind:12} {field.name:18} {field.doc}".rstrip()
