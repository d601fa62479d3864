"""Maps in the kernel: raw (`Map`) and typed (`TypedMap`)."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from wardgate.runtime.batch import BatchUnsupportedError, read_batches
from wardgate.runtime.codec import Codec, IntCodec, RecordValue
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.info import MapInfo, map_info
from wardgate.runtime.layout.maps import MapType
from wardgate.runtime.syscall import (
    OBJECT_NAME_BYTES,
    Cmd,
    Fd,
    KernelObject,
    bpf,
    bpf_error,
    obj_get,
    raw_bpf,
)
from wardgate.runtime.views import MapView

ANY, NO_EXIST, EXIST = 0, 1, 2
"""Flags of an update: make or replace; only make; only replace (BPF_ANY, ...)."""

PERCPU_TYPES: Final = frozenset({MapType.PERCPU_ARRAY, 5, 10})
"""Map types with a value for each possible CPU: array, hash (5), LRU hash (10)."""

ARRAY_TYPES: Final = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})
_BTF_TYPES: Final = frozenset({MapType.HASH, MapType.ARRAY, MapType.PERCPU_ARRAY, MapType.LRU_HASH})
"""Types whose maps may carry BTF for key and value; the kernel refuses it for a ring buffer."""

_CPUS: Final = Path("/sys/devices/system/cpu/possible")


class _CreateAttr(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("numa_node", ctypes.c_uint32),
        ("name", ctypes.c_char * OBJECT_NAME_BYTES),
        ("ifindex", ctypes.c_uint32),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
    )


class _ElementAttr(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("_padding", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


@cache
def possible_cpus() -> int:
    """Number of CPUs that the machine can have, which is the length of a per-CPU value."""
    last = _CPUS.read_text().strip().replace(",", "-").split("-")[-1]
    return int(last) + 1


def object_name(name: str) -> bytes:
    """`name` as the kernel accepts it: 15 bytes of letters, digits, underscores and dots."""
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)
    return cleaned.encode()[: OBJECT_NAME_BYTES - 1]


class Map(KernelObject):
    """A map by its fd, which it owns: a context manager. Keys and values are bytes.

    `name` is what errors say, `info` what the kernel said of the map when it was opened.
    """

    def __init__(self, fd: Fd, name: str = "") -> None:
        super().__init__(fd)
        self.info: MapInfo = map_info(fd)
        self.name = name or self.info.name
        self.percpu = self.info.type in PERCPU_TYPES
        stride = -(-self.info.value_size // 8) * 8
        self._value_bytes = stride * possible_cpus() if self.percpu else self.info.value_size
        self._stride = stride

    @classmethod
    def create(
        cls,
        name: str,
        map_type: int,
        key_size: int,
        value_size: int,
        max_entries: int,
        flags: int = 0,
        *,
        btf_fd: Fd | None = None,
        key_type: int = 0,
        value_type: int = 0,
    ) -> Map:
        """A new map; sizes in bytes, types as ids in the BTF of `btf_fd`. BpfError where refused."""
        attr = _CreateAttr(map_type, key_size, value_size, max_entries, flags, name=object_name(name))
        if btf_fd is not None and map_type in _BTF_TYPES and value_type:
            attr.btf_fd = btf_fd.fileno()
            attr.btf_key_type_id, attr.btf_value_type_id = key_type, value_type
        fd = Fd(bpf(Cmd.MAP_CREATE, attr, name=f"{name!r} of {max_entries} entries"))
        try:
            return cls(fd, name)
        except BaseException:
            fd.close()
            raise

    @classmethod
    def open_pin(cls, path: str | Path, name: str = "") -> Map:
        """The map that is pinned at `path`."""
        fd = obj_get(path)
        try:
            return cls(fd, name or Path(path).name)
        except BaseException:
            fd.close()
            raise

    def dup(self) -> Map:
        """The same map under another fd."""
        return Map(self.fd.dup(), self.name)

    def __repr__(self) -> str:
        return f"Map({self.name!r}, {self.fd!r})"

    def _element(self, cmd: Cmd, key: bytes | None, value: Any, flags: int = 0) -> int:
        if key is not None and len(key) != self.info.key_size:
            raise ValueError(f"map {self.name!r} has keys of {self.info.key_size} bytes, not {len(key)}")
        key_buffer = ctypes.create_string_buffer(key, len(key)) if key is not None else None
        attr = _ElementAttr(
            self.fd.fileno(),
            0,
            ctypes.addressof(key_buffer) if key_buffer is not None else 0,
            ctypes.addressof(value) if value is not None else 0,
            flags,
        )
        return raw_bpf(cmd, attr)

    def lookup(self, key: bytes) -> bytes | None:
        """The value; None where the map has no such key. Of a per-CPU map: see lookup_percpu."""
        value = ctypes.create_string_buffer(self._value_bytes)
        result = self._element(Cmd.MAP_LOOKUP_ELEM, key, value)
        if result == -errno.ENOENT:
            return None
        self._check(Cmd.MAP_LOOKUP_ELEM, result)
        return value.raw

    def lookup_percpu(self, key: bytes) -> list[bytes] | None:
        """The value on each possible CPU; None where the map has no such key."""
        value = self.lookup(key)
        return None if value is None else self.split_percpu(value)

    def split_percpu(self, value: bytes) -> list[bytes]:
        """What the kernel gives for a per-CPU map (values padded to 8 bytes) as values."""
        size = self.info.value_size
        return [value[place : place + size] for place in range(0, len(value), self._stride)]

    def update(self, key: bytes, value: bytes, flags: int = ANY) -> None:
        """Set a value; of a per-CPU map the values of all CPUs, each padded to 8 bytes."""
        if len(value) != self._value_bytes:
            raise ValueError(f"map {self.name!r} has values of {self._value_bytes} bytes, not {len(value)}")
        buffer = ctypes.create_string_buffer(value, len(value))
        self._check(Cmd.MAP_UPDATE_ELEM, self._element(Cmd.MAP_UPDATE_ELEM, key, buffer, flags))

    def delete(self, key: bytes) -> bool:
        """Remove a key; False where it was not there. An array's elements cannot be removed (EINVAL)."""
        result = self._element(Cmd.MAP_DELETE_ELEM, key, None)
        if result == -errno.ENOENT:
            return False
        self._check(Cmd.MAP_DELETE_ELEM, result)
        return True

    def _check(self, cmd: Cmd, result: int) -> None:
        if result < 0:
            raise self._error(cmd, -result)

    def _error(self, cmd: Cmd, code: int) -> WardgateError:
        remedy = ""
        if cmd is Cmd.MAP_UPDATE_ELEM and code == errno.E2BIG:
            remedy = (
                f"it is full with {self.info.max_entries} entries, or the key is beyond them: make it larger"
            )
        return bpf_error(cmd, code, name=repr(self.name), remedy=remedy)

    def keys(self) -> Iterator[bytes]:
        """All keys. Of a hash that changes meanwhile some may be missed or come twice."""
        key: bytes | None = None
        following = ctypes.create_string_buffer(self.info.key_size)
        while True:
            result = self._element(Cmd.MAP_GET_NEXT_KEY, key, following)
            if result == -errno.ENOENT:
                return
            self._check(Cmd.MAP_GET_NEXT_KEY, result)
            key = following.raw
            yield key

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, in batches where the kernel has them; else one by one."""
        try:
            yield from read_batches(self.fd, self.info, self._value_bytes, self.name)
            return
        except BatchUnsupportedError:
            pass
        for key in self.keys():
            value = self.lookup(key)
            if value is not None:
                yield key, value

    def freeze(self) -> None:
        """Refuse any further change from userspace, for good."""
        bpf(Cmd.MAP_FREEZE, struct.pack("<I", self.fd.fileno()), name=repr(self.name))

    def view(self, *, writable: bool = True) -> MapView:
        """The values of an mmapable array in memory; UnsupportedError for another map."""
        return MapView(self.fd, self.info, self.name, writable)


class TypedMap:
    """A map whose keys and values are records (RecordValue) or integers, as its codecs say.

    Works like a dict. Of a per-CPU map, `[]` gives a list with a value for each possible CPU, and
    `total` their sum. It does not own the map.
    """

    def __init__(self, raw: Map, key: Codec, value: Codec) -> None:
        for word, codec, size in (("keys", key, raw.info.key_size), ("values", value, raw.info.value_size)):
            if codec.size != size:
                raise ValueError(f"map {raw.name!r} has {word} of {size} bytes, the codec {codec.size}")
        self.raw = raw
        self.key_codec = key
        self.value_codec = value
        self._unpack: Callable[[bytes], Any] = self._unpack_percpu if raw.percpu else value.unpack

    def _unpack_percpu(self, data: bytes) -> list[Any]:
        return [self.value_codec.unpack(part) for part in self.raw.split_percpu(data)]

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or `default` where the map has no such key."""
        data = self.raw.lookup(self.key_codec.pack(key))
        return default if data is None else self._unpack(data)

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: Any) -> bool:
        return self.raw.lookup(self.key_codec.pack(key)) is not None

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update(key, value)

    def update(self, key: Any, value: Any, flags: int = ANY) -> None:
        """Set a value, of a per-CPU map the same on every CPU; `flags` ANY, NO_EXIST or EXIST."""
        data = self.value_codec.pack(value)
        if self.raw.percpu:
            data = data.ljust(-(-len(data) // 8) * 8, b"\0") * possible_cpus()
        self.raw.update(self.key_codec.pack(key), data, flags)

    def __delitem__(self, key: Any) -> None:
        if not self.raw.delete(self.key_codec.pack(key)):
            raise KeyError(key)

    def discard(self, key: Any) -> bool:
        """Remove a key where it is; says whether it was."""
        return self.raw.delete(self.key_codec.pack(key))

    def __iter__(self) -> Iterator[Any]:
        return map(self.key_codec.unpack, self.raw.keys())

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All keys and values."""
        return ((self.key_codec.unpack(key), self._unpack(value)) for key, value in self.raw.items())

    def total(self, key: Any) -> Any:
        """A per-CPU value summed over the CPUs, field by field; KeyError where there is no such key."""
        return self.add(self[key])

    def totals(self) -> Iterator[tuple[Any, Any]]:
        """All keys, with their per-CPU values summed."""
        return ((key, self.add(values)) for key, values in self.items())

    def add(self, values: list[Any]) -> Any:
        """The sum of integers, or of records of integers and arrays of integers."""
        if isinstance(self.value_codec, IntCodec):
            return sum(values)
        return RecordValue({name: _sum([value[name] for value in values]) for name in values[0]})


def _sum(values: list[Any]) -> Any:
    if isinstance(values[0], tuple):
        return tuple(map(sum, zip(*values, strict=True)))
    return sum(values)
