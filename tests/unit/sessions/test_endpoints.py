"""Dumps are shared by all who ask at about the same time, and none is older than the question."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping

import pytest
from wardgate.gateway.sessions.endpoints import Endpoints
from wardgate.gateway.wireguard import Endpoint

HERE, THERE = Endpoint.parse("192.0.2.1:1"), Endpoint.parse("192.0.2.2:2")


class Peers:
    """A device whose dumps end when the test says so."""

    def __init__(self) -> None:
        self.now: Mapping[str, Endpoint | None] = {"key": HERE}
        self.dumps = 0
        self.may_end = asyncio.Event()

    async def dump(self) -> Mapping[str, Endpoint | None]:
        self.dumps += 1
        found = self.now
        await self.may_end.wait()
        return found


def test_many_questions_are_one_dump() -> None:
    async def run() -> None:
        peers = Peers()
        endpoints = Endpoints(peers.dump, 0.0)
        peers.may_end.set()
        answers = await asyncio.gather(*(endpoints.of("key") for _ in range(100)), endpoints.of("other"))
        assert answers == [HERE] * 100 + [None]
        assert peers.dumps == 1

    asyncio.run(run())


def test_a_question_that_comes_during_a_dump_waits_for_the_next() -> None:
    async def run() -> None:
        peers = Peers()
        endpoints = Endpoints(peers.dump, 0.0)
        first = asyncio.ensure_future(endpoints.of("key"))
        while not peers.dumps:
            await asyncio.sleep(0)
        peers.now = {"key": THERE}
        later = [asyncio.ensure_future(endpoints.of("key")) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert peers.dumps == 1
        peers.may_end.set()
        assert await first == HERE
        assert await asyncio.gather(*later) == [THERE] * 3
        assert peers.dumps == 2

    asyncio.run(run())


def test_a_dump_that_fails_fails_for_those_who_asked_and_for_nobody_later() -> None:
    async def run() -> None:
        failing = True

        async def dump() -> Mapping[str, Endpoint | None]:
            if failing:
                raise OSError("gone")
            return {"key": HERE}

        endpoints = Endpoints(dump, 0.0)
        results = await asyncio.gather(endpoints.of("key"), endpoints.of("key"), return_exceptions=True)
        assert [type(one) for one in results] == [OSError, OSError]
        failing = False
        assert await endpoints.of("key") == HERE

    asyncio.run(run())


@pytest.mark.parametrize("asked", [1, 2])
def test_who_gives_up_does_not_take_the_dump_from_others(asked: int) -> None:
    async def run() -> None:
        peers = Peers()
        endpoints = Endpoints(peers.dump, 0.0)
        given_up = [asyncio.ensure_future(endpoints.of("key")) for _ in range(asked)]
        other = asyncio.ensure_future(endpoints.of("key"))
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        peers.may_end.set()
        assert await other == HERE

    asyncio.run(run())


def test_a_dump_is_followed_by_a_pause_of_its_own_length() -> None:
    async def run() -> None:
        moments: list[tuple[float, float]] = []

        async def dump() -> Mapping[str, Endpoint | None]:
            began = time.monotonic()
            await asyncio.sleep(0.05)
            moments.append((began, time.monotonic()))
            return {}

        endpoints = Endpoints(dump, 0.0)
        for _ in range(4):
            await endpoints.of("key")
        for (began, ended), (following, _) in itertools.pairwise(moments):
            assert following - ended >= 0.9 * (ended - began)

    asyncio.run(run())
