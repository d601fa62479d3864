"""Events reach who listens, in order; who does not listen misses nothing of others' time."""

from __future__ import annotations

import asyncio

from wardgate.gateway.events import Bus, Event, Lost


def test_each_listener_gets_what_it_asked_for_in_order() -> None:
    async def run() -> None:
        bus = Bus()
        bus.publish(Event("login", "before"))
        with bus.listening() as everything, bus.listening("d1") as one:
            for device in ("d1", "d2", "d1"):
                bus.publish(Event("login", device))
            assert [(await anext(everything)).device for _ in range(3)] == ["d1", "d2", "d1"]
            assert [(await anext(one)).device for _ in range(2)] == ["d1", "d1"]
            waiting = asyncio.ensure_future(anext(one))
            await asyncio.sleep(0)
            assert not waiting.done()
            bus.publish(Event("logout", "d1"))
            assert (await waiting).kind == "logout"
        assert bus.listeners == 0

    asyncio.run(run())


def test_who_is_too_slow_is_told_how_much_was_left_out() -> None:
    async def run() -> None:
        bus = Bus()
        with bus.listening() as slow:
            for number in range(1_300):
                bus.publish(Event("drop", str(number)))
            got = [await anext(slow) for _ in range(1_001)]
            assert got[-1] == Lost(300)
            assert [one.device for one in got[:-1]] == [str(number) for number in range(1_000)]

    asyncio.run(run())


def test_nothing_comes_between_what_was_left_out_and_being_told_so() -> None:
    async def run() -> None:
        bus = Bus()
        with bus.listening() as slow:
            for number in range(1_002):
                bus.publish(Event("drop", str(number)))
            first = await anext(slow)
            # There is room again, but what comes now is behind what was left out.
            bus.publish(Event("drop", "later"))
            got = [first, *[await anext(slow) for _ in range(1_000)]]
            assert got[-1] == Lost(3)
            bus.publish(Event("drop", "last"))
            assert (await anext(slow)).device == "last"

    asyncio.run(run())
