"""A process tree with its own PIDs and mounts, of which nothing is left when it ends.

The child is process 1 of a PID namespace: when it ends, however it ends, the kernel kills all its
descendants, and with them go their mounts (a bpffs of their own with its pins, a /run of their own with
all files) and network namespaces. The kernel also kills the child when its parent dies, so that
a demo that is killed with SIGKILL cleans up as one that finished.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from wardgate.cli.demo.namespace import NamespaceError, call

_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERNAL_ERROR = 3

RUN = Path("/var/run")
"""A file system in memory, of the isolated processes alone."""
BPFFS = Path("/sys/fs/bpf")


class IsolationError(RuntimeError):
    """The kernel does not let this process have namespaces of its own."""


def run(work: Callable[[], int]) -> int:
    """Run `work` in a child as the module says; its exit status, 128 + the signal that stopped it.

    IsolationError where the kernel refuses namespaces; then `work` has not begun. For a process with
    one thread, since only its calling thread is isolated.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        call("unshare", _CLONE_NEWNS)
        # Mounts would spread to the rest of the system otherwise, where / is shared.
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
        _mount("tmpfs", os.path.realpath(RUN), "tmpfs")
        _mount("bpf", str(BPFFS), "bpf")
        # Last, since a process whose children are in another PID namespace can do nothing else.
        call("unshare", _CLONE_NEWPID)
    except NamespaceError as error:
        raise IsolationError(str(error)) from None
    alive_reader, alive_writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(alive_writer)
        _be_first_process(work, alive_reader)
    os.close(alive_reader)
    for number in _FORWARDED:
        signal.signal(number, lambda received, _frame: _forward(child, received))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _forward(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def _mount(source: str | None, target: str, kind: str | None, flags: int = 0) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    call("mount", *encoded, ctypes.c_ulong(flags), None)


def _stop(number: int, _frame: FrameType | None) -> None:
    """End at once: with the first process of a PID namespace all others end, and with them the
    namespaces, which hold all that was made. An exception instead would be lost where it is raised in a
    callback of an event loop, as netlink's has."""
    os._exit(128 + number)


def _be_first_process(work: Callable[[], int], parent_alive: int) -> None:
    """Never returns: the rest of the parent's program is not the child's."""
    status = _INTERNAL_ERROR
    try:
        call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if select.select([parent_alive], [], [], 0)[0]:
            os._exit(_INTERNAL_ERROR)  # the parent died before the line above
        # The PIDs under /proc should be those that the child sees; a container may forbid the mount.
        with contextlib.suppress(NamespaceError):
            _mount("proc", "/proc", "proc")
        for number in _FORWARDED:
            signal.signal(number, _stop)
        status = work()
        sys.stdout.flush()
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(status)
