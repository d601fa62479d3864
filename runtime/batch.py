"""Reading a map many elements at a time (BPF_MAP_LOOKUP_BATCH, kernel commit aa2e93b8e58e)."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from typing import Final

from wardgate.runtime.errors import ENOTSUPP
from wardgate.runtime.info import MapInfo
from wardgate.runtime.syscall import Cmd, Fd, bpf_error, raw_bpf

_BYTES: Final = 1 << 20
"""Buffer for one batch; a system call per element costs more than a microsecond each."""


class BatchUnsupportedError(Exception):
    """This kernel cannot read this map in batches."""


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


def read_batches(fd: Fd, info: MapInfo, value_bytes: int, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values; `value_bytes` is what the kernel copies for a value.

    Raises BatchUnsupportedError before the first element where the kernel cannot.
    """
    key_bytes = info.key_size
    room = max(64, min(info.max_entries, _BYTES // (key_bytes + value_bytes)))
    # A hash's position is a bucket number (4 bytes), an array's the last key.
    position = (
        ctypes.create_string_buffer(max(4, key_bytes)),
        ctypes.create_string_buffer(max(4, key_bytes)),
    )
    first = True
    while True:
        keys = ctypes.create_string_buffer(room * key_bytes)
        values = ctypes.create_string_buffer(room * value_bytes)
        attr = _BatchAttr(
            0 if first else ctypes.addressof(position[0]),
            ctypes.addressof(position[1]),
            ctypes.addressof(keys),
            ctypes.addressof(values),
            room,
            fd.fileno(),
        )
        result = raw_bpf(Cmd.MAP_LOOKUP_BATCH, attr)
        if result == -errno.ENOSPC:
            # One bucket of the hash holds more than fits.
            room *= 2
            continue
        if result < 0 and result != -errno.ENOENT:
            if first and -result in (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP):
                raise BatchUnsupportedError(name)
            raise bpf_error(Cmd.MAP_LOOKUP_BATCH, -result, name=repr(name))
        all_keys, all_values = keys.raw, values.raw
        for number in range(attr.count):
            yield (
                all_keys[number * key_bytes : (number + 1) * key_bytes],
                all_values[number * value_bytes : (number + 1) * value_bytes],
            )
        if result == -errno.ENOENT:
            return
        first = False
        position = (position[1], position[0])
