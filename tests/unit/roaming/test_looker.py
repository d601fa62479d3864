"""Looks compare each dump with the one before, and a look that fails is made again."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.gateway.roaming.anchors import plain
from wardgate.gateway.roaming.looker import Looker
from wardgate.gateway.roaming.model import OnRoam, Watched
from wardgate.gateway.roaming.pace import Bounds, Pace

ALICE, HOME, AWAY = bytes([1]) * 32, (ip_address("192.0.2.1"), 1), (ip_address("192.0.2.2"), 2)
PLACES = [HOME, AWAY, (ip_address("::ffff:192.0.2.1"), 1), (ip_address("fe80::1%7"), 3), None]
DUMPS = st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from(PLACES))


def looker_for(dump) -> Looker:
    return Looker("test", dump, OnRoam.CHALLENGE, Pace(Bounds(rate=1e9, burst=1e9, longest=1e9)))


@settings(max_examples=60)
@given(st.lists(DUMPS, max_size=6))
def test_what_changed_is_what_differs_from_the_dump_before(dumps):
    async def look() -> None:
        told: list = []
        looker = looker_for(lambda: told[-1])
        before: dict = {}
        for dump in dumps:
            told.append(dump)
            await looker.look()
            now = {key: plain(at) for key, at in dump.items()}
            assert looker.endpoints == now
            gone = {key: at for key, at in before.items() if key not in now}
            moved = {key: before.get(key) for key, at in now.items() if before.get(key) != at}
            assert looker.changed == {**moved, **gone}
            before = now

    asyncio.run(look())


def test_however_often_it_fails_it_is_asked_again():
    async def look() -> None:
        def fail():
            raise OSError("nobody there")

        looker = looker_for(fail)
        for _ in range(1_200):
            assert await looker.look() == []
        assert looker.status().failures == 1_200
        assert looker.pace.next(0.0) is not None

    asyncio.run(look())


STEPS = ("asked", "moves", "watched", "begins", "ends")
ORDERS = [
    order
    for order in itertools.permutations(STEPS)
    if order.index("asked") < order.index("watched") and order.index("begins") < order.index("ends")
]
"""A login asks WireGuard, and then its session is watched; its peer moves; a look begins and ends."""


class HeldDump:
    """A dump that says where the peer is when it begins, and is under way until it may end."""

    def __init__(self) -> None:
        self.at = HOME
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self):
        found = {ALICE: self.at}
        self.begun.set()
        self.may_end.wait()
        return found


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("order", ORDERS, ids=",".join)
def test_a_session_for_a_place_that_its_peer_has_left_is_found(order, answers):
    """`answers`: the look finds as many changes as the watch on the wire asked about."""

    async def run() -> None:
        dump = HeldDump()
        looker = looker_for(dump)
        await looker.look()
        roamed = []
        for step in order:
            if step == "asked":
                granted_for = dump.at
            elif step == "moves":
                dump.at = AWAY
                looker.pace.urgent(time.monotonic())
            elif step == "watched":
                looker.watch(ALICE, Watched(1, granted_for))
            elif step == "begins":
                dump.begun.clear()
                dump.may_end.clear()
                look = asyncio.create_task(looker.look())
                await asyncio.to_thread(dump.begun.wait)
            else:
                dump.may_end.set()
                roamed += await look
                if answers and looker.changed:
                    looker.pace.answered()
        for _ in range(3):
            if looker.pace.next(0.0) is not None:
                roamed += await looker.look()
        assert [one.new for one in roamed] == ([] if granted_for == AWAY else [AWAY])

    asyncio.run(run())
