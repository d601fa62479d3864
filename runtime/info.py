"""What the kernel says of objects that one has an fd of: programs, maps, links and BTF.

Layouts: include/uapi/linux/bpf.h, struct bpf_*_info. Only the leading part that is used is asked for.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from wardgate.runtime.errors import UnsupportedError
from wardgate.runtime.syscall import OBJECT_NAME_BYTES, Cmd, Fd, bpf


class _InfoAttr(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_uint32), ("length", ctypes.c_uint32), ("info", ctypes.c_uint64))


class _ProgInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("jited_length", ctypes.c_uint32),
        ("xlated_length", ctypes.c_uint32),
        ("jited", ctypes.c_uint64),
        ("xlated", ctypes.c_uint64),
        ("load_time", ctypes.c_uint64),
        ("created_by_uid", ctypes.c_uint32),
        ("map_count", ctypes.c_uint32),
        ("map_ids", ctypes.c_uint64),
        ("name", ctypes.c_char * OBJECT_NAME_BYTES),
        ("_between", ctypes.c_uint8 * 48),
        ("btf_id", ctypes.c_uint32),
        ("_between2", ctypes.c_uint8 * 60),
        ("run_time_ns", ctypes.c_uint64),
        ("run_count", ctypes.c_uint64),
        ("recursion_misses", ctypes.c_uint64),
        ("verified_instructions", ctypes.c_uint32),
        ("_end", ctypes.c_uint32),
    )


class _MapInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("name", ctypes.c_char * OBJECT_NAME_BYTES),
        ("_between", ctypes.c_uint8 * 24),
        ("btf_id", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("_end", ctypes.c_uint32),
    )


class _LinkInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("prog_id", ctypes.c_uint32),
        ("_padding", ctypes.c_uint32),
        ("ifindex", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("_rest", ctypes.c_uint8 * 40),
    )


class _BtfInfo(ctypes.Structure):
    _fields_ = (
        ("btf", ctypes.c_uint64),
        ("size", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("name", ctypes.c_uint64),
        ("name_length", ctypes.c_uint32),
        ("kernel", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """A loaded program. `map_ids` are the maps it uses; lengths are bytes of instructions; times
    and counts are zero unless the kernel collects statistics (kernel.bpf_stats_enabled). `missed_runs`: of a
    program that would have interrupted itself."""

    id: int
    type: int
    name: str
    tag: str
    map_ids: tuple[int, ...]
    btf_id: int
    xlated_length: int
    jited_length: int
    verified_instructions: int
    load_time: int
    run_time_ns: int
    run_count: int
    missed_runs: int


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A map; sizes in bytes, `type` and `flags` as in runtime.layout.maps, BTF ids 0 for none."""

    id: int
    type: int
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    btf_id: int
    btf_key_type_id: int
    btf_value_type_id: int


class LinkType(IntEnum):
    """Link types used (enum bpf_link_type)."""

    XDP = 6
    TCX = 11
    TRACING = 2


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A link; `ifindex` is 0 once its device has gone, `attach_type` is None but for TCX links."""

    id: int
    type: int
    program_id: int
    ifindex: int
    attach_type: int | None


@dataclass(frozen=True, slots=True)
class BtfInfo:
    """Loaded BTF; `size` in bytes, `name` of that of the kernel: `vmlinux` or a module."""

    id: int
    size: int
    kernel: bool
    name: str


def _read_info(fd: Fd, info: ctypes.Structure) -> None:
    attr = _InfoAttr(fd.fileno(), ctypes.sizeof(info), ctypes.addressof(info))
    bpf(Cmd.OBJ_GET_INFO_BY_FD, attr, name=repr(fd))


def program_info(fd: Fd) -> ProgramInfo:
    """What the kernel says of a program."""
    count = _ProgInfo()
    _read_info(fd, count)
    info = _ProgInfo()
    ids = (ctypes.c_uint32 * int(count.map_count))()
    info.map_count = count.map_count
    info.map_ids = ctypes.addressof(ids) if len(ids) else 0
    _read_info(fd, info)
    return ProgramInfo(
        info.id, info.type, info.name.decode(errors="replace"), bytes(info.tag).hex(), tuple(ids),
        info.btf_id, info.xlated_length, info.jited_length, info.verified_instructions, info.load_time,
        info.run_time_ns, info.run_count, info.recursion_misses,
    )  # fmt: skip


def program_id(fd: Fd) -> int:
    """A program's id, in half the calls that `program_info` takes."""
    info = _ProgInfo()
    _read_info(fd, info)
    return int(info.id)


def map_info(fd: Fd) -> MapInfo:
    """What the kernel says of a map."""
    info = _MapInfo()
    _read_info(fd, info)
    return MapInfo(
        info.id, info.type, info.name.decode(errors="replace"), info.key_size, info.value_size,
        info.max_entries, info.flags, info.btf_id, info.btf_key_type_id, info.btf_value_type_id,
    )  # fmt: skip


def link_info(fd: Fd) -> LinkInfo:
    """What the kernel says of a link."""
    info = _LinkInfo()
    _read_info(fd, info)
    attach_type = int(info.attach_type) if info.type == LinkType.TCX else None
    return LinkInfo(info.id, info.type, info.prog_id, info.ifindex, attach_type)


def btf_info(fd: Fd) -> BtfInfo:
    """What the kernel says of loaded BTF."""
    name = ctypes.create_string_buffer(64)  # more than MODULE_NAME_LEN
    info = _BtfInfo(name=ctypes.addressof(name), name_length=len(name))
    _read_info(fd, info)
    return BtfInfo(info.id, info.size, bool(info.kernel), name.value.decode(errors="replace"))


def obj_info(fd: Fd) -> ProgramInfo | MapInfo | LinkInfo | BtfInfo:
    """What the kernel says of the object, whatever its kind, which /proc/self/fd tells."""
    kind = Path(f"/proc/self/fd/{fd.fileno()}").readlink().name
    for mark, read in (("map", map_info), ("prog", program_info), ("link", link_info), ("btf", btf_info)):
        if kind.startswith("anon_inode:") and mark in kind:
            return read(fd)
    raise UnsupportedError("ask the kernel about", repr(fd), f"it is no bpf object but {kind}")
