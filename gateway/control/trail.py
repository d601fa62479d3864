"""The audit log of a ledger, read for those who run the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from wardgate.gateway.errors import CorruptError
from wardgate.gateway.ledger import Ledger, Verified, verify
from wardgate.gateway.ledger.chain import HEAD, NOTHING, name_of
from wardgate.gateway.records import AUDIT, AUDIT_HEAD, AuditEntry, AuditHead

_AT_ONCE: Final = 250
"""Entries that are read for one step of `verify`: the log may be larger than the memory, and others wait
while they are looked at."""


class Trail:
    """What operations.Audit asks for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def entries(self, after: int, limit: int) -> Sequence[AuditEntry]:
        """See operations.Audit."""
        found, damage = await self._read(after, min(after + limit, (await self.head()).number))
        if damage is not None:
            raise damage
        return found

    async def head(self) -> AuditHead:
        """See operations.Audit."""
        return await self._ledger.get(AUDIT_HEAD, HEAD) or AuditHead(0, NOTHING)

    async def verify(self) -> Verified:
        """See operations.Audit. What is missing at the end, or too much there, is told by the head, which is
        written with the last entry."""
        head, found = await self.head(), verify(())
        for after in range(0, head.number, _AT_ONCE):
            entries, damage = await self._read(after, min(after + _AT_ONCE, head.number))
            found = verify(entries, found)
            if found.broken is not None:
                return found
            if damage is not None:
                return _broken(found, damage.cause)
        if found.entries == head.number and found.hash != head.hash:
            return replace(found, broken=head.number, cause="the log's head names another last entry")
        if found.entries != head.number:
            return _broken(found, f"{head.number} entries were written, and this is what is there of them")
        behind = await self._ledger.store.get(AUDIT.key(name_of(head.number + 1)))
        # One that came meanwhile has a head of its own.
        if behind is not None and await self.head() == head:
            return _broken(found, f"{head.number} entries were written, and there is one more")
        return found

    async def _read(self, after: int, last: int) -> tuple[Sequence[AuditEntry], CorruptError | None]:
        """The entries behind number `after`, up to `last` or to one that cannot be read, and why not."""
        begin, end = AUDIT.key(name_of(after)), AUDIT.key(name_of(last))
        found: list[AuditEntry] = []
        for entry in await self._ledger.store.page(AUDIT.prefix, begin, max(last - after, 0)):
            # Where some are missing, the page goes on behind the last.
            if entry.key > end:
                break
            try:
                found.append(AUDIT.decode(entry.key, entry.value))
            except CorruptError as error:
                return found, error
        return found, None


def _broken(found: Verified, cause: str) -> Verified:
    """A chain that does not go on behind what was found of it."""
    return Verified(found.entries, found.hash, found.entries + 1, cause)
