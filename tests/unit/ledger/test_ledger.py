"""Changes are done whole with their audit lines, and the chain tells of every tampering."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.errors import BusyError, CorruptError
from wardgate.gateway.ledger import Change, Ledger, verify
from wardgate.gateway.ledger.chain import NOTHING, linked
from wardgate.gateway.records import (
    AUDIT,
    AUDIT_HEAD,
    CREDENTIALS,
    LOCKOUTS,
    USERS,
    AuditEntry,
    AuditHead,
    Lockout,
    User,
)
from wardgate.gateway.store import Delete, Put, SqliteStore, Transaction

T = TypeVar("T")
ALICE = User("alice", ("group:admins",), False, 1)


def with_ledger(folder: Path, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """What `work` makes of an empty ledger at second 1000."""

    async def run() -> T:
        async with await SqliteStore.open(folder / "store") as store:
            return await work(Ledger(store, lambda: 1000.9))

    return asyncio.run(run())


async def add_alice(change: Change) -> str:
    assert await change.get(USERS, "alice") is None
    change.put(USERS, ALICE, "alice")
    change.tell("added user", "alice", groups="group:admins")
    return "done"


def test_a_clock_that_is_put_back_breaks_no_chain(tmp_path: Path) -> None:
    async def run() -> None:
        moments = iter([5_000.0, 100.0, 9_000.0])
        async with await SqliteStore.open(tmp_path / "store") as store:
            ledger = Ledger(store, lambda: next(moments))
            for name in ("a", "b", "c"):

                async def work(change: Change, name: str = name) -> None:
                    change.put(USERS, replace(ALICE, name=name), name)
                    change.tell("added user", name)

                await ledger.run("uid:0 (root)", work)
            entries = await ledger.records(AUDIT)
            assert [(entry.target, entry.at) for entry in entries] == [("a", 5_000), ("b", 100), ("c", 9_000)]
            assert verify(entries).broken is None

    asyncio.run(run())


def test_a_change_and_its_audit_line_are_one(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        assert await ledger.run("uid:0 (root)", add_alice) == "done"
        assert await ledger.get(USERS, "alice") == ALICE
        (entry,) = await ledger.records(AUDIT)
        assert (entry.number, entry.at, entry.actor) == (1, 1000, "uid:0 (root)")
        assert (entry.action, entry.target, entry.details) == (
            "added user",
            "alice",
            {"groups": "group:admins"},
        )
        assert entry.previous == NOTHING
        # One revision: whoever watches sees both at once.
        async with ledger.store.watch("", 0) as batches:
            batch = await anext(batches)
        assert {change.key.split("/")[0] for change in batch.changes} == {"users", "audit", "audit-head"}

    with_ledger(tmp_path, work)


def test_what_raises_changes_nothing(tmp_path: Path) -> None:
    async def refuse(change: Change) -> None:
        await add_alice(change)
        raise ValueError("no")

    async def work(ledger: Ledger) -> None:
        with pytest.raises(ValueError, match="no"):
            await ledger.run("gateway", refuse)
        assert (await ledger.store.snapshot("")).entries == ()

    with_ledger(tmp_path, work)


def test_what_was_read_and_changed_meanwhile_is_decided_anew(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        seen = []

        async def count(change: Change) -> int:
            lockout = await change.get(LOCKOUTS, "alice")
            failures = lockout.until if lockout else 0
            seen.append(failures)
            if len(seen) < 3:
                # Another node, past this ledger.
                other = LOCKOUTS.encode(Lockout("alice", 10 * len(seen), ()))
                await ledger.store.commit(Transaction((Put(LOCKOUTS.key("alice"), other),)))
            change.put(LOCKOUTS, Lockout("alice", failures + 1, ()), "alice")
            change.tell("failed login", "alice")
            return failures + 1

        assert await ledger.run("gateway", count) == 21
        assert seen == [0, 10, 20]
        assert len(await ledger.records(AUDIT)) == 1

    with_ledger(tmp_path, work)


def test_a_change_that_is_always_overtaken_ends(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        count = 0

        async def overtaken(change: Change) -> None:
            nonlocal count
            count += 1
            await change.get(LOCKOUTS, "alice")
            other = LOCKOUTS.encode(Lockout("alice", count, ()))
            await ledger.store.commit(Transaction((Put(LOCKOUTS.key("alice"), other),)))
            change.delete(LOCKOUTS, "alice")

        with pytest.raises(BusyError):
            await ledger.run("gateway", overtaken)
        assert await ledger.get(LOCKOUTS, "alice") is not None

    with_ledger(tmp_path, work)


def test_changes_of_one_process_take_turns(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        calls = 0

        async def count(change: Change) -> None:
            nonlocal calls
            calls += 1
            lockout = await change.get(LOCKOUTS, "alice") or Lockout("alice", 0, ())
            await asyncio.sleep(0)
            change.put(LOCKOUTS, replace(lockout, until=lockout.until + 1), "alice")
            change.tell("failed login", "alice")

        await asyncio.gather(*(ledger.run("gateway", count) for _ in range(20)))
        found = await ledger.get(LOCKOUTS, "alice")
        assert found is not None
        assert (found.until, calls) == (20, 20)
        assert verify(await ledger.records(AUDIT)).entries == 20

    with_ledger(tmp_path, work)


def test_a_change_within_a_change_is_refused_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        async def outer(_: Change) -> None:
            await ledger.run("gateway", add_alice)

        with pytest.raises(RuntimeError, match="within a change"):
            await ledger.run("gateway", outer)
        await ledger.run("gateway", add_alice)

    with_ledger(tmp_path, work)


def test_a_change_sees_what_it_wrote(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        async def twice(change: Change) -> None:
            await add_alice(change)
            assert await change.get(USERS, "alice") == ALICE
            change.delete(USERS, "alice")
            assert await change.get(USERS, "alice") is None

        await ledger.run("gateway", twice)
        assert await ledger.records(USERS) == []

    with_ledger(tmp_path, work)


def test_names_are_read_without_records(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        for user, method in (("alice", "totp"), ("alice", "a/b"), ("bob", "totp")):
            key = CREDENTIALS.key(user, method)
            await ledger.store.commit(Transaction((Put(key, b"no record"),)))

        async def read(change: Change) -> list[list[tuple[str, ...]]]:
            return [await change.names(CREDENTIALS), await change.names(CREDENTIALS, "alice")]

        every, of_alice = await ledger.run("gateway", read)
        assert sorted(of_alice) == [("alice", "a/b"), ("alice", "totp")]
        assert sorted(every) == [*sorted(of_alice), ("bob", "totp")]

    with_ledger(tmp_path, work)


def test_a_damaged_record_is_named_and_not_shown(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.store.commit(Transaction((Put(USERS.key("alice"), b'{"name": "s3cret"}'),)))
        with pytest.raises(CorruptError, match="users/alice") as caught:
            await ledger.get(USERS, "alice")
        assert "s3cret" not in str(caught.value)

    with_ledger(tmp_path, work)


@pytest.mark.parametrize("head", [None, AuditHead(1, NOTHING)])
def test_no_entry_of_the_audit_log_is_ever_written_over(tmp_path: Path, head: AuditHead | None) -> None:
    async def work(ledger: Ledger) -> None:
        async def tell(change: Change) -> None:
            change.put(USERS, ALICE, "alice")
            change.tell("added user", f"alice{len(before)}")

        before: list[AuditEntry] = []
        for _ in range(3):
            await ledger.run("gateway", tell)
            before = await ledger.records(AUDIT)
        key = AUDIT_HEAD.key("head")
        # As whoever may write the store would, to have what was done forgotten.
        operation = Delete(key) if head is None else Put(key, AUDIT_HEAD.encode(head))
        revision = await ledger.store.commit(Transaction((operation,)))
        with pytest.raises(CorruptError, match="behind what the log's head names"):
            await ledger.run("gateway", tell)
        assert await ledger.records(AUDIT) == before
        assert (await ledger.store.snapshot("")).revision == revision

    with_ledger(tmp_path, work)


def test_who_writes_the_log_meanwhile_is_no_sign_of_damage(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        other, calls = Ledger(ledger.store), 0

        async def tell(change: Change) -> None:
            change.tell("added user", "bob")

        async def overtaken(change: Change) -> None:
            nonlocal calls
            calls += 1
            await change.get(AUDIT_HEAD, "head")
            if calls < 4:
                await asyncio.create_task(other.run("other", tell), context=contextvars.Context())
            change.tell("added user", "alice")

        await ledger.run("gateway", overtaken)
        found = await ledger.records(AUDIT)
        assert [entry.target for entry in found] == ["bob"] * 3 + ["alice"]
        assert (verify(found).broken, calls) == (None, 4)

    with_ledger(tmp_path, work)


texts = st.text(st.characters(codec="utf-8"), max_size=8)
lines = st.builds(
    lambda action, target, details: AuditEntry(0, 7, "gateway", action, target, details, "", ""),
    texts,
    texts,
    st.dictionaries(texts, texts, max_size=2),
)


def chained(told: list[AuditEntry]) -> list[AuditEntry]:
    """A good chain of these lines."""
    found: list[AuditEntry] = []
    for line in told:
        found.append(linked(line, len(found) + 1, found[-1].hash if found else NOTHING))
    return found


@given(st.lists(lines, min_size=1, max_size=6), st.data())
def test_the_chain_tells_of_any_change_but_at_its_end(told: list[AuditEntry], data: st.DataObject) -> None:
    chain = chained(told)
    assert verify(chain).broken is None
    assert verify(chain).hash == chain[-1].hash
    place = data.draw(st.integers(0, len(chain) - 1))
    altered = list(chain)
    altered[place] = replace(altered[place], actor="nobody")
    assert verify(altered).broken == place + 1
    relinked = list(chain)
    relinked[place] = linked(replace(chain[place], actor="nobody"), place + 1, chain[place].previous)
    found = verify(relinked)
    assert found.broken == place + 2 if place + 1 < len(chain) else found.hash != chain[-1].hash
    if place + 1 < len(chain):
        assert verify(chain[:place] + chain[place + 1 :]).broken == place + 2


def test_a_chain_that_was_linked_anew_without_its_beginning_is_told() -> None:
    told = AuditEntry(0, 7, "gateway", "added user", "alice", {}, "", "")
    first = linked(told, 3, NOTHING)
    found = verify([first, linked(told, 4, first.hash)])
    assert (found.entries, found.broken, found.cause) == (0, 3, "entry 1 is missing")
    kept = linked(told, 1, NOTHING)
    assert verify([kept, linked(told, 3, kept.hash)]).cause == "entry 2 is missing"
