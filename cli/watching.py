"""Showing a gate's events until the process is asked to end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from wardgate.cli import drops
from wardgate.cli.console import Console
from wardgate.cli.failures import CommandError

if TYPE_CHECKING:
    from wardgate.runtime.events import DropEvent
    from wardgate.runtime.gate import Gate

_CHECK_SECONDS = 5.0
"""How often the gate is looked at while it drops nothing: another process may have detached it."""


class _StoppedError(BaseException):
    """SIGINT or SIGTERM: the foreground process is asked to end."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """Leave the block at SIGINT or SIGTERM, without an error."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        # A second one, while the first is being handled, changes nothing.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _StoppedError

    try:
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        yield
    except _StoppedError:
        pass


def show_events(
    console: Console, gate: Gate, wanted: Callable[[DropEvent], bool] = lambda _event: True
) -> None:
    """Show the events that are `wanted` until SIGINT or SIGTERM; CommandError where the gate is detached
    meanwhile."""
    with until_stopped():
        enforcing = True
        while True:
            due = time.monotonic() + _CHECK_SECONDS
            for event in gate.events(_CHECK_SECONDS):
                if wanted(event):
                    _show(console, event)
                if time.monotonic() > due:
                    due = time.monotonic() + _CHECK_SECONDS
                    enforcing = _still_enforcing(console, gate, enforcing)
            enforcing = _still_enforcing(console, gate, enforcing)


def _show(console: Console, event: DropEvent) -> None:
    if console.json:
        console.line(drops.document(event))
    else:
        sys.stdout.write(drops.text(event) + "\n")
        sys.stdout.flush()


def _still_enforcing(console: Console, gate: Gate, before: bool) -> bool:
    """Whether the gate enforces; says so when it ceases to. CommandError where it was detached."""
    if gate.name not in gate.list():
        raise CommandError(f"gate {gate.name} was detached by another process")
    enforcing = gate.status().enforcing
    if before and not enforcing:
        console.warn(f"gate {gate.name} no longer enforces: run it again when its device is back")
    return enforcing
