"""What a gateway remembers: entries under keys, changed in transactions, watched from any revision on.

`interface` says what every store does, and `tests/support/store_conformance.py` holds each one to it.
`sqlite` is the one in a file; `follow` keeps somebody up to date whatever happens to the watch.
"""

from wardgate.gateway.store.errors import (
    ClosedError,
    CompactedError,
    ConflictError,
    InvalidKeyError,
    StoreError,
    TransactionError,
    UnavailableError,
)
from wardgate.gateway.store.follow import follow
from wardgate.gateway.store.interface import (
    MOST_OPERATIONS,
    MOST_VALUE_BYTES,
    Batch,
    Change,
    Delete,
    Entry,
    Operation,
    Put,
    Snapshot,
    Store,
    Transaction,
    Unchanged,
)
from wardgate.gateway.store.sqlite import SqliteStore

__all__ = [
    "MOST_OPERATIONS",
    "MOST_VALUE_BYTES",
    "Batch",
    "Change",
    "ClosedError",
    "CompactedError",
    "ConflictError",
    "Delete",
    "Entry",
    "InvalidKeyError",
    "Operation",
    "Put",
    "Snapshot",
    "SqliteStore",
    "Store",
    "StoreError",
    "Transaction",
    "TransactionError",
    "UnavailableError",
    "Unchanged",
    "follow",
]
