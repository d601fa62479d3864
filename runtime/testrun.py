"""Running a loaded program on a packet of our own (BPF_PROG_TEST_RUN)."""

# test_run bears the kernel's name for it and is no test of pytest.
# ruff: noqa: PT028

from __future__ import annotations

import ctypes
import errno
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.program import Program
from wardgate.runtime.syscall import Cmd, bpf_error, raw_bpf

_HEADROOM: Final = 256
"""Bytes that a program may add to a packet, as much as XDP has (XDP_PACKET_HEADROOM)."""
_CONTEXT_BYTES: Final = 256
"""More than any context structure of tc or XDP has (struct __sk_buff: 192)."""


class _TestRunAttr(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("data_in", ctypes.c_uint64),
        ("data_out", ctypes.c_uint64),
        ("repeat", ctypes.c_uint32),
        ("duration", ctypes.c_uint32),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_uint64),
        ("ctx_out", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class TestRun:
    """`retval` as the program gave it, signed 32 bits; `duration_ns` the mean of one run; the packet
    and context afterwards, None where they were not asked for."""

    __test__ = False

    retval: int
    duration_ns: int
    data_out: bytes | None
    ctx_out: bytes | None


def test_run(
    program: Program,
    data: bytes,
    *,
    repeat: int = 1,
    ctx_in: bytes | None = None,
    want_data: bool = True,
) -> TestRun:
    """Run `program` on the packet `data`, which is at least 14 bytes (the kernel's rule for both
    kinds of program). `ctx_in` is struct __sk_buff or xdp_md, whose fields the kernel restricts.

    A run that a signal interrupts is started again. BpfError where the kernel refuses.
    """
    data_in = ctypes.create_string_buffer(data, len(data))
    data_out = ctypes.create_string_buffer(len(data) + _HEADROOM) if want_data else None
    attr = _TestRunAttr(
        fd=program.fd.fileno(),
        data_size_in=len(data),
        data_in=ctypes.addressof(data_in),
        repeat=repeat,
    )
    context = context_out = None
    if ctx_in is not None:
        context = ctypes.create_string_buffer(ctx_in, len(ctx_in))
        context_out = ctypes.create_string_buffer(_CONTEXT_BYTES)
        attr.ctx_in, attr.ctx_size_in = ctypes.addressof(context), len(ctx_in)
    while True:
        if data_out is not None:
            attr.data_out, attr.data_size_out = ctypes.addressof(data_out), len(data_out)
        if context_out is not None:
            attr.ctx_out, attr.ctx_size_out = ctypes.addressof(context_out), len(context_out)
        result = raw_bpf(Cmd.PROG_TEST_RUN, attr)
        if result not in (-errno.EINTR, -errno.EAGAIN):
            break
    if result < 0:
        remedy = "give a packet of at least 14 bytes" if len(data) < 14 else ""
        raise bpf_error(Cmd.PROG_TEST_RUN, -result, name=repr(program.name), remedy=remedy)
    return TestRun(
        ctypes.c_int32(attr.retval).value,
        int(attr.duration),
        data_out.raw[: attr.data_size_out] if data_out is not None else None,
        context_out.raw[: attr.ctx_size_out] if context_out is not None else None,
    )


test_run.__test__ = False  # type: ignore[attr-defined]
