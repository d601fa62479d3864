"""What every store must do: subclass StoreConformance, and say how one is opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_opening import changes, put, soon
from store_watches import WatchConformance
from wardgate.gateway.store import (
    MOST_OPERATIONS,
    MOST_VALUE_BYTES,
    Batch,
    Change,
    ClosedError,
    ConflictError,
    Delete,
    Entry,
    InvalidKeyError,
    Operation,
    Put,
    Snapshot,
    Store,
    Transaction,
    Unchanged,
)

NO_KEYS = ["", "/", "a/", "/a", "a//b", "a/\n", "a\0", "é" * 300, "\ud800", b"a", None]
NO_PREFIXES = ["a", "/", "a//", "/a/", "a\n/", None]


class StoreConformance(WatchConformance):
    """Each test opens a store that is empty; `opened` again is the same store."""

    def test_what_is_put_is_there(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            assert await store.get("users/alice") is None
            first = await store.commit(put("users/alice", b"1"))
            assert await store.get("users/alice") == Entry("users/alice", b"1", first, first)
            second = await store.commit(put("users/alice", b"\0\xff"))
            assert second > first
            assert await store.get("users/alice") == Entry("users/alice", b"\0\xff", first, second)
            third = await store.commit(Transaction((Delete("users/alice"),)))
            assert third > second
            assert await store.get("users/alice") is None
            fourth = await store.commit(put("users/alice"))
            assert await store.get("users/alice") == Entry("users/alice", b"", fourth, fourth)

        self.run(tmp_path, body)

    def test_it_is_there_when_the_store_is_opened_again(self, tmp_path: Path) -> None:
        revision = self.run(tmp_path, lambda store: store.commit(put("a", b"1")))

        async def body(store: Store) -> None:
            assert await store.snapshot("") == Snapshot(revision, (Entry("a", b"1", revision, revision),))
            assert await store.commit(put("b")) > revision

        self.run(tmp_path, body)

    def test_a_commit_that_changes_nothing_makes_no_revision(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            revision = await store.commit(put("a"))
            assert await store.commit(Transaction(())) == revision
            assert await store.commit(Transaction((Delete("b"),))) == revision
            # To put what is there already is a change: whoever watches learns of it.
            assert await store.commit(put("a")) > revision

        self.run(tmp_path, body)

    def test_a_snapshot_has_the_keys_of_a_prefix_in_order(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            names = [
                "users/b",
                "users/a/2",
                "users/a/1",
                "users",
                "users0",
                "user/a",
                "users/é",
                "users/a",
                "users/ ",
            ]
            for name in names:
                revision = await store.commit(put(name))
            inside = [name for name in names if name.startswith("users/")]
            found = await store.snapshot("users/")
            assert [entry.key for entry in found.entries] == sorted(inside)
            assert found.revision == revision
            assert len((await store.snapshot("")).entries) == len(names)
            assert (await store.snapshot("users/a/1/")).entries == ()
            assert await store.count("users/") == len(inside)
            assert await store.count("") == len(names)
            assert await store.count("users/a/1/") == 0

        self.run(tmp_path, body)

    def test_a_snapshot_of_several_prefixes_has_each_entry_once(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for name in ("users/b", "users/a/1", "devices/a", "audit/1"):
                revision = await store.commit(put(name))
            found = await store.snapshot("users/", "devices/", "users/a/", "tokens/")
            assert [entry.key for entry in found.entries] == ["devices/a", "users/a/1", "users/b"]
            assert found.revision == revision
            assert await store.snapshot() == Snapshot(revision, ())
            with pytest.raises(InvalidKeyError):
                await store.snapshot("users/", "devices")

        self.run(tmp_path, body)

    def test_a_page_goes_on_behind_a_key_that_need_not_be_there(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for name in ("users/b", "users/d", "users/a/1", "users/c", "users", "users0", "tokens/z"):
                await store.commit(put(name))

            async def keys(prefix: str, after: str, most: int) -> list[str]:
                return [entry.key for entry in await store.page(prefix, after, most)]

            assert await keys("users/", "a", 9) == ["users/a/1", "users/b", "users/c", "users/d"]
            assert await keys("users/", "users/b", 1) == ["users/c"]
            assert await keys("users/", "users/bb", 9) == ["users/c", "users/d"]
            assert await keys("users/", "users/d", 9) == []
            assert await keys("users/", "users/b", 0) == []
            assert await keys("", "tokens/z", 2) == ["users", "users/a/1"]
            with pytest.raises(InvalidKeyError):
                await store.page("users/", "users/", 1)

        self.run(tmp_path, body)

    def test_a_transaction_is_done_only_if_nothing_it_was_decided_by_changed(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            absent = Unchanged("a", 0)
            first = await store.commit(Transaction((Put("a", b"1"),), (absent,)))
            with pytest.raises(ConflictError) as caught:
                await store.commit(Transaction((Put("b", b""), Put("a", b"2")), (absent, Unchanged("c", 0))))
            assert caught.value.keys == ("a",)
            assert [entry.value for entry in (await store.snapshot("")).entries] == [b"1"]
            second = await store.commit(Transaction((Delete("a"),), (Unchanged("a", first),)))
            with pytest.raises(ConflictError):
                await store.commit(Transaction((Put("a", b"3"),), (Unchanged("a", first),)))
            with pytest.raises(ConflictError):
                await store.commit(Transaction((), (Unchanged("a", second),)))
            assert await store.commit(Transaction((), (absent,))) == second

        self.run(tmp_path, body)

    def test_no_update_is_lost_between_tasks(self, tmp_path: Path) -> None:
        tasks, each = 8, 10

        async def increment(store: Store) -> None:
            for _ in range(each):
                while True:
                    entry = await store.get("count")
                    number = int(entry.value) if entry else 0
                    condition = Unchanged("count", entry.modified if entry else 0)
                    try:
                        await store.commit(Transaction((Put("count", b"%d" % (number + 1)),), (condition,)))
                    except ConflictError:
                        continue
                    break

        async def body(store: Store) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(tasks):
                    group.create_task(increment(store))
            entry = await store.get("count")
            assert entry
            assert int(entry.value) == tasks * each

        self.run(tmp_path, body)

    def test_closing_ends_all(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            revision = await store.commit(put("a"))
            async with store.watch("", revision) as batches:
                waiting = asyncio.create_task(anext(batches))
                await asyncio.sleep(0)
                await store.close()
                with pytest.raises(ClosedError):
                    await soon(waiting)
            for refused in (
                store.get("a"),
                store.snapshot(""),
                store.count(""),
                store.page("", "a", 1),
                store.commit(put("b")),
                store.compact(1),
            ):
                with pytest.raises(ClosedError):
                    await refused
            await store.close()

        self.run(tmp_path, body)

    def test_a_cancelled_commit_is_done_whole_or_not_at_all(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for number in range(40):
                both = Transaction((Put(f"a/{number}", b""), Put(f"b/{number}", b"")))
                task = asyncio.create_task(store.commit(both))
                for _ in range(number % 5):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            kept = [
                {entry.key[2:] for entry in (await store.snapshot(name)).entries} for name in ("a/", "b/")
            ]
            assert kept[0] == kept[1]

        self.run(tmp_path, body)

    def test_what_is_no_key(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for key in NO_KEYS:
                with pytest.raises(InvalidKeyError):
                    await store.get(key)  # type: ignore[arg-type]
                for make in (Put, Delete, Unchanged):
                    wrong = make(key) if make is Delete else make(key, b"" if make is Put else 0)  # type: ignore
                    with pytest.raises(InvalidKeyError):
                        Transaction((), (wrong,)) if make is Unchanged else Transaction((wrong,))  # type: ignore
            for prefix in NO_PREFIXES:
                with pytest.raises(InvalidKeyError):
                    await store.snapshot(prefix)  # type: ignore[arg-type]
                with pytest.raises(InvalidKeyError):
                    async with store.watch(prefix, 0):  # type: ignore[arg-type]
                        pass

        self.run(tmp_path, body)

    def test_the_largest_transaction(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            many = Transaction(
                tuple(Put(f"k/{number}", b"x" * 1_000) for number in range(MOST_OPERATIONS)),
                tuple(Unchanged(f"k/{number}", 0) for number in range(MOST_OPERATIONS)),
            )
            await store.commit(many)
            await store.commit(put("k/large", b"x" * MOST_VALUE_BYTES))
            assert len((await store.snapshot("k/")).entries) == MOST_OPERATIONS + 1

        self.run(tmp_path, body)

    @settings(max_examples=25)
    @given(st.data())
    def test_it_is_as_a_dictionary(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """Any row of transactions: the entries, their revisions, and what a watch tells of them."""
        keys = st.sampled_from(["a", "b", "d/a", "d/b"])
        operation = st.builds(Put, keys, st.binary(max_size=3)) | st.builds(Delete, keys)
        rows = st.lists(st.lists(operation, max_size=3, unique_by=lambda one: one.key), max_size=12)
        prefix = data.draw(st.sampled_from(["", "d/"]))
        committed = data.draw(rows)

        async def body(store: Store) -> None:
            model: dict[str, Entry] = {}
            expected: list[Batch] = []
            revision = (await store.snapshot("")).revision
            start = revision
            for operations in committed:
                changed = _changed(model, operations)
                told = await store.commit(Transaction(tuple(operations)))
                # A store may number as it likes, if it only grows.
                assert (told > revision) is bool(changed)
                _apply(model, changed, told)
                revision = told
                inside = tuple(change for change in changed if change.key.startswith(prefix))
                expected += [Batch(told, inside)] * bool(inside)
                assert (await store.snapshot("")).entries == tuple(model[key] for key in sorted(model))
                assert await store.count(prefix) == sum(key.startswith(prefix) for key in model)
            async with store.watch(prefix, start) as batches:
                found = await changes(batches, expected[-1].revision) if expected else []
            assert found == expected

        self.run(tmp_path_factory.mktemp("store"), body)


def _changed(model: dict[str, Entry], operations: list[Operation]) -> tuple[Change, ...]:
    """What operations change of a model, by key."""
    found = [
        Change(one.key, one.value if isinstance(one, Put) else None)
        for one in operations
        if isinstance(one, Put) or one.key in model
    ]
    return tuple(sorted(found, key=lambda change: change.key))


def _apply(model: dict[str, Entry], changed: tuple[Change, ...], revision: int) -> None:
    for change in changed:
        before = model.pop(change.key, None)
        if change.value is not None:
            created = before.created if before else revision
            model[change.key] = Entry(change.key, change.value, created, revision)
