"""The audit log of a ledger, read for those who run the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wardgate.gateway.ledger import Ledger, Verified, verify
from wardgate.gateway.ledger.chain import NOTHING
from wardgate.gateway.records import AUDIT, AUDIT_HEAD, AuditEntry, AuditHead

_DIGITS: Final = 16
"""Of an entry's number in its key."""
_AT_ONCE: Final = 1_000
"""Entries that are read for one step of `verify`: the log may be larger than the memory."""


class Trail:
    """What operations.Audit asks for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def entries(self, after: int, limit: int) -> Sequence[AuditEntry]:
        """See operations.Audit."""
        last = min(after + limit, (await self.head()).number)
        found = [await self._ledger.get(AUDIT, f"{n:0{_DIGITS}}") for n in range(after + 1, last + 1)]
        return [entry for entry in found if entry is not None]

    async def head(self) -> AuditHead:
        """See operations.Audit."""
        return await self._ledger.get(AUDIT_HEAD, "head") or AuditHead(0, NOTHING)

    async def verify(self) -> Verified:
        """See operations.Audit. What is missing at the end is told by the head, which is written with the
        last entry."""
        head, found = await self.head(), verify(())
        for after in range(0, head.number, _AT_ONCE):
            found = verify(await self.entries(after, min(_AT_ONCE, head.number - after)), found)
            if found.broken is not None:
                return found
        if (found.entries, found.hash) != (head.number, head.hash):
            cause = f"{head.number} entries were written, and this is what is there of them"
            return Verified(found.entries, found.hash, found.entries + 1, cause)
        return found
