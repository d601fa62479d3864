"""A policy that the gate took and the store did not is not left in force, even if undoing it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, cast

import pytest
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.policies import Portal
from wardgate.gateway.enforcement import PolicyKeeper, Problems, Source, Worker
from wardgate.gateway.policies import Policies
from wardgate.gateway.store import UnavailableError
from wardgate.runtime.errors import WardgateError


def bundle(rule: str) -> Bundle:
    text = f'version: 1\ntunnel: [10.9.0.0/16]\npolicies: {{"*": {{allow: ["{rule}"]}}}}\n'
    return Bundle("a.yaml", {"a.yaml": text})


OLD, NEW = bundle("10.0.0.5 443/tcp"), bundle("10.0.0.0/8")


class FailingGate:
    """Counts what it is given; `fail` says which of the calls do."""

    def __init__(self, *fail: bool) -> None:
        self.given = 0
        self._fail: Iterator[bool] = iter(fail)

    def swap(self, _artefact: bytes) -> None:
        if next(self._fail, False):
            raise WardgateError("swap", "gate", "it is busy")
        self.given += 1


class FullStore:
    """Has policy 1, and takes no other."""

    async def addresses(self) -> list[str]:
        return []

    async def add(self, *_: object) -> None:
        raise UnavailableError("the disk is full")


@pytest.mark.parametrize("undoing_fails", [False, True])
def test_what_is_not_stored_is_not_in_force(undoing_fails: bool) -> None:
    async def run() -> None:
        async def load() -> Source:
            return Source(1, OLD)

        worker, gate = Worker("compiler"), FailingGate(False, undoing_fails)
        keeper = PolicyKeeper(
            Portal((ip_address("10.9.0.1"),), 80), lambda _: (), dict, load, worker, Problems(lambda _: None)
        )
        await keeper.first(lambda _: cast(Any, gate))
        running = asyncio.create_task(keeper.run())
        policies = Policies(cast(Any, FullStore()), keeper, worker)
        plan = await policies.plan(NEW)
        with pytest.raises((UnavailableError, WardgateError)):
            await policies.apply("uid:0 (root)", NEW, plan.digest)
        old = await keeper.composed_of(OLD)
        for _ in range(3_000):
            if keeper.composed.policy == old.policy:
                break
            await asyncio.sleep(0.01)
        assert keeper.composed.policy == old.policy
        assert (gate.given, keeper.number) == (2, 1)
        running.cancel()
        worker.close()

    asyncio.run(run())
