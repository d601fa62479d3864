"""A store in one SQLite file, for a gateway that stands alone.

The file is one process's at a time: another that opens it is told so. A transaction is on the disk before
`commit` returns (write-ahead log, synchronous FULL). Beside the entries, the file has the changes of the last
revisions, for watches that begin in the past; what is older is forgotten by itself. What is deleted is
overwritten, since it may have been a secret.

SQLite's calls wait for the disk, so all are made in one thread of their own, one after the other.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeVar

from wardgate.gateway.store.errors import ClosedError, CompactedError, ConflictError, UnavailableError
from wardgate.gateway.store.interface import (
    Batch,
    Change,
    Entry,
    Put,
    Snapshot,
    Transaction,
)
from wardgate.gateway.store.keys import check_key, check_prefix, successor

HISTORY: Final = 10_000
"""Revisions that are remembered, unless it is said otherwise."""

_APPLICATION: Final = 0x57475354
"""PRAGMA application_id: WGST."""
_FORMAT: Final = 1
_EMPTY: Final = (0, 0, 0)
"""What `_described` gives of a file without anything."""
_BATCH: Final = 256
"""Revisions that a watch reads at once."""

_SCHEMA: Final = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE changes (
    revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, PRIMARY KEY (revision, key)
) WITHOUT ROWID;
CREATE TABLE state (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0);
"""

_ENTRIES: Final = "SELECT key, value, created, modified FROM entries"
_COUNT: Final = "SELECT count(*) FROM entries"
_CHANGES: Final = "SELECT revision, key, value FROM changes"
_BETWEEN: Final = " revision > ? AND revision <= ? ORDER BY revision, key"

_T = TypeVar("_T")


class SqliteStore:
    """See the module, and `interface.Store`, which this is one of. Made by `open`."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, history: int) -> None:
        self._connection = connection
        self._thread = thread
        self._history = history
        self._closed = False
        self._news = asyncio.Event()

    @classmethod
    async def open(cls, path: Path, *, history: int = HISTORY) -> SqliteStore:
        """The store in the file at `path`, which is made if it is not there, for nobody but the user.

        `history`: revisions to remember. UnavailableError where there is something else in the file, where
        others may read it, or where another process has it open.
        """
        if history < 1:
            raise ValueError(f"a history of {history} revisions, which is none")
        thread = ThreadPoolExecutor(1, "store")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(connection, thread, history)

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        check_key(key)
        query = _ENTRIES + " WHERE key = ?"
        row = await self._run(lambda connection: connection.execute(query, (key,)).fetchone())
        return Entry(*row) if row else None

    async def snapshot(self, *prefixes: str) -> Snapshot:
        """See Store."""
        ranges = [_within(check_prefix(prefix)) for prefix in prefixes]

        def read(connection: sqlite3.Connection) -> Snapshot:
            # Nothing comes between: all that asks and changes is done in this thread.
            found = {
                row[0]: Entry(*row)
                for where, bounds in ranges
                for row in connection.execute(_ENTRIES + where, bounds)
            }
            return Snapshot(_state(connection)[0], tuple(found[key] for key in sorted(found)))

        return await self._run(read)

    async def page(self, prefix: str, after: str, most: int) -> tuple[Entry, ...]:
        """See Store."""
        where, bounds = _within(check_prefix(prefix))
        query = _ENTRIES + where + (" AND" if where else " WHERE") + " key > ? ORDER BY key LIMIT ?"
        asked = (*bounds, check_key(after), most)
        rows = await self._run(lambda connection: connection.execute(query, asked).fetchall())
        return tuple(Entry(*row) for row in rows)

    async def count(self, prefix: str) -> int:
        """See Store."""
        where, bounds = _within(check_prefix(prefix))
        query = _COUNT + where
        row = await self._run(lambda connection: connection.execute(query, bounds).fetchone())
        return int(row[0])

    async def commit(self, transaction: Transaction) -> int:
        """See Store."""
        loop = asyncio.get_running_loop()

        def work(connection: sqlite3.Connection) -> int:
            revision, changed = _commit(connection, transaction, self._history)
            if changed:
                # From here, since whoever waits for the commit may have been cancelled.
                loop.call_soon_threadsafe(self._wake)
            return revision

        return await self._run(work)

    @asynccontextmanager
    async def watch(self, prefix: str, after: int) -> AsyncIterator[AsyncIterator[Batch]]:
        """See Store."""
        check_prefix(prefix)
        revision, compacted = await self._run(_state)
        if not 0 <= after <= revision:
            raise ValueError(f"revision {after} has not been yet: the store is at {revision}")
        if after < compacted:
            raise CompactedError(after, compacted)
        batches = self._batches(prefix, after)
        try:
            yield batches
        finally:
            await batches.aclose()

    async def _batches(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        while True:
            # Before it is read, so that what is committed meanwhile is not missed.
            news = self._news
            found, told = await self._run(partial(_read_changes, prefix=prefix, after=after))
            for batch in found:
                yield batch
            # Not the last batch's: there may be much that is not of the prefix.
            if told > after:
                after = told
            else:
                await news.wait()

    async def compact(self, revision: int) -> None:
        """See Store."""
        await self._run(lambda connection: _compact(connection, revision))
        self._wake()

    async def close(self) -> None:
        """See Store."""
        if self._closed:
            return
        self._closed = True
        self._wake()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def __aenter__(self) -> SqliteStore:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _wake(self) -> None:
        """Let watches look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._closed:
            raise ClosedError
        with _told():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._connection)


