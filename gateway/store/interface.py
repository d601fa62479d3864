"""What every store does, whether it is a file or a cluster.

A store holds *entries*: bytes under keys. All changes are made by *transactions*, one after the other; each
that changes something makes a new *revision*, a number that only grows. A transaction is done whole or not at
all, and only if what it was decided by is unchanged. Who watches a prefix gets every change of it in order,
those of one revision together, from any revision on that is still remembered; where that is not so,
CompactedError says it: no change is ever left out silently.

These are the promises that etcd keeps (etcd.io/docs, "KV API guarantees"), and no more than them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from wardgate.gateway.store.errors import TransactionError
from wardgate.gateway.store.keys import check_key

MOST_VALUE_BYTES: Final = 1 << 20
"""Of an entry; etcd takes requests of 1.5 MiB (--max-request-bytes)."""

MOST_OPERATIONS: Final = 128
"""Of a transaction, and its conditions; etcd's own limit (--max-txn-ops)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`created`: the revision since which the key has been there; `modified`: that of the last change."""

    key: str
    value: bytes
    created: int
    modified: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries with some prefixes, by key, at one revision: what was changed later is not in it."""

    revision: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A condition: the key's last change was at this revision; 0: it is not there."""

    key: str
    modified: int


@dataclass(frozen=True, slots=True)
class Put:
    """Sets an entry, whether it is there or not."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes an entry, if it is there."""

    key: str


Operation = Put | Delete


@dataclass(frozen=True, slots=True)
class Transaction:
    """What to do if all conditions hold. TransactionError or InvalidKeyError where no store could do it: a
    key that is changed twice, a value that is no bytes or too large, too much at once."""

    operations: tuple[Operation, ...]
    conditions: tuple[Unchanged, ...] = ()

    def __post_init__(self) -> None:
        for count, what in ((len(self.operations), "operations"), (len(self.conditions), "conditions")):
            if count > MOST_OPERATIONS:
                raise TransactionError(
                    f"{count} {what}, of which a transaction has {MOST_OPERATIONS} at most"
                )
        changed: set[str] = set()
        for operation in self.operations:
            key = check_key(operation.key)
            if key in changed:
                raise TransactionError(f"{key!r} is changed twice in one transaction")
            changed.add(key)
            if isinstance(operation, Put):
                _check_value(key, operation.value)
        for condition in self.conditions:
            check_key(condition.key)
            if isinstance(condition.modified, bool) or not isinstance(condition.modified, int):
                raise TransactionError(f"{condition.modified!r} is no revision of {condition.key!r}")


def _check_value(key: str, value: object) -> None:
    if not isinstance(value, bytes):
        raise TransactionError(f"the value of {key!r} is {type(value).__name__}, not bytes")
    if len(value) > MOST_VALUE_BYTES:
        raise TransactionError(f"the value of {key!r} has {len(value)} bytes, and {MOST_VALUE_BYTES} fit")


@dataclass(frozen=True, slots=True)
class Change:
    """`value` None: the entry was removed."""

    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Batch:
    """All that was changed of a watched prefix at `revision`, by key; nothing of it was between the batch
    before and this one. There may be no changes in it: then nothing was up to this revision either."""

    revision: int
    changes: tuple[Change, ...]


class Store(Protocol):
    """See the module. All methods raise UnavailableError where the store cannot be reached, and ClosedError
    after `close`; keys and prefixes that are none are InvalidKeyError. They are for tasks of one event
    loop."""

    async def get(self, key: str) -> Entry | None:
        """The entry of a key, with all that was committed before; None: it is not there."""

    async def snapshot(self, *prefixes: str) -> Snapshot:
        """All entries with any of these prefixes, with all that was committed before."""

    async def page(self, prefix: str, after: str, most: int) -> tuple[Entry, ...]:
        """The first `most` entries with a prefix whose keys are behind the key `after`, by key: for what is
        too much to be read at once."""

    async def count(self, prefix: str) -> int:
        """How many entries a snapshot would have, without reading them."""

    async def commit(self, transaction: Transaction) -> int:
        """Do a transaction; the store's revision then, which is a new one if it changed an entry. What is
        returned is kept, also if the machine loses power now.

        ConflictError where a condition does not hold. A task that is cancelled here leaves open whether the
        transaction is done: whole, or not at all.
        """

    def watch(self, prefix: str, after: int) -> AbstractAsyncContextManager[AsyncIterator[Batch]]:
        """The changes of a prefix after revision `after`, then those to come, until the context ends.

        CompactedError, on entering or from the iterator, where some of them are forgotten; ValueError where
        `after` is a revision that has not been yet.
        """

    async def compact(self, revision: int) -> None:
        """Forget the changes up to this revision: what to watch from before is gone, entries stay. Later
        revisions than the store's stand for that; earlier ones than were forgotten already change nothing."""

    async def close(self) -> None:
        """End all that goes on; watches end with ClosedError. Once is enough, twice does no harm."""
