"""Being up to date, whatever happens to the watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from wardgate.gateway.store.errors import CompactedError
from wardgate.gateway.store.interface import Batch, Snapshot, Store


async def follow(
    store: Store, prefix: str, since: int | None = None, *, only: Sequence[str] | None = None
) -> AsyncIterator[Snapshot | Batch]:
    """A snapshot of a prefix, and then its changes, for ever; only the changes after revision `since`, where
    that is given. `only`: what snapshots are of, where not all that the prefix has is worth reading.

    Where changes were forgotten before they could be told, another snapshot comes: what is known then is all
    in it, and what is not in it is gone. Other errors end it; begin anew then.
    """
    while True:
        if since is None:
            snapshot = await store.snapshot(*([prefix] if only is None else only))
            yield snapshot
            since = snapshot.revision
        try:
            async with store.watch(prefix, since) as batches:
                async for batch in batches:
                    yield batch
        except CompactedError:
            since = None
