"""Turns: one at a time for each, and nobody else while all are looked at."""

from __future__ import annotations

import asyncio

from wardgate.gateway.sessions.turns import Turns


def test_one_after_the_other_for_each_and_nobody_beside_all() -> None:
    async def run() -> list[str]:
        turns, told = Turns(), list[str]()

        async def one(name: str, label: str) -> None:
            async with turns.of(name):
                told.append(f"+{label}")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                told.append(f"-{label}")

        async def everything() -> None:
            async with turns.of_all():
                told.append("+all")
                assert not turns.is_taken("a")
                await asyncio.sleep(0)
                told.append("-all")

        async with asyncio.TaskGroup() as group:
            group.create_task(one("a", "1"))
            group.create_task(one("a", "2"))
            group.create_task(one("b", "3"))
            await asyncio.sleep(0)
            assert turns.is_taken("a")
            group.create_task(everything())
            await asyncio.sleep(0)
            group.create_task(one("b", "4"))
        assert not turns.is_taken("a")
        return told

    told = asyncio.run(run())
    place = {label: told.index(label) for label in told}
    assert place["-1"] < place["+2"]
    assert place["+3"] < place["-1"]
    assert max(place["-2"], place["-3"]) < place["+all"] < place["-all"] < place["+4"]


def test_a_turn_that_failed_is_over() -> None:
    async def run() -> None:
        turns = Turns()
        try:
            async with turns.of("a"):
                raise ValueError
        except ValueError:
            async with turns.of_all(), asyncio.timeout(60):
                return
        raise AssertionError("what was raised was lost")

    asyncio.run(run())
