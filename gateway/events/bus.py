"""A bus: events go to all who listen at the moment, and nobody can make others wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = (
    "login", "renewal", "logout", "session-ended", "roam", "policy", "drop", "pass", "needs-login",
)  # fmt: skip
"""What happens. `drop` and `pass` are packets, the latter while the gate traces; `needs-login` is a drop that
a login would have prevented, told to whose device it is."""
_MOST: Final = 1_000
"""Events that wait for one listener; more are counted, and lost to it."""


@dataclass(frozen=True, slots=True)
class Event:
    """`kind`: one of KINDS. `device`: the id of the one that it is about, or empty. `details`: what else
    there is to know, never a secret."""

    kind: str
    device: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Lost:
    """The listener was too slow: so many events were left out here."""

    count: int


class _Listener:
    def __init__(self, device: str | None) -> None:
        self.device = device
        self.waiting: deque[Event] = deque()
        self.lost = 0
        self.wake = asyncio.Event()


class Bus:
    """For tasks of one event loop."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def publish(self, event: Event) -> None:
        """Tell everybody who listens."""
        for listener in self._listeners:
            if listener.device not in (None, event.device):
                continue
            # Once something is left out, all is, until the listener has been told: so that it knows where.
            if listener.lost or len(listener.waiting) >= _MOST:
                listener.lost += 1
            else:
                listener.waiting.append(event)
            listener.wake.set()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @contextmanager
    def listening(self, device: str | None = None) -> Iterator[AsyncIterator[Event | Lost]]:
        """Events from now on, of one device or of all; until the context ends."""
        listener = _Listener(device)
        self._listeners.add(listener)
        try:
            yield _events(listener)
        finally:
            self._listeners.discard(listener)


async def _events(listener: _Listener) -> AsyncIterator[Event | Lost]:
    while True:
        if listener.waiting:
            yield listener.waiting.popleft()
        elif listener.lost:
            count, listener.lost = listener.lost, 0
            yield Lost(count)
        else:
            listener.wake.clear()
            await listener.wake.wait()
