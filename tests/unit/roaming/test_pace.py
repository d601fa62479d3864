"""Looks come soon, again, and never too often; whatever is seen, one follows the last of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.gateway.roaming.pace import FOLLOW_UPS, Bounds, Pace


def run(pace: Pace, until: float, takes: float = 0.0, start: float = 0.0) -> list[float]:
    """When looks are made from `start` on, each of which takes so long."""
    now, looks = start, []
    while (due := pace.next(now)) is not None and due <= until:
        looks.append(due)
        now = due + takes
        pace.looked(due, now)
    return looks


def test_nothing_is_looked_for_where_nothing_was_seen():
    assert Pace().next(5.0) is None
    assert Pace().is_answered


def test_a_look_comes_at_once_and_again():
    pace = Pace()
    pace.urgent(100.0)
    assert run(pace, 1000.0, start=100.0) == pytest.approx([100.0 + delay for delay in FOLLOW_UPS])
    assert pace.is_answered
    assert pace.next(1000.0) is None


def test_what_is_answered_is_not_looked_for_again():
    pace = Pace()
    pace.urgent(0.0)
    pace.looked(0.001, 0.002)
    pace.answered()
    assert pace.next(0.002) is None


def test_an_answer_takes_no_look_that_is_due_for_something_else():
    """As for a session that was granted while a look was under way, which could not judge it."""
    pace = Pace()
    pace.lazy(-3.0)
    pace.urgent(0.0)
    pace.looked(0.001, 0.002)
    pace.answered()
    assert pace.is_answered
    assert pace.next(0.002) == 2.0
    pace.at(0.01)
    assert pace.next(0.002) == 0.01
    pace.skip()
    assert pace.next(0.002) is None


def test_a_look_that_is_not_urgent_waits_and_is_put_off_by_nothing():
    pace = Pace(Bounds(lazy=5.0))
    for moment in (0.0, 1.0, 4.0):
        pace.lazy(moment)
    assert run(pace, 100.0, start=4.0) == [5.0]


def test_a_look_that_is_not_urgent_comes_once_beside_those_that_are():
    pace = Pace()
    for moment in (0.0, 0.5):
        pace.lazy(moment)
    pace.urgent(1.0)
    looks = run(pace, 100.0, start=1.0)
    assert looks == pytest.approx([*(1.0 + delay for delay in FOLLOW_UPS), 5.0])


def test_seeing_all_the_time_does_not_put_looks_off():
    pace = Pace(Bounds(rate=10.0, burst=1.0))
    looks, now = 0, 0.0
    while now < 10.0:
        pace.urgent(now)
        if pace.next(now) <= now:
            pace.looked(now, now)
            looks += 1
        now += 0.0005
    assert 90 <= looks <= 102


def test_looks_that_take_long_are_farther_apart():
    """At 150 ms a look: a burst of a second's worth, and a tenth of the time from then on."""
    pace = Pace(Bounds(rate=100.0, burst=100.0, share=0.1, longest=1.0))
    made, now = [], 0.0
    while now < 60.0:
        pace.urgent(now)
        now = pace.next(now)
        made.append(now)
        now += 0.15
        pace.looked(made[-1], now)
    assert 0.15 * len(made) <= 0.1 * 60 + 1.0 + 0.3
    assert made[5] < 1.0


@settings(max_examples=60)
@given(
    gaps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40),
    takes=st.floats(0.0, 0.5),
    urgent=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_bounded_and_complete(gaps, takes, urgent):
    """However things are seen: at most so many looks, and one that began after the last that was seen."""
    bounds = Bounds()
    pace, now, seen, looks = Pace(bounds), 0.0, 0.0, []
    for gap, is_urgent in zip(gaps, urgent, strict=False):
        seen += gap
        while (due := pace.next(now)) is not None and due < seen:
            looks.append(due)
            now = due + takes
            pace.looked(due, now)
        now = max(now, seen)
        (pace.urgent if is_urgent else pace.lazy)(seen)
    looks += run(pace, 1e9, takes, now)
    assert looks[-1] >= seen
    for first, start in enumerate(looks):
        for last in range(first, len(looks)):
            span = looks[last] - start
            assert last - first <= bounds.burst + span * bounds.rate + 1e-6
            assert (last - first) * takes <= bounds.longest + span * bounds.share + takes + 1e-6
