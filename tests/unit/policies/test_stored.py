"""Policies in a store: numbered, kept with their text, and only one in force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.errors import InvalidError, NotFoundError, RefusedError
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.policies import StoredPolicies
from wardgate.gateway.records import ADDRESSES, AUDIT, POLICY_PARTS, Applied, Holder
from wardgate.gateway.store import SqliteStore, Transaction, UnavailableError

TUNNEL = [ip_network("10.9.0.0/16"), ip_network("fd09::/64")]


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
        first = await stored.add("uid:0 (root)", bundle("one"), 0, TUNNEL)
        second = await stored.add("uid:0 (root)", bundle("two"), 1, TUNNEL)
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
            await stored.add("gateway", bundle(str(number)), number, TUNNEL)
        await stored.point("gateway", 1, 2, TUNNEL)
        assert await stored.applied() == Applied(1, 2)
        # The next one has a number of its own.
        assert (await stored.add("gateway", bundle("new"), 1, TUNNEL)).number == 3
        assert await stored.applied() == Applied(3, 1)

    with_policies(tmp_path, work)


def test_who_was_overtaken_is_refused(tmp_path: Path) -> None:
    async def work(stored: StoredPolicies, _: Ledger) -> None:
        await stored.add("gateway", bundle("one"), 0, TUNNEL)
        with pytest.raises(RefusedError, match="policy 1 is in force, not 0"):
            await stored.add("gateway", bundle("two"), 0, TUNNEL)
        with pytest.raises(RefusedError, match="not 7"):
            await stored.point("gateway", 1, 7, TUNNEL)
        with pytest.raises(NotFoundError):
            await stored.point("gateway", 5, 1, TUNNEL)
        with pytest.raises(NotFoundError):
            await stored.get(2)
        assert await stored.applied() == Applied(1, 0)

    with_policies(tmp_path, work)


def test_policies_of_long_ago_are_forgotten_but_never_one_that_is_needed(tmp_path: Path) -> None:
    async def work(stored: StoredPolicies, ledger: Ledger) -> None:
        await stored.add("gateway", bundle("first"), 0, TUNNEL)
        for number in range(1, 60):
            await stored.add("gateway", bundle(str(number)), number, TUNNEL)
        known = [policy.number for policy in await stored.history()]
        assert known == list(range(11, 61))
        assert len(await ledger.records(POLICY_PARTS)) == 50
        await stored.point("gateway", 11, 60, TUNNEL)
        await stored.add("gateway", bundle("again"), 11, TUNNEL)
        assert 11 in [policy.number for policy in await stored.history()]

    with_policies(tmp_path, work)


def test_a_tunnel_without_the_address_of_a_device_is_refused(tmp_path: Path) -> None:
    """The gate takes no device outside of it, and then no change of any other either."""

    async def work(stored: StoredPolicies, ledger: Ledger) -> None:
        async def take(change: Change) -> None:
            for address in ("10.9.200.7", "fd09::7"):
                change.put(ADDRESSES, Holder("d1"), address)

        await stored.add("gateway", bundle("wide"), 0, TUNNEL)
        await ledger.run("gateway", take)
        assert sorted(await stored.addresses()) == ["10.9.200.7", "fd09::7"]
        await stored.add("gateway", bundle("wider"), 1, [ip_network("10.0.0.0/8"), TUNNEL[1]])
        revision = (await ledger.store.snapshot("")).revision
        for prefixes, left_out in (
            (["10.9.0.0/17", "fd09::/64"], "10.9.200.7"),
            (["10.9.0.0/16"], "fd09::7"),
            # The same numbers in the other version of IP.
            (["::10.9.0.0/112", "fd09::/64"], "10.9.200.7"),
            ([], "has"),
        ):
            tunnel = [ip_network(prefix) for prefix in prefixes]
            with pytest.raises(InvalidError, match=f"{left_out}.* outside of the policy's tunnel"):
                await stored.add("gateway", bundle("narrow"), 2, tunnel)
            with pytest.raises(InvalidError, match=left_out):
                await stored.point("gateway", 1, 2, tunnel)
        assert (await ledger.store.snapshot("")).revision == revision

    with_policies(tmp_path, work)


def test_a_policy_that_is_stored_is_so_though_old_ones_cannot_be_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(stored: StoredPolicies, ledger: Ledger) -> None:
        for number in range(50):
            await stored.add("gateway", bundle(str(number)), number, TUNNEL)
        commit, commits = ledger.store.commit, 0

        async def once(transaction: Transaction) -> int:
            nonlocal commits
            commits += 1
            if commits > 1:
                raise UnavailableError("the disk is full")
            return await commit(transaction)

        ledger.store.commit = once  # type: ignore[method-assign]
        assert (await stored.add("gateway", bundle("new"), 50, TUNNEL)).number == 51
        assert (commits, await stored.applied()) == (2, Applied(51, 50))
        assert "the disk is full" in caplog.text
        # They go with the next one.
        ledger.store.commit = commit  # type: ignore[method-assign]
        await stored.add("gateway", bundle("next"), 51, TUNNEL)
        assert [policy.number for policy in await stored.history()] == list(range(3, 53))

    with_policies(tmp_path, work)
