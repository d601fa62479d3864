"""One gateway an interface: a file that the process which runs it holds locked, with its process id.

Two locks, for two questions. Whether somebody has it is asked by flock(2). Who has it is asked of the kernel
by a record lock (fcntl(2), F_GETLK) and not read: what the file says may be of a process that was killed, and
its number another's by now.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.settings import Settings

_PATIENCE_S: Final = 30.0
_GLANCE_S: Final = 0.05
_FLOCK: Final = struct.Struct("hhqqi4x")
"""struct flock of 64-bit Linux: type, whence, start, length, process."""


def instance_file(settings: Settings) -> Path:
    """Where the file is: beside the control socket. It goes with the process, unless that is killed."""
    return settings.control.socket.parent / f"{settings.interface}.pid"


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Be the one that runs the gateway. GatewayError where another process is."""
    path = instance_file(settings)
    descriptor, ours = _take(path, "start gateway")
    try:
        if not ours:
            raise GatewayError(
                "start gateway",
                settings.interface,
                f"process {_holder(descriptor) or 'unknown'} runs it already",
                "stop that one first, or see `wardgate gateway status`",
            )
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


@contextmanager
def ended(settings: Settings) -> Iterator[int | None]:
    """End the process that runs the gateway, and have none run it until the context ends. Gives its id, or
    None where there was none. GatewayError where it does not end."""
    path = instance_file(settings)
    deadline = time.monotonic() + _PATIENCE_S
    process: int | None = None
    while True:
        descriptor, ours = _take(path, "stop gateway")
        try:
            if ours:
                yield process
                path.unlink(missing_ok=True)
                return
            process = _asked_to_end(descriptor, process)
        finally:
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise GatewayError(
                "stop gateway",
                settings.interface,
                f"process {process or 'unknown'} does not end",
                f"look at its log; kill -9 {process or 'PROCESS'} leaves the kernel enforcing",
            )
        time.sleep(_GLANCE_S)


def _take(path: Path, operation: str) -> tuple[int, bool]:
    """The file, open, and whether it is this process's by now."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            if not _lock(descriptor):
                return descriptor, False
            if _is_at(descriptor, path):
                return descriptor, True
            # Who had it removed it meanwhile, and others may have made it anew.
            os.close(descriptor)
    except OSError as error:
        raise GatewayError(
            operation, str(path), error.strerror or str(error), "run as root; see `control` in gateway.yaml"
        ) from error


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> int | None:
    """The process that runs the gateway; None where it is only just beginning, or ending."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return process if kind != fcntl.F_UNLCK and process > 0 else None


def _asked_to_end(descriptor: int, before: int | None) -> int | None:
    """Ask the process that has the file to end, unless that was done `before`; its id, as far as known."""
    process = _holder(descriptor)
    if process is None or process == before:
        return before
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(process)
        try:
            # The handle is of whoever has the number now: the same that has the file, if that still has it.
            if _holder(descriptor) != process:
                return before
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        finally:
            os.close(handle)
    return process
