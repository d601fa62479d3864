"""From spec to kernel: maps are made, tables filled and frozen, programs loaded; or nothing at all."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final

from wardgate.runtime.btf import Btf
from wardgate.runtime.codec import U32, Codec, btf_codec, record_codec
from wardgate.runtime.errors import LayoutError, MapMismatchError, UnsupportedError, VerifierError
from wardgate.runtime.layout.maps import CONFIG_SECTION, MAPS_BY_NAME, MapFlag, MapType
from wardgate.runtime.layout.records import CONFIG
from wardgate.runtime.maps import Map, TypedMap
from wardgate.runtime.program import Program, TracedFunction, load_program
from wardgate.runtime.relocate import link_program
from wardgate.runtime.spec import DataSpec, MapSpec, ObjectSpec, ProgramKind, ProgramSpec
from wardgate.runtime.syscall import NO_REJECTION, Cmd, Fd, bpf_error, raw_bpf

_LOG_BYTES: Final = 1 << 20


class _BtfLoadAttr(ctypes.Structure):
    _fields_ = (
        ("btf", ctypes.c_uint64),
        ("log", ctypes.c_uint64),
        ("btf_size", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("_end", ctypes.c_uint32),
    )


class LoadedObject:
    """What `load_object` made. It owns all fds in it and closes them: a context manager.

    `maps` by name, shared ones included; `programs` by name; `tables` are the maps of the data
    sections, by the section's name.
    """

    def __init__(
        self,
        spec: ObjectSpec,
        maps: Mapping[str, Map],
        tables: Mapping[str, Map],
        programs: Mapping[str, Program],
        stack: ExitStack,
    ) -> None:
        self.spec = spec
        self.maps = maps
        self.tables = tables
        self.programs = programs
        self._stack = stack

    def typed(self, name: str) -> TypedMap:
        """The map with records as keys and values; LayoutError for one without types, such as a ring
        buffer. KeyError where there is no such map."""
        return typed_map(self.maps[name], self.spec.maps[name], self.spec.btf)

    def close(self) -> None:
        """Close all fds; what is pinned or attached lives on."""
        self._stack.close()

    def __enter__(self) -> LoadedObject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def typed_map(raw: Map, spec: MapSpec, btf: Btf | None) -> TypedMap:
    """`raw` typed by the BTF of its definition."""
    if btf is None or not spec.key_type or not spec.value_type:
        raise LayoutError(f".maps {spec.name!r}", "has no types for its keys and values")
    return TypedMap(raw, btf_codec(btf, spec.key_type), btf_codec(btf, spec.value_type))


def layout_map(raw: Map, name: str) -> TypedMap:
    """`raw` typed by the shared layout, for maps that are opened without their artefact."""
    layout = MAPS_BY_NAME[name]
    if layout.type is MapType.RINGBUF:
        raise LayoutError(f".maps {name!r}", "has no types for its keys and values")
    codecs: list[Codec] = [record_codec(part) if part else U32 for part in (layout.key, layout.value)]
    return TypedMap(raw, *codecs)


def load_object(
    spec: ObjectSpec,
    *,
    config: Mapping[str, int] | None = None,
    shared_maps: Mapping[str, Map] | None = None,
    resize: Mapping[str, int] | None = None,
    traced: Mapping[str, TracedFunction] | None = None,
) -> LoadedObject:
    """Make the kernel objects of `spec`.

    `config` are fields of records.CONFIG. `shared_maps` are used instead of new ones (the result has
    its own fds for them); they must have the type, sizes and flags that the object declares and,
    unless the map may be resized, its number of entries: else MapMismatchError. `resize` gives the
    number of entries of a new map. Names in either that the object does not have are left unused.
    `traced` says where the functions are that its FENTRY programs are for: UnsupportedError for one that
    is missing.
    On any error everything made is closed before the error is raised.
    """
    if sys.byteorder != "little":
        raise UnsupportedError("load artefact", "", "it is little-endian, this machine is not")
    with ExitStack() as stack:
        btf_fd = stack.enter_context(load_btf(spec.btf)) if spec.btf else None
        maps = {
            name: stack.enter_context(_make_map(one, btf_fd, shared_maps or {}, resize or {}))
            for name, one in spec.maps.items()
        }
        tables = {
            name: stack.enter_context(_make_table(one, btf_fd, config or {}))
            for name, one in spec.data.items()
        }
        if config and CONFIG_SECTION not in tables:
            raise LayoutError(CONFIG_SECTION, "is missing, so there is nothing to configure")
        fds = {name: one.fd.fileno() for name, one in (maps | tables).items()}
        programs = {
            name: stack.enter_context(
                load_program(link_program(spec, one, fds), spec.licence, btf_fd, _traced(one, traced or {}))
            )
            for name, one in spec.programs.items()
        }
        return LoadedObject(spec, maps, tables, programs, stack.pop_all())


def _traced(program: ProgramSpec, known: Mapping[str, TracedFunction]) -> TracedFunction | None:
    if program.kind is not ProgramKind.FENTRY:
        return None
    found = known.get(program.traced)
    if found is None:
        raise UnsupportedError("load program", repr(program.name), f"nobody says where {program.traced!r} is")
    return found


def load_btf(btf: Btf) -> Fd:
    """Hand types to the kernel; VerifierError where it does not accept them."""
    data = ctypes.create_string_buffer(btf.raw, len(btf.raw))
    attr = _BtfLoadAttr(btf=ctypes.addressof(data), btf_size=len(btf.raw))
    result = raw_bpf(Cmd.BTF_LOAD, attr)
    if result >= 0:
        return Fd(result)
    log = ctypes.create_string_buffer(_LOG_BYTES)
    attr.log, attr.log_size, attr.log_level = ctypes.addressof(log), len(log), 1
    again = raw_bpf(Cmd.BTF_LOAD, attr)
    if again >= 0:
        return Fd(again)
    text = log.value.decode("utf-8", errors="replace")
    if not text.strip() or -again in NO_REJECTION:
        raise bpf_error(Cmd.BTF_LOAD, -again, name="the artefact")
    raise VerifierError(
        "BTF",
        text.strip().splitlines()[-1][:240],
        "compile the policy again with the release that this runtime is of",
        log=text,
        location=None,
        source=None,
    )


def _make_map(spec: MapSpec, btf_fd: Fd | None, shared: Mapping[str, Map], resize: Mapping[str, int]) -> Map:
    given = shared.get(spec.name)
    if given is not None:
        check_compatible(given, spec)
        return given.dup()
    entries = spec.max_entries
    if spec.name in resize and resize[spec.name] != entries:
        if not _resizable(spec.name):
            raise LayoutError(f".maps {spec.name!r}", "cannot be made of another size")
        entries = resize[spec.name]
    return Map.create(
        spec.name,
        spec.type,
        spec.key_size,
        spec.value_size,
        entries,
        spec.flags,
        btf_fd=btf_fd,
        key_type=spec.key_type,
        value_type=spec.value_type,
    )


def _resizable(name: str) -> bool:
    layout = MAPS_BY_NAME.get(name)
    return layout is None or layout.resizable


def check_compatible(found: Map, spec: MapSpec) -> None:
    """MapMismatchError unless programs of `spec` can use the map `found`."""
    info = found.info
    pairs = [
        ("type", info.type, spec.type),
        ("key size", info.key_size, spec.key_size),
        ("value size", info.value_size, spec.value_size),
        ("flags", info.flags, spec.flags),
    ]
    if not _resizable(spec.name):
        pairs.append(("number of entries", info.max_entries, spec.max_entries))
    for word, has, needs in pairs:
        if has != needs:
            raise MapMismatchError(
                "use map",
                repr(spec.name),
                f"it has {word} {has}, the artefact needs {needs}",
                "detach the gate, so that its maps are made anew, or load an artefact of the same release",
            )


def _make_table(spec: DataSpec, btf_fd: Fd | None, config: Mapping[str, int]) -> Map:
    """A map of one entry that holds a data section; read-only ones are frozen, so that the verifier
    may take their content as constants (bpf_map_is_rdonly)."""
    data = spec.data
    if spec.name == CONFIG_SECTION and config:
        if len(data) != CONFIG.size:
            raise LayoutError(CONFIG_SECTION, f"has {len(data)} bytes instead of {CONFIG.size}")
        data = CONFIG.pack({**CONFIG.unpack(data), **config})
    flags = int(MapFlag.MMAPABLE) | (int(MapFlag.RDONLY_PROG) if spec.read_only else 0)
    name = spec.name.removeprefix(".rodata.") or spec.name
    table = Map.create(name, MapType.ARRAY, 4, len(data), 1, flags, btf_fd=btf_fd, value_type=spec.type_id)
    try:
        table.update(bytes(4), data)
        if spec.read_only:
            table.freeze()
    except BaseException:
        table.close()
        raise
    return table
