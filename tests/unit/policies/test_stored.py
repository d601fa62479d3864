"""Policies in a store: numbered, kept with their text, and only one in force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.errors import NotFoundError, RefusedError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.policies import StoredPolicies
from wardgate.gateway.records import AUDIT, POLICY_PARTS, Applied
from wardgate.gateway.store import SqliteStore


def with_policies(folder: Path, work: Callable[[StoredPolicies, Ledger], Awaitable[None]]) -> None:
    async def run() -> None:
        async with await SqliteStore.open(folder / "store") as store:
            ledger = Ledger(store, lambda: 1000)
            await work(StoredPolicies(ledger), ledger)

    asyncio.run(run())


def bundle(text: str) -> Bundle:
    return Bundle("a.yaml", {"a.yaml": f"version: 1\n# {text}\n"})


def test_policies_are_numbered_and_come_back(tmp_path: Path) -> None:
    async def work(stored: StoredPolicies, ledger: Ledger) -> None:
        assert await stored.applied() == Applied(0, 0)
        first = await stored.add("uid:0 (root)", bundle("one"), 0)
        second = await stored.add("uid:0 (root)", bundle("two"), 1)
        assert (first.number, second.number) == (1, 2)
        assert await stored.applied() == Applied(2, 1)
        assert [policy.number for policy in await stored.history()] == [1, 2]
        assert (await stored.get(1)) == (first, bundle("one"))
        told = [(entry.actor, entry.action, entry.target) for entry in await ledger.records(AUDIT)]
        assert told == [("uid:0 (root)", "applied policy", "1"), ("uid:0 (root)", "applied policy", "2")]

    with_policies(tmp_path, work)


def test_going_back_and_forth(tmp_path: Path) -> None:
    async def work(stored: StoredPolicies, _: Ledger) -> None:
        for number in range(2):
            await stored.add("gateway", bundle(str(number)), number)
        await stored.point("gateway", 1, 2)
        assert await stored.applied() == Applied(1, 2)
        # The next one has a number of its own.
        assert (await stored.add("gateway", bundle("new"), 1)).number == 3
        assert await stored.applied() == Applied(3, 1)

    with_policies(tmp_path, work)


def test_who_was_overtaken_is_refused(tmp_path: Path) -> None:
    async def work(stored: StoredPolicies, _: Ledger) -> None:
        await stored.add("gateway", bundle("one"), 0)
        with pytest.raises(RefusedError, match="policy 1 is in force, not 0"):
            await stored.add("gateway", bundle("two"), 0)
        with pytest.raises(RefusedError, match="not 7"):
            await stored.point("gateway", 1, 7)
        with pytest.raises(NotFoundError):
            await stored.point("gateway", 5, 1)
        with pytest.raises(NotFoundError):
            await stored.get(2)
        assert await stored.applied() == Applied(1, 0)

    with_policies(tmp_path, work)


def test_policies_of_long_ago_are_forgotten_but_never_one_that_is_needed(tmp_path: Path) -> None:
    async def work(stored: StoredPolicies, ledger: Ledger) -> None:
        await stored.add("gateway", bundle("first"), 0)
        for number in range(1, 60):
            await stored.add("gateway", bundle(str(number)), number)
        known = [policy.number for policy in await stored.history()]
        assert known == list(range(11, 61))
        assert len(await ledger.records(POLICY_PARTS)) == 50
        await stored.point("gateway", 11, 60)
        await stored.add("gateway", bundle("again"), 11)
        assert 11 in [policy.number for policy in await stored.history()]

    with_policies(tmp_path, work)
