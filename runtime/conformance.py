"""Checks of an artefact against what this runtime knows: its maps, records, tables and programs."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network
from typing import Final

from wardgate.runtime.btf import Btf
from wardgate.runtime.codec import U32, Codec, StructCodec, btf_codec, record_codec
from wardgate.runtime.errors import ArtefactError, LayoutError
from wardgate.runtime.layout.manifest import Manifest, Table, digest_of_tables
from wardgate.runtime.layout.maps import (
    CONFIG_SECTION,
    MAPS_BY_NAME,
    TABLE_SECTION_PREFIX,
    TUNNEL4,
    TUNNEL6,
    MapLayout,
    MapType,
)
from wardgate.runtime.layout.records import CONFIG, RECORDS
from wardgate.runtime.spec import MapSpec, ObjectSpec

_ELEMENTS: Final = (1, 2, 4, 8)


def check_layout(spec: ObjectSpec) -> None:
    """LayoutError unless `spec` is made of the maps, records, tables and programs that its manifest
    lists and this runtime knows; ArtefactError where its tables were changed since. `spec` has a manifest."""
    if spec.manifest is None:
        raise LayoutError(".wardgate.manifest", "is missing")
    if spec.btf is None:
        raise LayoutError(".BTF", "is missing")
    for name, found in spec.maps.items():
        layout = MAPS_BY_NAME.get(name)
        if layout is None:
            raise LayoutError(f".maps {name!r}", "is a map that this runtime does not know")
        _check_map(found, layout, spec.btf)
    _check_records(spec.btf)
    _check_manifest_maps(spec, spec.manifest)
    _check_tunnel(spec.manifest)
    _check_indexes(spec, spec.manifest)
    _check_tables(spec, spec.manifest)
    _check_programs(spec, spec.manifest)


def _check_map(found: MapSpec, layout: MapLayout, btf: Btf) -> None:
    where = f".maps {found.name!r}"
    stated = (found.type, found.key_size, found.value_size, found.flags)
    known = (int(layout.type), layout.key_size, layout.value_size, int(layout.flags))
    words = ("type", "key size", "value size", "flags")
    for word, is_stated, is_known in zip(words, stated, known, strict=True):
        if is_stated != is_known:
            raise LayoutError(where, f"has {word} {is_stated}, this runtime's has {is_known}")
    if layout.type is MapType.RINGBUF:
        return
    for part, type_id, record in (
        ("key", found.key_type, layout.key),
        ("value", found.value_type, layout.value),
    ):
        if not type_id:
            raise LayoutError(where, f"does not state the type of its {part}")
        check_codec(f"{where} {part}", btf_codec(btf, type_id), record_codec(record) if record else U32)


def _check_records(btf: Btf) -> None:
    """Records that are in no map's definition, such as events, are known by their structs' names."""
    for record in RECORDS:
        type_id = btf.struct(record.name)
        if type_id is not None:
            check_codec(f".BTF struct {record.name!r}", btf_codec(btf, type_id), record_codec(record))


def check_codec(where: str, found: Codec, known: Codec) -> None:
    """LayoutError that names the first difference of two codecs."""
    if found == known:
        return
    if isinstance(found, StructCodec) and isinstance(known, StructCodec):
        theirs, ours = ({f.name: f for f in codec.fields} for codec in (found, known))
        for name in [*ours, *theirs]:
            if theirs.get(name) != ours.get(name):
                raise LayoutError(
                    where, f"field {name!r} is {theirs.get(name)}, this runtime's {ours.get(name)}"
                )
        raise LayoutError(where, f"has {found.size} bytes, this runtime's {known.size}, or another order")
    raise LayoutError(where, f"is {found}, this runtime's {known}")


def _check_manifest_maps(spec: ObjectSpec, manifest: Manifest) -> None:
    listed = {use.name: use for use in manifest.maps}
    _check_same("maps", set(listed), set(spec.maps))
    for name, use in listed.items():
        if use.entries != spec.maps[name].max_entries:
            raise LayoutError(
                f".maps {name!r}",
                f"has {spec.maps[name].max_entries} entries, the manifest says {use.entries}",
            )
        if use.scope != MAPS_BY_NAME[name].scope.value:
            raise LayoutError(f".maps {name!r}", f"belongs to the {use.scope} by the manifest")


def _check_tunnel(manifest: Manifest) -> None:
    for text in manifest.tunnel:
        try:
            ip_network(text)
        except ValueError as error:
            raise LayoutError(".wardgate.manifest", f"its tunnel has no prefix {text!r}: {error}") from None


def _check_indexes(spec: ObjectSpec, manifest: Manifest) -> None:
    """An index is as large as the manifest says, and covers addresses that there are, of one half in IPv6:
    programs compare the other half as a whole."""
    for layout, index, version, bits in (
        (TUNNEL4, manifest.tunnel4, IPv4Address, 32),
        (TUNNEL6, manifest.tunnel6, IPv6Address, 64),
    ):
        where = f".maps {layout.name!r}"
        found = spec.maps.get(layout.name)
        if index is None:
            if found is not None:
                raise LayoutError(where, "is there, and the manifest says nothing of it")
            continue
        if found is None or found.max_entries != index.size:
            has = "is missing" if found is None else f"has {found.max_entries} entries"
            raise LayoutError(where, f"{has}, the manifest says that it has {index.size}")
        try:
            first = int(version(index.base)) & ((1 << bits) - 1)
        except AddressValueError as error:
            raise LayoutError(where, f"begins at no address by the manifest: {error}") from None
        if first + index.size > 1 << bits:
            raise LayoutError(where, f"has {index.size} entries, and no such addresses from {index.base} on")


def _check_tables(spec: ObjectSpec, manifest: Manifest) -> None:
    sections = {name for name in spec.data if name.startswith(TABLE_SECTION_PREFIX)}
    _check_same("tables", {table.section for table in manifest.tables}, sections)
    for table in manifest.tables:
        _check_table(table, len(spec.data[table.section].data))
    if digest_of_tables({name: spec.data[name].data for name in sections}) != manifest.tables_digest:
        # Of the right shape and with other content: they would load, and mean something else.
        raise ArtefactError(".wardgate.manifest", "has another digest than the tables have")
    others = set(spec.data) - sections - {CONFIG_SECTION}
    if others:
        raise LayoutError(min(others), "is global data that the manifest does not list")
    config = spec.data.get(CONFIG_SECTION)
    if config is None:
        raise LayoutError(CONFIG_SECTION, "is missing")
    if len(config.data) != CONFIG.size:
        raise LayoutError(CONFIG_SECTION, f"has {len(config.data)} bytes instead of {CONFIG.size}")
    for name, data in spec.data.items():
        if not data.read_only:
            raise LayoutError(name, "is writable global data")


def _check_table(table: Table, size: int) -> None:
    if table.element not in _ELEMENTS or table.count < 1:
        raise LayoutError(table.section, f"{table.count} elements of {table.element} bytes by the manifest")
    if table.element * table.count != size:
        raise LayoutError(
            table.section,
            f"has {size} bytes, the manifest says {table.count} elements of {table.element} bytes",
        )


def _check_programs(spec: ObjectSpec, manifest: Manifest) -> None:
    listed = {use.name: use for use in manifest.programs}
    _check_same("programs", set(listed), set(spec.programs))
    for name, use in listed.items():
        found = spec.programs[name]
        if (use.section, use.hook) != (found.section, found.kind.value):
            raise LayoutError(
                found.section, f"program {name!r} is in {use.section} for {use.hook} by the manifest"
            )


def _check_same(what: str, listed: set[str], found: set[str]) -> None:
    if listed != found:
        raise LayoutError(
            ".wardgate.manifest",
            f"lists {what} {sorted(listed - found)} that are not there, lacks {sorted(found - listed)}",
        )
