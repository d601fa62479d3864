"""What every store must tell of its changes; part of store_conformance."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from store_opening import OpenedStore, changes, put, soon
from wardgate.gateway.store import (
    Batch,
    Change,
    CompactedError,
    Delete,
    Entry,
    Put,
    Snapshot,
    Store,
    Transaction,
    follow,
)


class WatchConformance(OpenedStore):
    """Watches, and `follow` on top of them."""

    def test_a_watch_tells_changes_by_revision(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            start = await store.commit(put("x/old"))
            async with store.watch("x/", start) as batches:
                coming = asyncio.create_task(anext(batches))
                both = await store.commit(Transaction((Put("x/b", b"1"), Put("x/a", b"2"), Put("y", b""))))
                await store.commit(put("y/other"))
                gone = await store.commit(Transaction((Delete("x/b"), Delete("x/c"))))
                first = await soon(coming)
                found = [first] * bool(first.changes) + await changes(batches, gone)
            assert found == [
                Batch(both, (Change("x/a", b"2"), Change("x/b", b"1"))),
                Batch(gone, (Change("x/b", None),)),
            ]

        self.run(tmp_path, body)

    def test_a_watch_that_waits_learns_of_what_comes(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            revision = await store.commit(put("a"))
            async with store.watch("", revision) as batches:
                for number in range(4):
                    waiting = asyncio.create_task(changes(batches, revision + 1))
                    await _settle(store)
                    committing = asyncio.create_task(store.commit(put("a", b"%d" % number)))
                    if number % 2:
                        # Whether the task hears of it or not: what is done is told.
                        await asyncio.sleep(0)
                        committing.cancel()
                    await asyncio.gather(committing, return_exceptions=True)
                    entry = await store.get("a")
                    assert entry
                    if entry.modified == revision:
                        revision = await store.commit(put("a", b"%d" % number))
                    revision = entry.modified if entry.modified > revision else revision
                    (found,) = await soon(waiting)
                    assert found == Batch(revision, (Change("a", b"%d" % number),))

        self.run(tmp_path, body)

    def test_a_watch_begins_in_the_past_also_of_another_process(self, tmp_path: Path) -> None:
        async def before(store: Store) -> list[int]:
            return [await store.commit(put("a", b"%d" % number)) for number in range(600)]

        revisions = self.run(tmp_path, before)

        async def body(store: Store) -> None:
            for first in (0, 1, 300, 598):
                async with store.watch("", revisions[first]) as batches:
                    found = await changes(batches, revisions[-1])
                assert [batch.revision for batch in found] == revisions[first + 1 :]
                assert [batch.changes[0].value for batch in found] == [
                    b"%d" % n for n in range(first + 1, 600)
                ]

        self.run(tmp_path, body)

    def test_many_watches_see_the_same(self, tmp_path: Path) -> None:
        async def look(store: Store, until: asyncio.Future[int]) -> list[Batch]:
            found: list[Batch] = []
            async with store.watch("", 0) as batches:
                while not (until.done() and found and found[-1].revision >= until.result()):
                    batch = await soon(anext(batches))
                    found += [batch] * bool(batch.changes)
            return found

        async def body(store: Store) -> None:
            last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            lookers = [asyncio.create_task(look(store, last)) for _ in range(5)]
            revision = 0
            for number in range(50):
                revision = await store.commit(put(f"k/{number % 7}", b"%d" % number))
            last.set_result(revision)
            # One that has seen all already waits for more.
            await store.commit(put("end"))
            found = [batches[:50] for batches in await soon(asyncio.gather(*lookers))]
            assert all(one == found[0] for one in found)
            assert [batch.changes[0].value for batch in found[0]] == [b"%d" % number for number in range(50)]

        self.run(tmp_path, body)

    def test_what_was_forgotten_is_said(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            revisions = [await store.commit(put("a", b"%d" % number)) for number in range(10)]
            async with store.watch("", revisions[2]) as late:
                assert (await changes(late, revisions[3]))[0].revision == revisions[3]
                await store.compact(revisions[8])
                last = await store.commit(put("b"))
                # What it has read already, it may tell yet: but all or nothing.
                with suppress(CompactedError):
                    found = await changes(late, last)
                    assert [batch.revision for batch in found] == [*revisions[4:], last]
            with pytest.raises(CompactedError) as caught:
                async with store.watch("", revisions[7]) as batches:
                    await soon(anext(batches))
            assert (caught.value.after, caught.value.compacted) == (revisions[7], revisions[8])
            async with store.watch("", revisions[8]) as batches:
                assert (await changes(batches, revisions[9]))[0].revision == revisions[9]
            # Entries are none of what is forgotten.
            entry = await store.get("a")
            assert entry == Entry("a", b"9", revisions[0], revisions[9])
            await store.compact(1)
            await store.compact(1 << 60)
            with pytest.raises(CompactedError):
                async with store.watch("", revisions[9]) as batches:
                    await soon(anext(batches))

        self.run(tmp_path, body)

    def test_following_goes_on_with_a_snapshot(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.commit(put("x/a", b"1"))
            told = follow(store, "x/")
            first = await soon(anext(told))
            assert isinstance(first, Snapshot)
            assert [entry.key for entry in first.entries] == ["x/a"]
            await store.commit(put("x/b"))
            second = await soon(anext(told))
            assert isinstance(second, Batch)
            await store.commit(Transaction((Delete("x/a"),)))
            revision = await store.commit(put("x/c"))
            await store.compact(revision)
            while not isinstance(again := await soon(anext(told)), Snapshot):
                assert not any(change.key == "x/c" for change in again.changes), "it was forgotten"
            assert [entry.key for entry in again.entries] == ["x/b", "x/c"]
            await store.commit(put("x/d"))
            last = await soon(anext(told))
            assert isinstance(last, Batch)
            assert last.changes == (Change("x/d", b""),)

        self.run(tmp_path, body)

    def test_following_may_read_only_some_of_what_there_is(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for name in ("audit/1", "x/a", "y/a"):
                await store.commit(put(name))
            told = follow(store, "", only=("x/", "y/"))
            first = await soon(anext(told))
            assert isinstance(first, Snapshot)
            assert [entry.key for entry in first.entries] == ["x/a", "y/a"]
            await store.commit(Transaction((Put("audit/2", b""), Put("y/b", b""))))
            second = await soon(anext(told))
            assert isinstance(second, Batch)
            assert [change.key for change in second.changes] == ["audit/2", "y/b"]

        self.run(tmp_path, body)

    def test_following_from_a_revision_has_no_snapshot_unless_it_is_forgotten(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            before = await store.commit(put("x/a", b"1"))
            await store.commit(put("x/b"))
            first = await soon(anext(follow(store, "x/", before)))
            assert isinstance(first, Batch)
            assert first.changes == (Change("x/b", b""),)
            await store.compact(await store.commit(put("x/c")))
            again = await soon(anext(follow(store, "x/", before)))
            assert isinstance(again, Snapshot)
            assert [entry.key for entry in again.entries] == ["x/a", "x/b", "x/c"]

        self.run(tmp_path, body)

    def test_a_watch_from_the_future_is_an_error(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            revision = await store.commit(put("a"))
            for after in (revision + 1, -1):
                with pytest.raises(ValueError, match="has not been yet"):
                    async with store.watch("", after):
                        pass

        self.run(tmp_path, body)


async def _settle(store: Store) -> None:
    """Let all that other tasks have begun come to rest."""
    for _ in range(20):
        await store.get("nothing")
