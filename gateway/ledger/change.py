"""A change under way: what it read, what it will write, what the audit log will say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from wardgate.gateway.records import AuditEntry, Kind, Record
from wardgate.gateway.store import Delete, Operation, Put, Store, Unchanged

T = TypeVar("T", bound=Record)


class Change:
    """Given to whoever decides a change, see Ledger.run.

    What `get` reads must be unchanged when the change is done, or it is decided anew. What `records` reads
    need not be: where something depends on one of them, or on that one is missing, `get` asks for it too.
    """

    def __init__(self, store: Store, actor: str, at: int) -> None:
        self.actor = actor
        self.at = at
        """When, Unix time in seconds; the same for all that one change writes."""
        self._store = store
        self._read: dict[str, int] = {}
        self._values: dict[str, bytes | None] = {}
        self._writes: dict[str, Operation] = {}
        self._told: list[AuditEntry] = []

    async def get(self, kind: Kind[T], *names: str) -> T | None:
        """A record, with what this change itself has written; None: there is none."""
        key = kind.key(*names)
        written = self._writes.get(key)
        if written is not None:
            return kind.decode(key, written.value) if isinstance(written, Put) else None
        if key not in self._read:
            entry = await self._store.get(key)
            self._read[key] = entry.modified if entry else 0
            self._values[key] = entry.value if entry else None
        value = self._values[key]
        return None if value is None else kind.decode(key, value)

    async def records(self, kind: Kind[T], *names: str) -> list[T]:
        """All records of a kind, or those whose first names are these; as stored, without what this change
        has written."""
        prefix = kind.key(*names) + "/" if names else kind.prefix
        snapshot = await self._store.snapshot(prefix)
        return [kind.decode(entry.key, entry.value) for entry in snapshot.entries]

    async def names(self, kind: Kind[T], *names: str) -> list[tuple[str, ...]]:
        """What the keys of those records are made of; as `records`, without reading the records."""
        prefix = kind.key(*names) + "/" if names else kind.prefix
        return [kind.names(entry.key) for entry in (await self._store.snapshot(prefix)).entries]

    async def count(self, kind: Kind[T]) -> int:
        """How many records of a kind there are; as `records`."""
        return await self._store.count(kind.prefix)

    def put(self, kind: Kind[T], record: T, *names: str) -> None:
        """Write a record under these names."""
        key = kind.key(*names)
        self._writes[key] = Put(key, kind.encode(record))

    def add(self, kind: Kind[T], record: T, *names: str) -> None:
        """Write a record where there must be none yet."""
        self._read[kind.key(*names)] = 0
        self.put(kind, record, *names)

    def delete(self, kind: Kind[T], *names: str) -> None:
        """Remove a record, if it is there."""
        key = kind.key(*names)
        self._writes[key] = Delete(key)

    def tell(self, action: str, target: str, **details: str) -> None:
        """Have the audit log say it; see AuditEntry. Never a secret."""
        self._told.append(AuditEntry(0, self.at, self.actor, action, target, details, "", ""))

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What to write, by key."""
        return self._writes

    @property
    def conditions(self) -> tuple[Unchanged, ...]:
        """What must be so still."""
        return tuple(Unchanged(key, modified) for key, modified in self._read.items())

    @property
    def told(self) -> tuple[AuditEntry, ...]:
        """Lines for the audit log, not numbered yet."""
        return tuple(self._told)
