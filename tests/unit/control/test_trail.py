"""The audit log as it is read: in pages, whole, and with what was done to it behind the gateway's back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from wardgate.gateway.control import trail
from wardgate.gateway.control.trail import Trail
from wardgate.gateway.errors import CorruptError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.ledger.chain import linked
from wardgate.gateway.records import AUDIT, AUDIT_HEAD, AuditHead
from wardgate.gateway.store import Delete, Put, SqliteStore, Transaction


def with_trail(folder, work, entries=7):
    """What `work` makes of a ledger with so many entries."""

    async def main():
        async with await SqliteStore.open(folder / "store") as store:
            ledger = Ledger(store)

            async def tell(change):
                change.tell("added user", f"user{change.at}")

            for _ in range(entries):
                await ledger.run("gateway", tell)
            return await work(Trail(ledger), ledger)

    return asyncio.run(main())


def key(number):
    """Where an entry is stored."""
    return AUDIT.key(f"{number:016}")


@pytest.mark.parametrize(
    ("after", "limit", "numbers"),
    [
        (0, 100, [1, 2, 3, 4, 5, 6, 7]), (0, 2, [1, 2]), (5, 100, [6, 7]), (7, 5, []), (90, 5, []),
        (2, 3, [3, 4, 5]),
    ],
)  # fmt: skip
def test_pages(tmp_path, after, limit, numbers):
    async def work(audit, _):
        assert [entry.number for entry in await audit.entries(after, limit)] == numbers

    with_trail(tmp_path, work)


def test_nothing_yet(tmp_path):
    async def work(audit, _):
        assert await audit.entries(0, 10) == []
        assert await audit.head() == AuditHead(0, "0" * 64)
        found = await audit.verify()
        assert (found.entries, found.broken) == (0, None)

    with_trail(tmp_path, work, entries=0)


@pytest.mark.parametrize("at_once", [1, 3, 7, 1_000])
def test_the_chain_is_followed_through_all_steps(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(trail, "_AT_ONCE", at_once)

    async def work(audit, _):
        found = await audit.verify()
        assert (found.entries, found.broken) == (7, None)
        assert found.hash == (await audit.head()).hash

    with_trail(tmp_path, work)


@pytest.mark.parametrize("at_once", [2, 1_000])
@pytest.mark.parametrize("number", [1, 3, 7])
@pytest.mark.parametrize("how", ["altered", "removed"])
def test_tampering_is_found_at_its_place(tmp_path, monkeypatch, at_once, number, how):
    monkeypatch.setattr(trail, "_AT_ONCE", at_once)

    async def work(audit, ledger):
        (entry,) = await audit.entries(number - 1, 1)
        forged = AUDIT.encode(replace(entry, actor="nobody"))
        operation = Delete(key(number)) if how == "removed" else Put(key(number), forged)
        await ledger.store.commit(Transaction((operation,)))
        found = await audit.verify()
        # The entry behind a missing one is the first that does not fit; behind the last there is none.
        assert found.broken in (number, number + 1)
        assert found.entries == number - 1
        assert found.cause

    with_trail(tmp_path, work)


def test_a_log_cut_at_its_end_is_told_by_its_head(tmp_path):
    async def work(audit, ledger):
        await ledger.store.commit(Transaction((Delete(key(7)), Delete(key(6)))))
        found = await audit.verify()
        assert (found.entries, found.broken) == (5, 6)
        # A head that fits what is left hides it; the hash that was exported does not.
        kept = await ledger.get(AUDIT, f"{5:016}")
        head = AUDIT_HEAD.encode(AuditHead(5, kept.hash))
        await ledger.store.commit(Transaction((Put(AUDIT_HEAD.key("head"), head),)))
        assert (await audit.verify()).broken is None

    with_trail(tmp_path, work)


def test_entries_behind_the_head_are_told(tmp_path):
    async def work(audit, ledger):
        kept = await ledger.get(AUDIT, f"{5:016}")
        head = AUDIT_HEAD.encode(AuditHead(5, kept.hash))
        await ledger.store.commit(Transaction((Put(AUDIT_HEAD.key("head"), head),)))
        found = await audit.verify()
        assert (found.entries, found.broken, found.cause) == (
            5,
            6,
            "5 entries were written, and there is one more",
        )

    with_trail(tmp_path, work)


def test_what_is_written_while_it_is_verified_is_no_damage(tmp_path):
    async def work(audit, ledger):
        async def tell(change):
            change.tell("added user", "late")

        get = ledger.store.get

        async def late(key):
            if key == trail.AUDIT.key(f"{8:016}"):
                ledger.store.get = get
                await ledger.run("gateway", tell)
            return await get(key)

        ledger.store.get = late
        found = await audit.verify()
        assert (found.entries, found.broken, found.cause) == (7, None, "")
        assert (await audit.head()).number == 8

    with_trail(tmp_path, work)


@pytest.mark.parametrize("at_once", [2, 1_000])
def test_an_entry_that_cannot_be_read_is_where_the_chain_breaks(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(trail, "_AT_ONCE", at_once)

    async def work(audit, ledger):
        await ledger.store.commit(Transaction((Put(key(4), b"s3cret"),)))
        found = await audit.verify()
        assert (found.entries, found.broken) == (3, 4)
        assert "damaged" in found.cause
        assert "s3cret" not in found.cause
        assert [entry.number for entry in await audit.entries(4, 10)] == [5, 6, 7]
        with pytest.raises(CorruptError, match="audit/"):
            await audit.entries(2, 10)

    with_trail(tmp_path, work)


def test_a_last_entry_that_was_written_anew_is_told_by_the_head(tmp_path):
    async def work(audit, ledger):
        last = (await audit.entries(6, 1))[0]
        forged = linked(replace(last, actor="nobody"), 7, last.previous)
        await ledger.store.commit(Transaction((Put(key(7), AUDIT.encode(forged)),)))
        found = await audit.verify()
        assert (found.entries, found.hash, found.broken) == (7, forged.hash, 7)
        assert "another last entry" in found.cause

    with_trail(tmp_path, work)
