"""The BPF file system, on which a gate keeps what outlives the process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from wardgate.gateway.network.errors import NetworkError
from wardgate.runtime.privileges import DEFAULT_BPFFS, is_bpffs


def mount_bpffs(folder: Path = DEFAULT_BPFFS) -> bool:
    """Mount a BPF file system, readable by root alone; False where there is one. NetworkError.

    It is left mounted: pins of others may be on it by the time that the gateway stops.
    """
    if is_bpffs(folder):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", os.fsencode(folder), b"bpf", ctypes.c_ulong(0), b"mode=0700"):
        code = ctypes.get_errno()
        raise NetworkError(
            "mount BPF file system on",
            str(folder),
            os.strerror(code),
            f"mount it on the host before the gateway starts: mount -t bpf bpf {folder}",
            code,
        )
    return True
