"""The bpf() system call itself, and the fds it gives.

Commands and attribute layouts: include/uapi/linux/bpf.h, union bpf_attr. Only the leading part of an
attribute that is used is passed: the kernel takes the rest as zeros.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from enum import IntEnum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wardgate.runtime import privileges
from wardgate.runtime.errors import TOO_MANY_FILES, BpfError, PrivilegeError, UnsupportedError
from wardgate.runtime.fd import Fd as Fd
from wardgate.runtime.machine import syscall_number

OBJECT_NAME_BYTES: Final = 16
"""BPF_OBJ_NAME_LEN, with the zero at its end."""


NO_REJECTION: Final = frozenset({errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What can fail beside the verifier, whose log is then of what it did not reject."""


class Cmd(IntEnum):
    """enum bpf_cmd."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_ATTACH = 8
    PROG_DETACH = 9
    PROG_TEST_RUN = 10
    PROG_GET_NEXT_ID = 11
    MAP_GET_NEXT_ID = 12
    PROG_GET_FD_BY_ID = 13
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    PROG_QUERY = 16
    RAW_TRACEPOINT_OPEN = 17
    BTF_LOAD = 18
    BTF_GET_FD_BY_ID = 19
    TASK_FD_QUERY = 20
    MAP_LOOKUP_AND_DELETE_ELEM = 21
    MAP_FREEZE = 22
    BTF_GET_NEXT_ID = 23
    MAP_LOOKUP_BATCH = 24
    MAP_LOOKUP_AND_DELETE_BATCH = 25
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_GET_FD_BY_ID = 30
    LINK_GET_NEXT_ID = 31
    ENABLE_STATS = 32
    ITER_CREATE = 33
    LINK_DETACH = 34
    PROG_BIND_MAP = 35

    @property
    def operation(self) -> str:
        """The command in words, for errors: `create map`."""
        return _OPERATIONS.get(self, self.name.lower().replace("_", " "))


_OPERATIONS: Final = {
    Cmd.MAP_CREATE: "create map",
    Cmd.MAP_LOOKUP_ELEM: "look up in map",
    Cmd.MAP_UPDATE_ELEM: "update map",
    Cmd.MAP_DELETE_ELEM: "delete from map",
    Cmd.MAP_GET_NEXT_KEY: "iterate map",
    Cmd.MAP_LOOKUP_BATCH: "read map",
    Cmd.MAP_UPDATE_BATCH: "update map",
    Cmd.MAP_DELETE_BATCH: "delete from map",
    Cmd.MAP_FREEZE: "freeze map",
    Cmd.PROG_LOAD: "load program",
    Cmd.PROG_TEST_RUN: "test-run program",
    Cmd.OBJ_PIN: "pin",
    Cmd.OBJ_GET: "open pin",
    Cmd.OBJ_GET_INFO_BY_FD: "ask the kernel about",
    Cmd.BTF_LOAD: "load BTF of",
    Cmd.LINK_CREATE: "attach",
    Cmd.LINK_UPDATE: "update link",
    Cmd.LINK_DETACH: "detach link",
}


@cache
def _syscall() -> tuple[ctypes._NamedFuncPointer, int]:
    if sys.platform != "linux":
        raise UnsupportedError("call bpf()", "", f"{sys.platform} has none", "run on Linux")
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
    return function, syscall_number(os.uname().machine, ctypes.sizeof(ctypes.c_void_p) * 8)


_REMEDIES: Final = {
    errno.E2BIG: "this kernel does not know an attribute that is asked for, or the size is over its limit",
    errno.ENOMEM: "free memory or raise the memory limit of the cgroup",
    errno.EMFILE: TOO_MANY_FILES,
    errno.ENFILE: "the machine has too many open files: raise fs.file-max",
    errno.EAGAIN: "it was interrupted again and again: try again",
    errno.ENOENT: "check that it exists",
    errno.EEXIST: "it exists already: remove it first",
    errno.EBUSY: "it is in use: detach or close it first",
    errno.ENOSYS: "the kernel lacks bpf(): CONFIG_BPF_SYSCALL",
    errno.EINVAL: "this kernel does not support what was asked for, or the arguments contradict each other",
}


def raw_bpf(cmd: Cmd, attr: ctypes.Structure | bytes) -> int:
    """bpf(cmd, attr, size): the result, or the negative error number. Never raises for the kernel.

    A Structure is read and written by the kernel; bytes are copied.
    """
    function, number = _syscall()
    buffer = attr if isinstance(attr, ctypes.Structure) else ctypes.create_string_buffer(attr, len(attr))
    result = int(function(number, int(cmd), ctypes.addressof(buffer), ctypes.sizeof(buffer)))
    return result if result >= 0 else -ctypes.get_errno()


def bpf(
    cmd: Cmd, attr: ctypes.Structure | bytes, *, name: str = "", operation: str = "", remedy: str = ""
) -> int:
    """bpf(cmd, attr): the result (an fd for commands that make or open an object).

    `name` is the object that errors speak of, `operation` words that say more than the command's
    own, `remedy` what to do where the caller knows better than the error number does. Raises
    PrivilegeError on EPERM for commands that need privileges, else BpfError.
    """
    result = raw_bpf(cmd, attr)
    if result < 0:
        raise bpf_error(cmd, -result, name=name, operation=operation, remedy=remedy)
    return result


def bpf_error(cmd: Cmd, code: int, *, name: str = "", operation: str = "", remedy: str = "") -> BpfError:
    """The typed error for error number `code` of command `cmd`."""
    words = operation or cmd.operation
    if code == errno.EPERM or (code == errno.EACCES and cmd in (Cmd.OBJ_PIN, Cmd.OBJ_GET)):
        if cmd in _ON_ELEMENTS:
            return BpfError(words, name, code, remedy or "the map is frozen or read-only: make it anew")
        return PrivilegeError(words, name, code, remedy or privileges.explain())
    return BpfError(words, name, code, remedy or _REMEDIES.get(code, ""))


_ON_ELEMENTS: Final = frozenset(
    {
        Cmd.MAP_LOOKUP_ELEM,
        Cmd.MAP_UPDATE_ELEM,
        Cmd.MAP_DELETE_ELEM,
        Cmd.MAP_GET_NEXT_KEY,
        Cmd.MAP_LOOKUP_BATCH,
        Cmd.MAP_UPDATE_BATCH,
        Cmd.MAP_DELETE_BATCH,
    }
)


class _PinAttr(ctypes.Structure):
    _fields_ = (("pathname", ctypes.c_uint64), ("fd", ctypes.c_uint32), ("flags", ctypes.c_uint32))


def obj_pin(fd: Fd, path: str | Path) -> None:
    """Pin the object at `path`, on a bpffs; BpfError (EEXIST where something is there)."""
    place = ctypes.create_string_buffer(os.fsencode(path))
    attr = _PinAttr(ctypes.addressof(place), fd.fileno(), 0)
    bpf(Cmd.OBJ_PIN, attr, name=str(path), remedy=privileges.explain_pin(Path(path)))


def obj_get(path: str | Path) -> Fd:
    """Open the object that is pinned at `path`; BpfError (ENOENT where nothing is)."""
    place = ctypes.create_string_buffer(os.fsencode(path))
    attr = _PinAttr(ctypes.addressof(place), 0, 0)
    result = raw_bpf(Cmd.OBJ_GET, attr)
    if result < 0:
        raise bpf_error(Cmd.OBJ_GET, -result, name=str(path), remedy=privileges.explain_pin(Path(path)))
    return Fd(result)


class KernelObject:
    """A map or program by its fd, which it owns: a context manager. Pinned or used, it lives on."""

    def __init__(self, fd: Fd) -> None:
        self.fd = fd

    def pin(self, path: str | Path) -> None:
        """Pin it at `path`, on a bpffs."""
        obj_pin(self.fd, path)

    def close(self) -> None:
        """Close the fd."""
        self.fd.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _IdAttr(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint32), ("next", ctypes.c_uint32), ("flags", ctypes.c_uint32))


def fd_by_id(cmd: Cmd, number: int) -> Fd:
    """Open an object by its id with one of the `*_GET_FD_BY_ID` commands."""
    return Fd(bpf(cmd, _IdAttr(number, 0, 0), name=f"id {number}"))


def next_id(cmd: Cmd, number: int) -> int | None:
    """The smallest id above `number` (`*_GET_NEXT_ID`); None after the last."""
    attr = _IdAttr(number, 0, 0)
    result = raw_bpf(cmd, attr)
    if result == -errno.ENOENT:
        return None
    if result < 0:
        raise bpf_error(cmd, -result, name=f"id {number}")
    return int(attr.next)
