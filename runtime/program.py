"""Programs in the kernel: loading, and what the verifier says where it refuses."""

from __future__ import annotations

import ctypes
import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.runtime.errors import VerifierError, WardgateError
from wardgate.runtime.info import ProgramInfo, program_info
from wardgate.runtime.maps import object_name
from wardgate.runtime.relocate import LinkedProgram
from wardgate.runtime.spec import INSTRUCTION_BYTES, ProgramKind
from wardgate.runtime.syscall import (
    NO_REJECTION,
    OBJECT_NAME_BYTES,
    Cmd,
    Fd,
    KernelObject,
    bpf_error,
    obj_get,
    raw_bpf,
)
from wardgate.runtime.verifier_log import read_log

PROGRAM_TYPES: Final = {ProgramKind.TC: 3, ProgramKind.XDP: 6, ProgramKind.FENTRY: 26}
"""BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP and BPF_PROG_TYPE_TRACING."""

_TRACE_FENTRY: Final = 24
"""Attach type of programs at the entry of a function (BPF_TRACE_FENTRY)."""

_LOG_STEPS, _LOG_STATISTICS = 1, 4
"""Log levels: each step that the verifier takes, or the complaint and statistics alone (BPF_LOG_LEVEL1 and
BPF_LOG_STATS in include/linux/bpf_verifier.h)."""
ENDED: Final = re.compile(r"^processed \d+ insns", re.MULTILINE)
"""What a log says at its end."""
_END: Final = 4096
_FIRST_LOG: Final = 1 << 20
_LARGEST_LOG: Final = 1 << 24
_ATTEMPTS: Final = 5
"""Tries while the kernel says EAGAIN, which it does when a signal interrupts the verifier."""


class _LoadAttr(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("instruction_count", ctypes.c_uint32),
        ("instructions", ctypes.c_uint64),
        ("licence", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log", ctypes.c_uint64),
        ("kernel_version", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("name", ctypes.c_char * OBJECT_NAME_BYTES),
        ("ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
        ("btf_fd", ctypes.c_uint32),
        ("func_info_size", ctypes.c_uint32),
        ("func_info", ctypes.c_uint64),
        ("func_info_count", ctypes.c_uint32),
        ("line_info_size", ctypes.c_uint32),
        ("line_info", ctypes.c_uint64),
        ("line_info_count", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_btf_fd", ctypes.c_uint32),
        ("_end", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class TracedFunction:
    """A function of the kernel by its type id in BTF of the kernel; `btf` None: that of vmlinux."""

    type_id: int
    btf: Fd | None


class Program(KernelObject):
    """A loaded program by its fd, which it owns: a context manager."""

    def __init__(self, fd: Fd, name: str, kind: ProgramKind) -> None:
        super().__init__(fd)
        self.name = name
        self.kind = kind

    @classmethod
    def open_pin(cls, path: str | Path) -> Program:
        """The program that is pinned at `path`; WardgateError where it is of no known kind."""
        fd = obj_get(path)
        try:
            info = program_info(fd)
            for kind, number in PROGRAM_TYPES.items():
                if info.type == number:
                    return cls(fd, info.name, kind)
            raise WardgateError(
                "open pin", str(path), f"it is a program of type {info.type}, not tc, XDP or fentry"
            )
        except BaseException:
            fd.close()
            raise

    @property
    def info(self) -> ProgramInfo:
        """What the kernel says of it."""
        return program_info(self.fd)

    def __repr__(self) -> str:
        return f"Program({self.name!r}, {self.kind.value}, {self.fd!r})"


def load_program(
    linked: LinkedProgram, licence: str, btf_fd: Fd | None = None, traced: TracedFunction | None = None
) -> Program:
    """Load a program. Types and lines go along where `btf_fd` is given; `traced` is what a FENTRY program
    is for.

    First without a log, which is faster; where that fails, again with one. VerifierError where the
    verifier says why, else BpfError.
    """
    attempt = _Attempt(linked, licence, btf_fd, traced)
    result = attempt.run(None)
    if result >= 0:
        return Program(Fd(result), linked.name, linked.kind)
    size = _FIRST_LOG
    while True:
        log = ctypes.create_string_buffer(size)
        result = attempt.run(log)
        if result >= 0:
            return Program(Fd(result), linked.name, linked.kind)
        if result != -errno.ENOSPC or size >= _LARGEST_LOG:
            break
        # Each try walks the whole program again: not all sizes in between.
        size = _LARGEST_LOG
    text = log.value.decode("utf-8", errors="replace")
    if result == -errno.ENOSPC and not ENDED.search(text, max(0, len(text) - _END)):
        # Before 6.4 a log that is too long has its beginning and not its end. The complaint is in one
        # without the steps.
        complaint = ctypes.create_string_buffer(_FIRST_LOG)
        attempt.run(complaint, _LOG_STATISTICS)
        text = f"{text}\n{complaint.value.decode('utf-8', errors='replace')}"
    if not text.strip() or -result in NO_REJECTION:
        raise bpf_error(Cmd.PROG_LOAD, -result, name=repr(linked.name))
    rejection = read_log(text, linked.lines)
    raise VerifierError(
        repr(linked.name),
        rejection.cause,
        rejection.remedy,
        log=text,
        location=rejection.location,
        source=rejection.source,
        excerpt=rejection.excerpt,
    )


class _Attempt:
    """The arguments of PROG_LOAD, kept in memory for as many calls as it takes."""

    def __init__(
        self, linked: LinkedProgram, licence: str, btf_fd: Fd | None, traced: TracedFunction | None
    ) -> None:
        self._buffers = [
            ctypes.create_string_buffer(data, len(data))
            for data in (
                linked.instructions,
                licence.encode("ascii") + b"\0",
                linked.func_info,
                linked.line_info,
            )
        ]
        code, text, functions, lines = (ctypes.addressof(buffer) for buffer in self._buffers)
        self._attr = _LoadAttr(
            type=PROGRAM_TYPES[linked.kind],
            instruction_count=len(linked.instructions) // INSTRUCTION_BYTES,
            instructions=code,
            licence=text,
            name=object_name(linked.name),
        )
        if traced is not None:
            self._attr.expected_attach_type = _TRACE_FENTRY
            self._attr.attach_btf_id = traced.type_id
            self._attr.attach_btf_fd = traced.btf.fileno() if traced.btf is not None else 0
        if btf_fd is not None and linked.func_info:
            self._attr.btf_fd = btf_fd.fileno()
            self._attr.func_info_size, self._attr.line_info_size = 8, 16
            self._attr.func_info, self._attr.func_info_count = functions, len(linked.func_info) // 8
            if linked.line_info:
                self._attr.line_info, self._attr.line_info_count = lines, len(linked.line_info) // 16

    def run(self, log: ctypes.Array[ctypes.c_char] | None, level: int = _LOG_STEPS) -> int:
        """One PROG_LOAD: an fd or a negative error number."""
        self._attr.log_level = level if log is not None else 0
        self._attr.log_size = len(log) if log is not None else 0
        self._attr.log = ctypes.addressof(log) if log is not None else 0
        for _ in range(_ATTEMPTS):
            result = raw_bpf(Cmd.PROG_LOAD, self._attr)
            if result != -errno.EAGAIN:
                break
        return result
