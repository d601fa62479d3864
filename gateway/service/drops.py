"""Packets that the gate dropped: whose they were, what they asked for, and why."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

from wardgate.gateway.enforcement import Problems
from wardgate.gateway.events import Event
from wardgate.gateway.records import Device
from wardgate.runtime.events import DropEvent
from wardgate.runtime.gate import Gate
from wardgate.runtime.layout.codes import Direction, Reason

PART: Final = "drop events"
_GLANCE_S: Final = 1.0
_PAUSE_S: Final = 5.0
_log = logging.getLogger("wardgate.gateway.drops")


def inside(event: DropEvent) -> str:
    """The tunnel's side of a packet, whose device it is about; empty where the packet has no addresses."""
    address = event.source if event.direction is Direction.FROM_DEVICE else event.destination
    return str(address) if address is not None else ""


def as_event(event: DropEvent, device: Device | None) -> Event:
    """A packet as those who watch the gateway are told, without what there is not. It is an event of no
    device: no page is woken by it."""
    details = {
        "user": device.user if device else "",
        "name": device.name if device else "",
        "source": str(event.source or ""),
        "destination": str(event.destination or ""),
        "service": event.service if event.source else "",
        "reason": event.reason.label,
        "at": f"{event.rule.file}:{event.rule.line}:{event.rule.column}" if event.rule else "",
        "rule": event.rule.text if event.rule else "",
        "suppressed": str(event.suppressed) if event.suppressed else "",
    }
    known = {name: value for name, value in details.items() if value}
    return Event("pass" if event.reason is Reason.PASS else "drop", details=known)


class DropReader:
    """Reads the gate's events in a thread of its own, and calls `told` in the event loop for each."""

    def __init__(self, gate: Gate, told: Callable[[DropEvent], None], problems: Problems) -> None:
        self._gate = gate
        self._told = told
        self._problems = problems
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="drops", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _read(self) -> None:
        while not self._stopping.is_set():
            try:
                for event in self._gate.events(_GLANCE_S):
                    self._call(self._told, event)
                    if self._stopping.is_set():
                        return
                self._call(self._problems.mended, PART)
            except Exception as error:
                # Another process reads them, say; what is told of them is not what enforces.
                self._call(self._problems.raised, PART, error)
                self._stopping.wait(_PAUSE_S)

    def _call(self, told: Callable[..., None], *arguments: object) -> None:
        if not self._stopping.is_set():
            self._loop.call_soon_threadsafe(told, *arguments)
