"""Names in rules, asked again in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from wardgate.gateway.enforcement import PolicyKeeper, Problems, Worker
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.names import NameBook

PART: Final = "names"
_LEAST_S: Final = 1.0
_MOST_S: Final = 30.0
"""Seconds between looks at what is due: the policy's names may be others by then."""
_SHOWN: Final = 5


class UnresolvedError(GatewayError):
    """Names in rules cannot be resolved: they keep the addresses that they had."""

    def __init__(self, failing: Mapping[str, str]) -> None:
        shown = [f"{name} ({cause})" for name, cause in list(failing.items())[:_SHOWN]]
        more = [f"{len(failing) - _SHOWN:,} more"] if len(failing) > _SHOWN else []
        super().__init__(
            "resolve",
            "names in rules",
            f"these keep the addresses that they had: {', '.join(shown + more)}",
            "look at the name servers in /etc/resolv.conf, or correct the names in the policy",
        )


async def keep_names(book: NameBook, keeper: PolicyKeeper, worker: Worker, problems: Problems) -> None:
    """Refresh the names of the policy in force whenever one is due, and have the policy follow, for ever."""
    while True:
        names = frozenset(keeper.composed.names)
        await asyncio.sleep(min(max(book.pause(names), _LEAST_S), _MOST_S))
        names = frozenset(keeper.composed.names)
        if not keeper.turn.locked():
            # Whoever has the turn may have asked for names of a policy that is not in force yet.
            book.forget_others(names)
        if await worker(book.refresh, names):
            keeper.changed(0, inputs=True)
        if failing := book.failing:
            problems.raised(PART, UnresolvedError(failing))
        else:
            problems.mended(PART)
