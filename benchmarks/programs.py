"""C of the benchmarks to loaded programs, with the compiler's backend and the runtime's loader."""

from __future__ import annotations

import ctypes
import dataclasses
import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Final, Literal

from wardgate.compiler.backend import build_object
from wardgate.compiler.codegen.specialise import read_template
from wardgate.compiler.codegen.unit import TranslationUnit
from wardgate.runtime.elf import read_object
from wardgate.runtime.layout.maps import MapFlag
from wardgate.runtime.maps import Map
from wardgate.runtime.object import LoadedObject, load_object
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.syscall import Cmd, Fd, bpf, bpf_error, raw_bpf

Hook = Literal["tc", "xdp"]

FOLDER: Final = Path(__file__).parent
_BATCH: Final = 1 << 16
_INCLUDE: Final = re.compile(r'^#include "(.*)"$', re.MULTILINE)


class MapKind(IntEnum):
    """Map types that artefacts never have, so the runtime's reader does not know them."""

    PROG_ARRAY = 3
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12


def build(name: str, defines: Mapping[str, int | str]) -> ObjectSpec:
    """The object of a C file in this folder, compiled behind the templates' kernel types and `defines`.

    What the file includes is put in its place.
    """
    head = "".join(f"#define {key} {value}\n" for key, value in sorted(defines.items()))
    return build_text(Path(name).name, head + _read(FOLDER / name))


def _read(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: _read(path.parent / found[1]), text)


@cache
def build_text(name: str, text: str) -> ObjectSpec:
    """The object of C text, compiled behind the templates' kernel types."""
    unit = TranslationUnit("unit.c", f'{read_template("types.h")}\n#line 1 "{name}"\n{text}', {name: text})
    return read_object(build_object(unit).data)


def load(
    spec: ObjectSpec,
    *,
    kinds: Mapping[str, MapKind] | None = None,
    resize: Mapping[str, int] | None = None,
    given: Mapping[str, Map] | None = None,
    config: Mapping[str, int] | None = None,
    programs: Iterable[str] | None = None,
) -> LoadedObject:
    """Load an object; `kinds` are the true types of maps that its C declares as hashes or arrays,
    `programs` those to load (all). For the rest see `load_object`."""
    maps = {
        name: dataclasses.replace(one, type=kinds[name], key_type=0, value_type=0)
        if kinds and name in kinds
        else one
        for name, one in spec.maps.items()
    }
    wanted = {name: spec.programs[name] for name in programs} if programs else spec.programs
    return load_object(
        dataclasses.replace(spec, maps=maps, programs=wanted),
        config=config, shared_maps=given, resize=resize,
    )  # fmt: skip


class _CreateAttr(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
    )


def make_inner(kind: MapKind, key_size: int, value_size: int, entries: int) -> Map:
    """A map to be put into another; not allocated beforehand."""
    return Map.create("inner", kind, key_size, value_size, entries, int(MapFlag.NO_PREALLOC))


def make_outer(kind: MapKind, entries: int, template: Map) -> Map:
    """A map of maps like `template`, which is closed."""
    with template:
        attr = _CreateAttr(kind, 4, 4, entries, 0, template.fd.fileno())
        return Map(Fd(bpf(Cmd.MAP_CREATE, attr, name=f"map of {entries} maps")), "outer")


class _BatchAttr(ctypes.Structure):
    _fields_ = (
        ("in_batch", ctypes.c_uint64),
        ("out_batch", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
        ("values", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("fd", ctypes.c_uint32),
        ("element_flags", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


def fill(target: Map, keys: bytes, values: bytes) -> None:
    """Update many elements: keys and values one after another (BPF_MAP_UPDATE_BATCH)."""
    key_size, value_size = target.info.key_size, target.info.value_size
    count = len(keys) // key_size
    if len(keys) != count * key_size or len(values) != count * value_size:
        raise ValueError(f"{len(keys)} bytes of keys and {len(values)} of values do not fit {target.name!r}")
    for start in range(0, count, _BATCH):
        size = min(_BATCH, count - start)
        key_part = keys[start * key_size : (start + size) * key_size]
        value_part = values[start * value_size : (start + size) * value_size]
        key_buffer = ctypes.create_string_buffer(key_part, len(key_part))
        value_buffer = ctypes.create_string_buffer(value_part, len(value_part))
        attr = _BatchAttr(
            keys=ctypes.addressof(key_buffer),
            values=ctypes.addressof(value_buffer),
            count=size,
            fd=target.fd.fileno(),
        )
        result = raw_bpf(Cmd.MAP_UPDATE_BATCH, attr)
        if result < 0:
            raise bpf_error(Cmd.MAP_UPDATE_BATCH, -result, name=repr(target.name))


def fill_array(target: Map, values: bytes) -> None:
    """Fill an array from its first element on."""
    count = len(values) // target.info.value_size
    fill(target, b"".join(number.to_bytes(4, "little") for number in range(count)), values)
