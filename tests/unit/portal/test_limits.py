"""Rates and places: what passes is bounded, and so is what is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.portal.limits import Limiter, Places, Rate


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = Limiter(Rate(3, 60), Rate(100, 6000), clock)
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a") == pytest.approx(1)
    assert limiter.take("b") == 0
    clock.now += 0.99
    assert limiter.take("a") > 0
    clock.now += 0.02
    assert limiter.take("a") == 0
    assert limiter.take("a") > 0


def test_who_is_refused_takes_nothing_of_all() -> None:
    limiter = Limiter(Rate(1, 1), Rate(3, 1), Clock())
    assert limiter.take("a") == 0
    assert all(limiter.take("a") > 0 for _ in range(50))
    assert [limiter.take(name) == 0 for name in ("b", "c", "d")] == [True, True, False]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 20)), max_size=80))
def test_never_more_than_burst_and_rate(asked: list[tuple[str, float]]) -> None:
    clock = Clock()
    limiter = Limiter(Rate(4, 30), Rate(8, 60), clock)
    began, passed = clock.now, {"a": 0, "b": 0, "c": 0}
    for key, pause in asked:
        clock.now += pause
        wait = limiter.take(key)
        passed[key] += wait == 0
        since = clock.now - began
        assert passed[key] <= 4 + since * 0.5 + 1e-6
        assert sum(passed.values()) <= 8 + since + 1e-6
        if wait:
            clock.now += wait + 1e-6
            assert limiter.take(key) == 0
            passed[key] += 1


def test_a_flood_of_keys_is_not_remembered() -> None:
    clock = Clock()
    limiter = Limiter(Rate(10, 60), Rate(100, 600), clock)
    for number in range(20_000):
        limiter.take(str(number))
        clock.now += 0.01
    # Within 10 s, in which a bucket is full again, all together may 100 times and 10 times a second.
    assert len(limiter) <= 2 * (100 + 10 * 10)


@pytest.mark.parametrize(("burst", "per_minute"), [(0, 1), (1, 0), (1, -1)])
def test_a_rate_that_lets_nothing_pass_is_none(burst: int, per_minute: float) -> None:
    with pytest.raises(ValueError, match="lets nothing pass"):
        Rate(burst, per_minute)


def test_places_are_taken_and_given_back() -> None:
    places = Places(2, 3)
    assert [places.take(key) for key in "aaabb"] == [True, True, False, True, False]
    assert len(places) == 3
    places.leave("a")
    assert places.take("b")
    assert not places.take("c")
    for key in "abb":
        places.leave(key)
    assert len(places) == 0
    assert places.take("a")
