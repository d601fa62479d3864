"""Turns: what is done to a device's session is done one after the other, and all of them at once alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """For tasks of one event loop. Nobody who has a turn may ask for another."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}
        self._alone = asyncio.Lock()
        self._free = asyncio.Event()
        self._free.set()

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Nothing else is done to this one, nor to all."""
        # Who wants to be alone holds this while others finish, so that nobody begins meanwhile.
        async with self._alone:
            self._users[name] = self._users.get(name, 0) + 1
            self._free.clear()
        lock = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._locks[name]
            if not self._users:
                self._free.set()

    @asynccontextmanager
    async def of_all(self) -> AsyncIterator[None]:
        """Nothing is done to any."""
        async with self._alone:
            await self._free.wait()
            yield

    def is_taken(self, name: str) -> bool:
        """Whether something is being done to this one, or waits for it."""
        return name in self._users
