"""Network namespaces that are held by a file descriptor, and so never outlive the process.

A namespace made here has no name under /run/netns: it ends with the last descriptor, socket or
process in it, also after SIGKILL, so that there is nothing to clean up. setns(2) for a network namespace
works on one thread, and sockets and child processes stay in the namespace in which they were made.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_CURRENT = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(OSError):
    """The kernel refused a namespace."""


def call(name: str, *arguments: object) -> None:
    """Call libc's `name`; NamespaceError with errno where it says -1."""
    if getattr(_libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise NamespaceError(number, f"{name}: {os.strerror(number)}")


class NetNamespace:
    """A network namespace; `label` is how people call it. Close it, or use it as a context manager."""

    def __init__(self, label: str) -> None:
        self.label = label
        before = os.open(_CURRENT, os.O_RDONLY | os.O_CLOEXEC)
        try:
            call("unshare", _CLONE_NEWNET)
            try:
                self.fd = os.open(_CURRENT, os.O_RDONLY | os.O_CLOEXEC)
            finally:
                call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Put the calling thread into the namespace: what it opens or starts meanwhile belongs there."""
        before = os.open(_CURRENT, os.O_RDONLY | os.O_CLOEXEC)
        try:
            call("setns", self.fd, _CLONE_NEWNET)
            try:
                yield
            finally:
                call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)

    def sysctl(self, name: str, value: str) -> None:
        """Set `net.NAME` in the namespace, where NAME is like `ipv4/ip_forward`."""
        with self.enter():
            Path("/proc/sys/net", name).write_text(value)

    def close(self) -> None:
        """Let go of the namespace; it ends when nothing else is in it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> NetNamespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"NetNamespace({self.label!r})"
