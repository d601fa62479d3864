"""BPF links: the attachments that the kernel keeps as objects of their own.

A link holds its program on a device until its last fd and pin are gone; a pinned one outlives the
process. TCX (kernel 6.6, commit e420bed02507) for both directions of tc, XDP links (5.9, commit
aa8d3a716b59) for XDP, tracing links for fentry. Attribute layouts: include/uapi/linux/bpf.h, union
bpf_attr, link_create and link_update.
"""

from __future__ import annotations

import ctypes
import errno
from enum import IntEnum
from typing import Final

from wardgate.runtime.syscall import Cmd, Fd, bpf, bpf_error, raw_bpf


class AttachType(IntEnum):
    """Attach types used (enum bpf_attach_type)."""

    FENTRY = 24
    XDP = 37
    TCX_INGRESS = 46
    TCX_EGRESS = 47


class XdpMode(IntEnum):
    """XDP_FLAGS_*_MODE (include/uapi/linux/if_link.h): in the driver, or on socket buffers."""

    GENERIC = 1 << 1
    DRIVER = 1 << 2


_F_REPLACE: Final = 1 << 2
_F_BEFORE: Final = 1 << 3


class _CreateAttr(ctypes.Structure):
    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("target_ifindex", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("relative", ctypes.c_uint32),
        ("_padding", ctypes.c_uint32),
        ("expected_revision", ctypes.c_uint64),
    )


class _UpdateAttr(ctypes.Structure):
    _fields_ = (
        ("link_fd", ctypes.c_uint32),
        ("new_prog_fd", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("old_prog_fd", ctypes.c_uint32),
    )


class _TracepointAttr(ctypes.Structure):
    _fields_ = (("name", ctypes.c_uint64), ("prog_fd", ctypes.c_uint32), ("_end", ctypes.c_uint32))


class _DetachAttr(ctypes.Structure):
    _fields_ = (("link_fd", ctypes.c_uint32),)


def create_tcx(program: Fd, ifindex: int, attach_type: AttachType) -> Fd:
    """Attach in front of all other TCX programs of the device; BpfError.

    In front, because a program before ours could let a packet pass that ours would drop.
    """
    attr = _CreateAttr(program.fileno(), ifindex, attach_type, _F_BEFORE)
    return Fd(bpf(Cmd.LINK_CREATE, attr, name=attach_type.name.lower()))


def create_xdp(program: Fd, ifindex: int, mode: XdpMode) -> Fd:
    """Attach in XDP; BpfError, EBUSY where the device has an XDP program."""
    attr = _CreateAttr(program.fileno(), ifindex, AttachType.XDP, mode)
    return Fd(bpf(Cmd.LINK_CREATE, attr, name=f"xdp ({mode.name.lower()} mode)"))


def create_tracing(program: Fd) -> Fd:
    """Attach a FENTRY program to the function that it was loaded for; BpfError.

    By LINK_CREATE, which knows of it since Linux 5.19 (commit 2fcc82411e74), else by the older
    RAW_TRACEPOINT_OPEN.
    """
    attr = _CreateAttr(program.fileno(), 0, AttachType.FENTRY, 0)
    result = raw_bpf(Cmd.LINK_CREATE, attr)
    if result >= 0:
        return Fd(result)
    if result != -errno.EINVAL:
        raise bpf_error(Cmd.LINK_CREATE, -result, name="fentry program")
    name = "fentry program"
    return Fd(bpf(Cmd.RAW_TRACEPOINT_OPEN, _TracepointAttr(0, program.fileno()), name=name))


def update(link: Fd, program: Fd, expected: Fd) -> None:
    """Put `program` in place of `expected` in one step; BpfError (EPERM) where the link holds another."""
    attr = _UpdateAttr(link.fileno(), program.fileno(), _F_REPLACE, expected.fileno())
    bpf(Cmd.LINK_UPDATE, attr, name="program", remedy="another process changed the link: look at it again")


def detach(link: Fd) -> None:
    """Take the program off the device now, whoever else holds the link; BpfError."""
    bpf(Cmd.LINK_DETACH, _DetachAttr(link.fileno()))
