"""One gateway an interface: a file that the process which runs it holds locked, with its process id."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.settings import Settings

_PATIENCE_S: Final = 30.0
_GLANCE_S: Final = 0.05


def instance_file(settings: Settings) -> Path:
    """Where the file is: beside the control socket."""
    return settings.control.socket.parent / f"{settings.interface}.pid"


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Be the one that runs the gateway. GatewayError where another process is."""
    path = instance_file(settings)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        cause = error.strerror or str(error)
        raise GatewayError("start gateway", str(path), cause, "run as root") from error
    try:
        if not _lock(descriptor):
            raise GatewayError(
                "start gateway",
                settings.interface,
                f"process {_process(descriptor) or 'unknown'} runs it already",
                "stop that one first, or see `wardgate gateway status`",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def end_process(settings: Settings) -> int | None:
    """End the process that runs the gateway, and wait for that; its id, or None where there is none.
    GatewayError where it does not end."""
    try:
        descriptor = os.open(instance_file(settings), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        cause = error.strerror or str(error)
        raise GatewayError("stop gateway", str(instance_file(settings)), cause, "run as root") from error
    try:
        if _lock(descriptor):
            return None
        process = _process(descriptor)
        if process is None:
            raise GatewayError("stop gateway", settings.interface, "it is just starting", "try again")
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_S
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                raise GatewayError(
                    "stop gateway",
                    settings.interface,
                    f"process {process} does not end",
                    f"look at its log; kill -9 {process} leaves the kernel enforcing",
                )
            time.sleep(_GLANCE_S)
        return process
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _process(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
