"""Which addresses are free, without reading those of all devices for each new one.

What is remembered here is a hint, and the store decides: an address that seems free is asked for, on the
condition that nobody takes it meanwhile, and all are read anew when none seems to be left. So nothing has to
be told to it for it to be safe; it is told of devices that this process removes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from wardgate.gateway.errors import RefusedError
from wardgate.gateway.identity.pools import Pools, address_text
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import ADDRESSES
from wardgate.runtime.addresses import number_of, parse_address

_MOST_MISSES: Final = 16
"""Addresses that turn out to be taken by other nodes, before all are read anew. Each is a condition of the
transaction, of which there are not many."""


class Allocation:
    """The free addresses of `pools`, lowest first: as far as this process knows."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self._taken: set[int] | None = None
        self._freed: dict[int, list[int]] = {}
        self._last: dict[int, int] = {}

    def free(self, addresses: Iterable[str]) -> None:
        """That a device gave these back."""
        if self._taken is None:
            return
        for address in map(parse_address, addresses):
            number = number_of(address)
            if number in self._taken:
                self._taken.discard(number)
                if number <= self._last.get(address.version, -1) and self.pools.holds(address):
                    heapq.heappush(self._freed.setdefault(address.version, []), number)

    async def choose(self, change: Change, version: int) -> str:
        """The lowest address of this version of IP that is free; RefusedError where none is."""
        known = self._taken is not None
        if not known:
            await self._read(change)
        found, exhausted = await self._search(change, version)
        if found is None and known:
            await self._read(change)
            found, exhausted = await self._search(change, version)
        if found is not None:
            return address_text(found)
        raise RefusedError(
            "assign address",
            f"of IPv{version}",
            "all addresses of the tunnel are taken"
            if exhausted
            else "other nodes take addresses all the time",
            "remove devices, or add a prefix to the policy's `tunnel`" if exhausted else "try again",
        )

    async def _read(self, change: Change) -> None:
        """Learn what is taken now."""
        self._taken = {number_of(parse_address(address)) for (address,) in await change.names(ADDRESSES)}
        self._freed, self._last = {}, {}

    async def _search(self, change: Change, version: int) -> tuple[int | None, bool]:
        """A free address or None, and whether there was none left to look at."""
        taken, misses = self._taken or set(), 0
        while misses < _MOST_MISSES:
            candidate = self._lowest(version)
            if candidate is None:
                return None, True
            if await change.get(ADDRESSES, address_text(candidate)) is None:
                return candidate, False
            taken.add(candidate)
            misses += 1
        return None, False

    def _lowest(self, version: int) -> int | None:
        """The lowest address that is not known to be taken."""
        taken, freed = self._taken or set(), self._freed.setdefault(version, [])
        while freed and freed[0] in taken:
            heapq.heappop(freed)
        last = self._last.get(version, -1)
        following = self.pools.after(version, last)
        while following is not None and following in taken:
            last, following = following, self.pools.after(version, following)
        self._last[version] = last
        if freed and (following is None or freed[0] < following):
            return freed[0]
        return following
