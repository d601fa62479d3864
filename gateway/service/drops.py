"""Packets that the gate dropped for want of a login: whose they were, and what they asked for."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

from wardgate.gateway.enforcement import Problems
from wardgate.runtime.events import DropEvent
from wardgate.runtime.gate import Gate

PART: Final = "drop events"
_GLANCE_S: Final = 1.0
_PAUSE_S: Final = 5.0
_log = logging.getLogger("wardgate.gateway.drops")


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
