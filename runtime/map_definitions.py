"""Map definitions: the structs in section `.maps`, whose members' types say what the map is.

A number is encoded as a pointer to an array of that many elements, a type as a pointer to it
(libbpf's "BTF-defined maps"; the macros __uint and __type of its bpf_helpers.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wardgate.runtime.btf import Array, Btf, Pointer, Struct, Var
from wardgate.runtime.errors import ArtefactError
from wardgate.runtime.layout.maps import MapType
from wardgate.runtime.sections import Section, Symbol
from wardgate.runtime.spec import MapSpec

SECTION: Final = ".maps"
_NUMBERS: Final = ("type", "max_entries", "map_flags", "key_size", "value_size", "pinning")
_TYPES: Final = ("key", "value")
_MAX_KEY: Final = 512
_PAGE: Final = 4096
MAX_ENTRIES: Final = 1 << 24
MAX_RING: Final = 1 << 28
"""Bounds far above any gate's need: the kernel allocates what it is asked for, and a damaged number
would have it end other processes for memory before it refuses."""


def read_maps(section: Section, symbols: Sequence[Symbol], btf: Btf) -> dict[int, MapSpec]:
    """The maps by their offset in the section. ArtefactError where a definition makes no sense."""
    described = btf.datasec(SECTION)
    if described is None:
        raise ArtefactError(SECTION, "BTF does not describe the maps", "compile with debug information (-g)")
    structs = {}
    for placement in described[1].variables:
        variable = btf.type(placement.var_id)
        if isinstance(variable, Var):
            structs[variable.name] = variable.type_id
    found: dict[int, MapSpec] = {}
    for symbol in symbols:
        if symbol.section != section.index or symbol.kind != "STT_OBJECT":
            continue
        if symbol.name not in structs:
            raise ArtefactError(SECTION, f"BTF does not describe map {symbol.name!r}")
        if symbol.value in found:
            raise ArtefactError(
                SECTION, f"maps {found[symbol.value].name!r} and {symbol.name!r} share a place"
            )
        found[symbol.value] = _read_map(symbol.name, structs.pop(symbol.name), btf)
    if structs:
        raise ArtefactError(SECTION, f"map {min(structs)!r} has no symbol")
    return found


def _read_map(name: str, type_id: int, btf: Btf) -> MapSpec:
    _, definition = btf.resolve(type_id)
    where = f"{SECTION} {name!r}"
    if not isinstance(definition, Struct) or definition.union:
        raise ArtefactError(where, "is not defined by a struct")
    numbers: dict[str, int] = {}
    types: dict[str, int] = {}
    for member in definition.members:
        _, pointer = btf.resolve(member.type_id)
        if member.name not in _NUMBERS + _TYPES or member.name in numbers or member.name in types:
            raise ArtefactError(where, f"attribute {member.name!r} is unknown or comes twice")
        if not isinstance(pointer, Pointer):
            raise ArtefactError(where, f"attribute {member.name!r} is not a pointer")
        if member.name in _TYPES:
            # The kernel wants the ids of the types themselves, below typedefs.
            types[member.name] = btf.resolve(pointer.type_id)[0]
            continue
        _, array = btf.resolve(pointer.type_id)
        if not isinstance(array, Array):
            raise ArtefactError(where, f"attribute {member.name!r} is not a number")
        numbers[member.name] = array.count
    sizes = {part: _size(part, numbers, types, btf, where) for part in _TYPES}
    spec = MapSpec(
        name,
        numbers.get("type", 0),
        sizes["key"],
        sizes["value"],
        numbers.get("max_entries", 0),
        numbers.get("map_flags", 0),
        types.get("key", 0),
        types.get("value", 0),
    )
    _check(spec, where)
    return spec


def _size(part: str, numbers: dict[str, int], types: dict[str, int], btf: Btf, where: str) -> int:
    stated = numbers.get(f"{part}_size")
    if part not in types:
        return stated or 0
    size = btf.size_of(types[part])
    if stated is not None and stated != size:
        raise ArtefactError(where, f"{part}_size is {stated}, but its type has {size} bytes")
    return size


def _check(spec: MapSpec, where: str) -> None:
    if spec.type not in list(MapType):
        known = ", ".join(f"{t.value} {t.name.lower()}" for t in MapType)
        raise ArtefactError(where, f"map type {spec.type} is none of {known}")
    if not spec.max_entries:
        raise ArtefactError(where, "has no max_entries")
    if spec.type == MapType.RINGBUF:
        if spec.key_size or spec.value_size:
            raise ArtefactError(where, "a ring buffer has no key and no value")
        if spec.max_entries % _PAGE or spec.max_entries & (spec.max_entries - 1):
            raise ArtefactError(where, f"a ring buffer of {spec.max_entries} bytes: no power of two of pages")
        if spec.max_entries > MAX_RING:
            raise ArtefactError(where, f"a ring buffer of {spec.max_entries} bytes; at most {MAX_RING}")
        return
    if spec.max_entries > MAX_ENTRIES:
        raise ArtefactError(where, f"has {spec.max_entries} entries; at most {MAX_ENTRIES} are accepted")
    if not 1 <= spec.key_size <= _MAX_KEY or not 1 <= spec.value_size < 1 << 31:
        raise ArtefactError(where, f"key of {spec.key_size} bytes, value of {spec.value_size} bytes")
    if spec.type in (MapType.ARRAY, MapType.PERCPU_ARRAY) and spec.key_size != 4:
        raise ArtefactError(where, f"an array has keys of 4 bytes, not {spec.key_size}")
