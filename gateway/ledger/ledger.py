"""The ledger: changes one after the other, each with its lines in the audit log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Final, TypeVar

from wardgate.gateway.errors import BusyError, CorruptError, GatewayError
from wardgate.gateway.ledger.chain import HEAD, NOTHING, linked, name_of
from wardgate.gateway.ledger.change import Change
from wardgate.gateway.records import AUDIT, AUDIT_HEAD, AuditEntry, AuditHead, Kind, Record
from wardgate.gateway.store import ConflictError, Snapshot, Store, Transaction

R = TypeVar("R", bound=Record)
T = TypeVar("T")

_log = logging.getLogger("wardgate.gateway.audit")
_ATTEMPTS: Final = 20
_inside: ContextVar[bool] = ContextVar("inside a change", default=False)


class Ledger:
    """Reads and changes of what a store holds. `now` is Unix time in seconds."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.settle: Callable[[int], Awaitable[None]] | None = None
        """Waited for after each change, with its revision: until it is in force, say."""
        self._now = now
        self._turn = asyncio.Lock()

    async def run(
        self,
        actor: str,
        work: Callable[[Change], Awaitable[T]],
        *,
        settled: bool = True,
        told_once: bool = False,
    ) -> T:
        """Do the change that `work` decides on, and return what `work` returned.

        `actor` is who does it, for the audit log: `uid:0 (root)`, `user:alice`, `gateway`. Where another node
        changed meanwhile what `work` had read, `work` is called again: it must have no effect but on the
        change. What it raises ends the change with nothing done. Changes of one process take turns, so
        `work` does not wait for anything but the store.

        BusyError where others were faster time and again; CorruptError; StoreError. What `settle` raises says
        that the change is stored, but not in force; with `settled` False nobody waits for that. With
        `told_once` it is logged only, since the result would be lost: a secret, say, that cannot be told
        again.
        """
        result, revision = await self._run(actor, work)
        if settled and revision and self.settle is not None:
            try:
                await self.settle(revision)
            except GatewayError as error:
                if not told_once:
                    raise
                _log.error("what %s changed is not in force yet: %s", actor, error)
        return result

    async def _run(self, actor: str, work: Callable[[Change], Awaitable[T]]) -> tuple[T, int]:
        if _inside.get():
            raise RuntimeError("a change within a change would wait for itself")
        async with self._turn:
            inside = _inside.set(True)
            try:
                for _ in range(_ATTEMPTS):
                    change = Change(self.store, actor, int(self._now()))
                    result = await work(change)
                    try:
                        revision = await self._commit(change)
                    except ConflictError as conflict:
                        _check_log(conflict.keys)
                        continue
                    return result, revision
            finally:
                _inside.reset(inside)
        raise BusyError("change", "the store", "other nodes change the same all the time", "try again")

    async def get(self, kind: Kind[R], *names: str) -> R | None:
        """A record as it is now; None: there is none."""
        key = kind.key(*names)
        entry = await self.store.get(key)
        return None if entry is None else kind.decode(key, entry.value)

    async def records(self, kind: Kind[R], *names: str) -> list[R]:
        """All records of a kind, or those whose first names are these, by key."""
        return (await self.snapshot(kind, *names))[0]

    async def snapshot(self, kind: Kind[R], *names: str) -> tuple[list[R], int]:
        """The same, and the store's revision, from which `Store.watch` goes on."""
        prefix = kind.key(*names) + "/" if names else kind.prefix
        found: Snapshot = await self.store.snapshot(prefix)
        return [kind.decode(entry.key, entry.value) for entry in found.entries], found.revision

    async def _commit(self, change: Change) -> int:
        """The revision that it made; 0 where there was nothing to do."""
        told = await self._chain(change) if change.told else []
        operations = tuple(change.operations.values())
        revision = 0
        if operations:
            revision = await self.store.commit(Transaction(operations, change.conditions))
        for entry in told:
            _log.info(
                "%s %s",
                entry.action,
                entry.target,
                extra={"actor": entry.actor, "audit": entry.number, **_prefixed(entry)},
            )
        return revision

    async def _chain(self, change: Change) -> list[AuditEntry]:
        head = await change.get(AUDIT_HEAD, HEAD) or AuditHead(0, NOTHING)
        entries = []
        for told in change.told:
            entry = linked(told, head.number + 1, head.hash)
            change.add(AUDIT, entry, name_of(entry.number))
            entries.append(entry)
            head = AuditHead(entry.number, entry.hash)
        change.put(AUDIT_HEAD, head, HEAD)
        return entries


def _check_log(conflicts: Sequence[str]) -> None:
    """CorruptError where the audit log has entries behind the one that its head names as the last: they were
    written with a head of theirs, which somebody has changed since. None of them is written over."""
    behind = [key for key in conflicts if key.startswith(AUDIT.prefix)]
    if behind and AUDIT_HEAD.key(HEAD) not in conflicts:
        raise CorruptError(
            "write audit log",
            behind[0],
            "it is there, behind what the log's head names as the last entry",
            "restore the store from a backup",
        )


def _prefixed(entry: AuditEntry) -> dict[str, str]:
    """Details under names that no field of a log record has."""
    return {f"detail_{name}": text for name, text in entry.details.items()}
