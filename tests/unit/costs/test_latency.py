"""What a load costs by the memory that it is one of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler.costs.latency import LATENCIES, behind, spread

SIZES = st.integers(1, 1 << 32)


@pytest.mark.parametrize(("size", "ns"), LATENCIES)
def test_measured_sizes(size, ns):
    assert spread(size) == ns


@given(SIZES, SIZES)
def test_more_memory_is_never_cheaper(one, other):
    low, high = sorted((one, other))
    assert LATENCIES[0][1] <= spread(low) <= spread(high) <= LATENCIES[-1][1]


@given(SIZES, SIZES)
def test_parts_cost_together_what_the_whole_costs(first, second):
    together = first * behind(0, first) + second * behind(first, second)
    assert together == pytest.approx((first + second) * spread(first + second))


@given(st.integers(0, 1 << 30), SIZES)
def test_what_is_asked_for_less_often_is_never_cheaper(occupied, size):
    assert behind(occupied, size) >= behind(0, size) * 0.999


def test_what_touches_nothing_costs_what_lies_around_it():
    assert behind(1 << 20, 0) == spread(1 << 20)
