"""How tests open a store and wait for what it tells."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

from wardgate.gateway.store import (
    Batch,
    Put,
    Store,
    Transaction,
)

T = TypeVar("T")
PATIENCE_S = 60
"""How long to wait for what must come, before the test fails."""


def put(key: str, value: bytes = b"") -> Transaction:
    return Transaction((Put(key, value),))


async def soon(awaited: Awaitable[T]) -> T:
    """What must come."""
    async with asyncio.timeout(PATIENCE_S):
        return await awaited


async def changes(batches: AsyncIterator[Batch], until: int) -> list[Batch]:
    """The batches with changes, up to that of a revision."""
    found: list[Batch] = []
    while not found or found[-1].revision < until:
        batch = await soon(anext(batches))
        if batch.changes:
            found.append(batch)
    return found


class OpenedStore(ABC):
    """Each test opens a store that is empty; `opened` again is the same store."""

    @abstractmethod
    def opened(self, folder: Path) -> AbstractAsyncContextManager[Store]:
        """The store of this folder; another folder is another store."""

    def run(self, folder: Path, body: Callable[[Store], Awaitable[T]]) -> T:
        async def within() -> T:
            async with self.opened(folder) as store:
                return await body(store)

        return asyncio.run(within())
