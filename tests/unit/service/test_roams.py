"""Each move that a detector tells of ends a session, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from wardgate.gateway.enforcement import Problems
from wardgate.gateway.roaming import DetectorError, DetectorStatus, OnRoam, Roamed
from wardgate.gateway.service import roams
from wardgate.gateway.service.roams import follow_roams, watch_detector
from wardgate.runtime.errors import WardgateError


def moved(number: int) -> Roamed:
    return Roamed(bytes([number]) * 32, None, None, False, "polling", 0)


class Parts:
    """A detector that tells of some moves and then nothing, and sessions that do as the test says."""

    def __init__(self, told: list[Roamed], end: Callable[[Roamed], Awaitable[None]]) -> None:
        self.told = told
        self.found: list[list[Roamed] | Exception] = []
        self.roamed = end

    async def changes(self) -> AsyncIterator[Roamed]:
        for one in self.told:
            yield one
        await asyncio.Event().wait()

    async def strays(self) -> list[Roamed]:
        if not self.found:
            await asyncio.Event().wait()
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def follow(parts: Any, problems: Problems, until: asyncio.Event) -> None:
    async def run() -> None:
        task = asyncio.create_task(follow_roams(parts, parts, problems))
        await asyncio.wait({task, asyncio.create_task(until.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roams, "_WAITS", (0.0,))


def test_one_that_waits_keeps_no_other_waiting() -> None:
    ended = asyncio.Event()

    async def end(change: Roamed) -> None:
        if change == moved(1):
            # Its device is in a login that does not come to its end.
            await asyncio.Event().wait()
        ended.set()

    follow(Parts([moved(1), moved(2)], end), Problems(), ended)


def test_one_that_fails_is_tried_until_it_works() -> None:
    ended, tries, problems = asyncio.Event(), list[Roamed](), Problems()
    seen = []

    async def end(change: Roamed) -> None:
        tries.append(change)
        if len(tries) < 4:
            raise WardgateError("revoke", "session", "the kernel is busy")
        seen.extend(problems.now())
        ended.set()

    follow(Parts([moved(1)], end), problems, ended)
    assert tries == [moved(1)] * 4
    assert [(one.part, one.times) for one in seen] == [("roaming", 3)]


def test_strays_end_too_and_are_asked_for_again_where_that_fails() -> None:
    ended, problems = asyncio.Event(), Problems()

    async def end(change: Roamed) -> None:
        assert change == moved(3)
        ended.set()

    parts = Parts([], end)
    parts.found = [WardgateError("read WireGuard device", "wg0", "busy"), [], [moved(3)]]
    follow(parts, problems, ended)
    assert not problems.now()


def test_a_detector_that_ends_is_not_gone_on_without() -> None:
    class Ending(Parts):
        async def changes(self) -> AsyncIterator[Roamed]:
            for one in self.told:
                yield one

    async def end(_: Roamed) -> None:
        raise AssertionError

    with pytest.raises(BaseExceptionGroup) as caught:
        follow(Ending([], end), Problems(), asyncio.Event())
    assert "the detector ended" in str(caught.value.exceptions[0])


class Watching:
    """A detector whose state is each of these in turn, and then the end."""

    def __init__(self, looks: bool, *states: DetectorStatus) -> None:
        self.looks = looks
        self._states = list(states)

    def status(self) -> DetectorStatus:
        if not self._states:
            raise EOFError
        return self._states.pop(0)


def watch(detector: Any, problems: Problems) -> None:
    with pytest.raises(EOFError):
        asyncio.run(watch_detector(detector, problems))


GOOD = DetectorStatus("underlay", OnRoam.CHALLENGE, 1)


@pytest.mark.parametrize("what", [{"failure": "no answer"}, {"uncovered": {"eth0": "no room"}}])
def test_what_a_detector_cannot_see_is_a_problem_while_it_is_so(
    monkeypatch: pytest.MonkeyPatch, what: dict[str, Any]
) -> None:
    monkeypatch.setattr(roams, "_LOOK_S", 0.0)
    problems = Problems()
    watch(Watching(True, replace(GOOD, **what)), problems)
    (one,) = problems.now()
    assert one.part == "detector"
    assert next(iter(what.values())) == "no answer" or "eth0 is not watched: no room" in one.cause
    watch(Watching(True, GOOD), problems)
    assert not problems.now()


def test_without_its_detector_in_the_kernel_a_gateway_does_not_go_on() -> None:
    gone = replace(GOOD, detector="fentry", failure="it is at work no longer")
    with pytest.raises(DetectorError, match="no longer"):
        asyncio.run(watch_detector(Watching(False, gone), Problems()))  # type: ignore[arg-type]
