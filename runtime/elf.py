"""Reads an artefact: bytes to ObjectSpec, without the kernel; equal bytes give an equal spec.

Whatever is wrong with the bytes, the result is an ArtefactError that names the place. Nothing here
trusts a size, an offset or an index before it is compared with what is there.
"""

from __future__ import annotations

import struct
from typing import Final

from wardgate.runtime.btf import Btf, Datasec, Func, read_btf
from wardgate.runtime.btf_ext import BtfExt, read_btf_ext
from wardgate.runtime.conformance import check_layout
from wardgate.runtime.errors import ArtefactError
from wardgate.runtime.functions import FunctionReader
from wardgate.runtime.layout.manifest import Manifest, ManifestError
from wardgate.runtime.layout.maps import MANIFEST_SECTION, SIGNATURE_SECTION
from wardgate.runtime.map_definitions import SECTION as MAPS_SECTION
from wardgate.runtime.map_definitions import read_maps
from wardgate.runtime.sections import (
    ALLOC,
    COMPRESSED,
    EXECUTE,
    NOBITS,
    PROGBITS,
    Container,
    Section,
    read_container,
)
from wardgate.runtime.spec import DataSpec, MapSpec, ObjectSpec

_DATA_PREFIXES: Final = (".rodata", ".data", ".bss")
_R_ABS32: Final = 3
_R_NODYLD32: Final = 4
_STATIC: Final = 0


def read_object(data: bytes) -> ObjectSpec:
    """The object in `data`, any BPF object of maps, data and programs for tc and XDP.

    Its manifest is None where it has none. Raises ArtefactError.
    """
    container = read_container(data)
    for section in container.sections:
        if section.flags & COMPRESSED and not section.name.startswith(".debug"):
            raise ArtefactError(section.name, "is compressed, which artefacts are not")
    btf, ext = _read_types(container)
    maps = _read_maps(container, btf)
    sections = _read_data(container, btf)
    programs, functions = FunctionReader(container, maps, sections, btf, ext).read()
    if not programs:
        raise ArtefactError("", "it has no program", "give a compiled artefact")
    manifest = container.named(MANIFEST_SECTION)
    signature = container.named(SIGNATURE_SECTION)
    return ObjectSpec(
        _read_licence(container),
        programs,
        functions,
        {spec.name: spec for found in maps.values() for spec in found.values()},
        {spec.name: spec for spec in sections.values()},
        btf,
        _read_manifest(manifest) if manifest else None,
        signature.data if signature else b"",
    )


def read_artefact(data: bytes) -> ObjectSpec:
    """As read_object, for what Wardgate's compiler made: its manifest is there, and its maps, records
    and tables are those of runtime.layout. Raises ArtefactError, LayoutError where they are others.
    """
    spec = read_object(data)
    if spec.manifest is None:
        raise ArtefactError(MANIFEST_SECTION, "is missing: the object was not made by `wardgate compile`")
    check_layout(spec)
    return spec


def _read_licence(container: Container) -> str:
    section = container.named("license")
    if section is None:
        raise ArtefactError("license", "is missing; the kernel loads no program without one")
    text, end, rest = section.data.partition(b"\0")
    if not end or rest.strip(b"\0") or not text or not text.isascii() or len(text) > 127:
        raise ArtefactError("license", "is not one text that ends with a zero byte")
    return text.decode("ascii")


def _read_manifest(section: Section) -> Manifest:
    try:
        return Manifest.from_json(section.data)
    except ManifestError as error:
        raise ArtefactError(MANIFEST_SECTION, str(error)) from None


def _read_types(container: Container) -> tuple[Btf | None, BtfExt]:
    section = container.named(".BTF")
    if section is None:
        return None, BtfExt({}, {})
    btf = _complete_types(container, section)
    extension = container.named(".BTF.ext")
    return btf, read_btf_ext(extension.data, btf) if extension else BtfExt({}, {})


def _complete_types(container: Container, section: Section) -> Btf:
    """BTF as the kernel wants it: a compiler leaves sizes of sections zero and the places of their
    variables to relocations, and marks functions global that are hidden."""
    btf = read_btf(section.data)
    raw = bytearray(section.data)
    places = {
        offset + 16 + 12 * row
        for offset, one in zip(btf.offsets, btf.types, strict=True)
        if isinstance(one, Datasec)
        for row in range(len(one.variables))
    }
    for relocation in container.relocations(section):
        if relocation.type not in (_R_ABS32, _R_NODYLD32) or relocation.offset not in places:
            raise ArtefactError(
                f".BTF+{relocation.offset:#x}", f"relocation {relocation.type} of what is no variable's place"
            )
        (addend,) = struct.unpack_from("<I", raw, relocation.offset)
        value = addend + relocation.symbol.value & 0xFFFF_FFFF
        struct.pack_into("<I", raw, relocation.offset, value)
    hidden = {s.name for s in container.symbols if s.hidden and s.kind == "STT_FUNC"}
    for offset, one in zip(btf.offsets, btf.types, strict=True):
        if isinstance(one, Datasec):
            _complete_section(container, raw, offset, one)
        elif isinstance(one, Func) and one.name in hidden:
            (info,) = struct.unpack_from("<I", raw, offset + 4)
            struct.pack_into("<I", raw, offset + 4, info & 0xFFFF_0000 | _STATIC)
    return read_btf(bytes(raw))


def _complete_section(container: Container, raw: bytearray, offset: int, one: Datasec) -> None:
    found = container.named(one.name)
    if found is None:
        raise ArtefactError(".BTF", f"describes section {one.name!r}, which is not there")
    struct.pack_into("<I", raw, offset + 8, found.size)
    start, end = offset + 12, offset + 12 + 12 * len(one.variables)
    rows = sorted(struct.iter_unpack("<III", raw[start:end]), key=lambda row: row[1])
    place = 0
    for row, (variable, begin, size) in enumerate(rows):
        if begin < place or begin + size > found.size:
            raise ArtefactError(
                ".BTF",
                f"variable {variable} of {one.name}: {size} bytes at {begin:#x} of {found.size} overlap",
            )
        place = begin + size
        struct.pack_into("<III", raw, start + 12 * row, variable, begin, size)


def _read_maps(container: Container, btf: Btf | None) -> dict[int, dict[int, MapSpec]]:
    section = container.named(MAPS_SECTION)
    if container.named("maps"):
        raise ArtefactError("maps", "map definitions without BTF; maps are defined in section .maps")
    if section is None:
        return {}
    if btf is None:
        raise ArtefactError(".BTF", "is missing, so the maps are not defined", "compile with -g")
    return {section.index: read_maps(section, container.symbols, btf)}


def _read_data(container: Container, btf: Btf | None) -> dict[int, DataSpec]:
    found = {}
    for section in container.sections:
        base = section.name.split(".")[1] if section.name.startswith(".") else ""
        if f".{base}" not in _DATA_PREFIXES or not section.flags & ALLOC or section.flags & EXECUTE:
            continue
        if section.type not in (PROGBITS, NOBITS):
            raise ArtefactError(section.name, f"global data in a section of type {section.type}")
        if not section.size:
            continue
        if container.relocations(section):
            raise ArtefactError(section.name, "holds addresses, which global data of a program cannot")
        described = btf.datasec(section.name) if btf else None
        found[section.index] = DataSpec(
            section.name, section.data, base == "rodata", described[0] if described else 0
        )
    return found
