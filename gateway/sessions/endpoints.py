"""Where peers are: dumps of WireGuard's peers, one for all who ask at about the same time.

At ten thousand peers a dump takes many milliseconds, and a hundred logins may come in a second. A dump that
began before somebody asked may not show what they did: so they wait for the next one, together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from wardgate.gateway.wireguard import Endpoint

Dump = Callable[[], Awaitable[Mapping[str, Endpoint | None]]]


class Endpoints:
    """Asks `dump` no more often than each `interval` seconds, and so that dumps take half of the time at
    most: of many peers one takes long."""

    def __init__(self, dump: Dump, interval: float = 0.1) -> None:
        self._dump = dump
        self._interval = interval
        self._next: asyncio.Task[Mapping[str, Endpoint | None]] | None = None
        self._begun = False
        self._after = 0.0

    async def of(self, public_key: str) -> Endpoint | None:
        """Where the peer is now; None: unknown, or no such peer. Errors of `dump`."""
        return (await self.all()).get(public_key)

    async def all(self) -> Mapping[str, Endpoint | None]:
        """Where all peers are now, by their public keys. Errors of `dump`."""
        if self._next is None or self._begun:
            self._begun = False
            self._next = asyncio.create_task(self._look(self._next))
        return await asyncio.shield(self._next)

    async def _look(
        self, before: asyncio.Task[Mapping[str, Endpoint | None]] | None
    ) -> Mapping[str, Endpoint | None]:
        if before is not None:
            await asyncio.wait([before])
        await asyncio.sleep(max(0.0, self._after - time.monotonic()))
        self._begun = True
        began = time.monotonic()
        try:
            return await self._dump()
        finally:
            ended = time.monotonic()
            self._after = max(began + self._interval, ended + (ended - began))
