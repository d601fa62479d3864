"""Names in rules, asked again in time."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from wardgate.gateway.enforcement import PolicyKeeper, Worker
from wardgate.gateway.names import NameBook

_LEAST_S: Final = 1.0
_MOST_S: Final = 30.0
"""Seconds between looks at what is due: the policy's names may be others by then."""


async def keep_names(book: NameBook, keeper: PolicyKeeper, worker: Worker) -> None:
    """Refresh the names of the policy in force whenever one is due, and have the policy follow, for ever."""
    while True:
        await asyncio.sleep(min(max(book.next_due() - time.time(), _LEAST_S), _MOST_S))
        if await worker(book.refresh, frozenset(keeper.composed.names)):
            keeper.changed(0, inputs=True)
