"""What can go wrong with a store."""

from __future__ import annotations

from collections.abc import Sequence

from wardgate.runtime.errors import WardgateError


class StoreError(WardgateError):
    """A store did not do what was asked. Nothing was changed, unless a subclass says otherwise. It is all
    said in `cause`."""

    def __init__(self, cause: str) -> None:
        super().__init__("use store", "", cause)

    def __str__(self) -> str:
        return self.cause


class InvalidKeyError(StoreError):
    """Not a key, or not a prefix of keys; see `keys`."""

    def __init__(self, key: object, cause: str) -> None:
        super().__init__(f"{key!r} {cause}")
        self.key = key


class TransactionError(StoreError):
    """A transaction that no store takes, whatever is in it."""


class ConflictError(StoreError):
    """A transaction found `keys` other than it expected. Read them again, and decide anew."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(f"changed by somebody else: {', '.join(keys)}")
        self.keys = tuple(keys)


class CompactedError(StoreError):
    """What was changed after revision `after` is no longer known in full: only after `compacted`. Take a
    snapshot and watch from its revision on."""

    def __init__(self, after: int, compacted: int) -> None:
        super().__init__(f"changes after revision {after} are forgotten up to revision {compacted}")
        self.after = after
        self.compacted = compacted


class UnavailableError(StoreError):
    """The store cannot be reached, opened or written. A commit that ends so may have been done or not."""


class ClosedError(StoreError):
    """The store was closed."""

    def __init__(self) -> None:
        super().__init__("the store is closed")