@contextmanager
def _told() -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise UnavailableError(f"the store's file cannot be read or written: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    _check_private(path)
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        # Before anything is read: with this, the first lock is held until the file is closed.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _check_format(connection, path)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise UnavailableError(f"{path} lies where SQLite has no write-ahead log: choose a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        with _transaction(connection):
            _make_tables(connection)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise UnavailableError(_why_not(path, error)) from error
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    return connection


def _why_not(path: Path, error: sqlite3.Error) -> str:
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        return f"{path} is open in another process: stop that first"
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        return f"{path} is no store: choose another file"
    return f"{path} cannot be opened: {error}"


def _check_private(path: Path) -> None:
    """Make the file if it is not there; UnavailableError where others could read it."""
    try:
        # SQLite gives its other files the modes of this one.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise UnavailableError(f"{path} is no file: choose another place")
    if found.st_mode & 0o077:
        raise UnavailableError(f"others may read or write {path}, which has secrets: chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise UnavailableError(
            f"{path} belongs to uid {found.st_uid}, who may read and write it: chown {os.geteuid()} {path}"
        )


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    """UnavailableError where there is something else in the file, before anything is written to it."""
    application, version, tables = _described(connection)
    if (application, version, tables) == _EMPTY:
        return
    if application != _APPLICATION:
        raise UnavailableError(f"{path} is no store: choose another file")
    if version != _FORMAT:
        raise UnavailableError(f"{path} has format {version}, and this release knows {_FORMAT}: upgrade")


def _make_tables(connection: sqlite3.Connection) -> None:
    if _described(connection) == _EMPTY:
        for statement in _SCHEMA.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _described(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Whose file it is, in which format, and how many tables and indexes it has."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return application, version, tables


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        # A full disk, say: the transaction is still open then, and must not be part of the next one.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    """The revision, and the one up to which changes are forgotten."""
    revision, compacted = connection.execute("SELECT revision, compacted FROM state").fetchone()
    return revision, compacted


def _within(prefix: str) -> tuple[str, tuple[str, ...]]:
    """A condition on keys, and what it is about."""
    end = successor(prefix)
    return ("", ()) if end is None else (" WHERE key >= ? AND key < ?", (prefix, end))


def _commit(connection: sqlite3.Connection, transaction: Transaction, history: int) -> tuple[int, bool]:
    """The revision, and whether it is a new one."""
    with _transaction(connection):
        conflicts = [
            condition.key
            for condition in transaction.conditions
            if _modified(connection, condition.key) != condition.modified
        ]
        if conflicts:
            raise ConflictError(conflicts)
        before, compacted = _state(connection)
        revision = before + 1
        changes = [
            (revision, operation.key, operation.value if isinstance(operation, Put) else None)
            for operation in transaction.operations
            if isinstance(operation, Put) or _modified(connection, operation.key)
        ]
        if not changes:
            return before, False
        for _, key, value in changes:
            if value is None:
                connection.execute("DELETE FROM entries WHERE key = ?", (key,))
            else:
                connection.execute(
                    "INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
                    "SET value = excluded.value, modified = excluded.modified",
                    (key, value, revision, revision),
                )
        connection.executemany("INSERT INTO changes VALUES (?, ?, ?)", changes)
        # Not at each commit: a row is cheaper to forget together with others.
        forgotten = revision - history
        if forgotten - compacted >= min(history, _BATCH):
            compacted = forgotten
            connection.execute("DELETE FROM changes WHERE revision <= ?", (compacted,))
        connection.execute("UPDATE state SET revision = ?, compacted = ?", (revision, compacted))
    return revision, True


def _modified(connection: sqlite3.Connection, key: str) -> int:
    """The revision of a key's last change, 0 where it is not there."""
    row = connection.execute("SELECT modified FROM entries WHERE key = ?", (key,)).fetchone()
    return row[0] if row else 0


def _read_changes(connection: sqlite3.Connection, prefix: str, after: int) -> tuple[Sequence[Batch], int]:
    """Batches after a revision, and up to which revision they are all; CompactedError."""
    revision, compacted = _state(connection)
    if after < compacted:
        raise CompactedError(after, compacted)
    last = min(revision, after + _BATCH)
    where, bounds = _within(prefix)
    query = _CHANGES + where + (" AND" if where else " WHERE") + _BETWEEN
    rows = connection.execute(query, (*bounds, after, last)).fetchall()
    batches = [
        Batch(number, tuple(Change(key, value) for _, key, value in group))
        for number, group in groupby(rows, key=itemgetter(0))
    ]
    return batches, last


def _compact(connection: sqlite3.Connection, revision: int) -> None:
    with _transaction(connection):
        now, compacted = _state(connection)
        revision = min(revision, now)
        if revision > compacted:
            connection.execute("DELETE FROM changes WHERE revision <= ?", (revision,))
            connection.execute("UPDATE state SET compacted = ?", (revision,))
