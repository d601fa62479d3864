"""What is applied is what was looked at, one at a time, and what others are told is what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.plans import PolicyRefusedError, StalePlanError
from wardgate.gateway.compiling.policies import Composed, Enforceable, Portal
from wardgate.gateway.enforcement import PolicyKeeper, Problems, Source, Worker
from wardgate.gateway.errors import InvalidError, NotFoundError
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.policies import Policies, StoredPolicies
from wardgate.gateway.records import ADDRESSES, AUDIT, Applied, Holder
from wardgate.gateway.store import SqliteStore

ROOT = "uid:0 (root)"


def bundle(rule: str, tunnel: str = "10.9.0.0/16") -> Bundle:
    text = f'version: 1\ntunnel: [{tunnel}]\npolicies: {{"*": {{allow: ["{rule}"]}}}}\n'
    return Bundle("a.yaml", {"a.yaml": text})


FIRST = bundle("10.0.0.1")


class Made:
    """A gateway's policies with a gate that remembers what it was given. What is compiled is the policy
    itself: what a compiler makes of it is not what is looked at here."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.worker = Worker("compiler")
        self.stored = StoredPolicies(ledger)
        self.keeper = PolicyKeeper(
            Portal((ip_address("10.9.0.1"),), 80),
            lambda _: (),
            dict,
            self.load,
            self.worker,
            Problems(),
        )
        self.keeper._compiler = cast(Any, self)
        self.policies = Policies(self.stored, self.keeper, self.worker)
        self.announced: list[int] = []
        self.given: list[object] = []
        self.keeper.announced = self.announced.append

    async def load(self) -> Source:
        applied = await self.stored.applied()
        return Source(applied.number, (await self.stored.get(applied.number))[1])

    def compile(self, composed: Composed) -> Enforceable:
        return Enforceable(cast(Any, None), cast(Any, composed.policy))

    def forget(self) -> None:
        raise AssertionError("the gate takes all")

    def swap(self, policy: object) -> None:
        self.given.append(policy)

    async def plan_and_apply(self, wanted: Bundle) -> int:
        plan = await self.policies.plan(wanted)
        return (await self.policies.apply(ROOT, wanted, plan.digest)).number


def with_policies(folder: Path, work: Callable[[Made], Awaitable[None]]) -> None:
    async def run() -> None:
        async with await SqliteStore.open(folder / "store") as store:
            made = Made(Ledger(store))
            try:
                await made.policies.first("gateway", FIRST)
                await made.keeper.first(lambda _: cast(Any, made))
                await work(made)
            finally:
                made.worker.close()

    asyncio.run(run())


def test_what_is_applied_is_in_force_stored_and_announced_by_its_own_number(tmp_path: Path) -> None:
    async def work(made: Made) -> None:
        assert await made.plan_and_apply(bundle("10.0.0.2")) == 2
        assert await made.plan_and_apply(bundle("10.0.0.3")) == 3
        assert (await made.policies.rollback(ROOT, 3)).number == 2
        assert (made.announced, made.keeper.number) == ([2, 3, 2], 2)
        assert await made.stored.applied() == Applied(2, 3)
        in_force = await made.policies.show()
        assert (in_force.policy.number, in_force.current) == (2, True)
        assert [policy is made.keeper.composed.policy for policy in made.given] == [False, False, True]
        told = [(entry.actor, entry.action, entry.target) for entry in await made.ledger.records(AUDIT)]
        assert told == [
            ("gateway", "applied policy", "1"), (ROOT, "applied policy", "2"), (ROOT, "applied policy", "3"),
            (ROOT, "rolled back policy", "2"),
        ]  # fmt: skip

    with_policies(tmp_path, work)


def test_of_two_who_apply_at_once_one_is_told_that_it_looked_at_another_policy(tmp_path: Path) -> None:
    async def work(made: Made) -> None:
        wanted = [bundle(f"10.0.0.{number}") for number in (2, 3, 4)]
        plans = [await made.policies.plan(one) for one in wanted]
        found = await asyncio.gather(
            *(made.policies.apply(ROOT, one, plan.digest) for one, plan in zip(wanted, plans, strict=True)),
            return_exceptions=True,
        )
        assert [type(one) for one in found[1:]] == [StalePlanError, StalePlanError]
        assert (len(made.given), made.announced, await made.stored.applied()) == (1, [2], Applied(2, 1))

    with_policies(tmp_path, work)


def test_what_was_not_looked_at_changes_nothing(tmp_path: Path) -> None:
    async def work(made: Made) -> None:
        plan = await made.policies.plan(bundle("10.0.0.2"))
        with pytest.raises(StalePlanError):
            await made.policies.apply(ROOT, bundle("10.0.0.3"), plan.digest)
        with pytest.raises(StalePlanError):
            await made.policies.rollback(ROOT, 7)
        with pytest.raises(NotFoundError, match="none before"):
            await made.policies.rollback(ROOT, 1)
        assert (made.given, made.announced, await made.stored.applied()) == ([], [], Applied(1, 0))

    with_policies(tmp_path, work)


def test_a_policy_without_room_for_a_device_is_refused_before_the_gate_has_it(tmp_path: Path) -> None:
    async def work(made: Made) -> None:
        async def take(change: Change) -> None:
            change.put(ADDRESSES, Holder("d1"), "10.9.200.7")

        assert await made.plan_and_apply(bundle("10.0.0.2", "10.9.0.0/17")) == 2
        assert await made.plan_and_apply(bundle("10.0.0.3")) == 3
        await made.ledger.run("gateway", take)
        given = len(made.given)
        narrow = bundle("10.0.0.4", "10.9.0.0/17")
        plan = await made.policies.plan(narrow)
        assert not plan.ok
        assert "10.9.200.7, which is outside of the policy's tunnel (10.9.0.0/17)" in plan.diagnostics_text
        with pytest.raises(PolicyRefusedError):
            await made.policies.apply(ROOT, narrow, plan.digest)
        with pytest.raises(InvalidError, match=r"10\.9\.200\.7"):
            await made.policies.rollback(ROOT, 3)
        assert (len(made.given), made.announced) == (given, [2, 3])

    with_policies(tmp_path, work)


def test_a_device_that_comes_between_the_plan_and_the_store_undoes_it(tmp_path: Path) -> None:
    async def work(made: Made) -> None:
        async def take(change: Change) -> None:
            change.put(ADDRESSES, Holder("d1"), "10.9.200.7")

        narrow = bundle("10.0.0.2", "10.9.0.0/17")
        plan = await made.policies.plan(narrow)
        swap = made.swap
        loop = asyncio.get_running_loop()

        def late(policy: object) -> None:
            made.swap = swap  # type: ignore[method-assign]
            asyncio.run_coroutine_threadsafe(made.ledger.run("gateway", take), loop).result()
            swap(policy)

        made.swap = late  # type: ignore[method-assign]
        before = made.keeper.composed.policy
        with pytest.raises(InvalidError, match=r"10\.9\.200\.7"):
            await made.policies.apply(ROOT, narrow, plan.digest)
        assert made.keeper.composed.policy == before
        assert (made.given[-1], made.announced, await made.stored.applied()) == (before, [], Applied(1, 0))

    with_policies(tmp_path, work)


def test_members_that_change_are_announced_only_where_the_policy_is_another(tmp_path: Path) -> None:
    async def work(made: Made) -> None:
        for _ in range(2):
            made.keeper.changed(1, inputs=True)
            await made.keeper._catch_up()
        assert (made.given, made.announced) == ([], [])

    with_policies(tmp_path, work)
