"""What is said of many short runs."""

from __future__ import annotations

from benchmarks.sampling import Summary, added, interleave


def test_a_summary_of_known_numbers() -> None:
    found = Summary.of([5, 1, 4, 2, 3])
    assert (found.runs, found.minimum, found.lower, found.median, found.upper, found.maximum) == (
        5,
        1,
        2,
        3,
        4,
        5,
    )
    assert found.spread == 2
    assert found.to_json()["spread"] == 2


def test_a_single_run_has_no_spread() -> None:
    assert Summary.of([7]) == Summary(1, 7, 7, 7, 7, 7)


def test_contestants_take_turns_and_nobody_keeps_a_place() -> None:
    order: list[str] = []

    def runner(name: str):
        return lambda: order.append(name) or float(len(order))

    samples = interleave({name: runner(name) for name in "abc"}, 3)
    assert order == list("abcbcacab")
    assert samples == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_added_is_of_rounds_but_at_its_ends_of_runs() -> None:
    found = added({"empty": [10, 10, 90], "own": [30, 35, 110]}, "empty")
    assert set(found) == {"own"}
    assert found["own"].median == 20
    # The least difference of a round, 20, may come from a slow empty run.
    assert found["own"].minimum == 30 - 10
    assert found["own"].maximum == 110 - 90


def test_a_slow_baseline_does_not_look_like_speed() -> None:
    found = added({"empty": [10, 200], "own": [40, 41]}, "empty")
    assert found["own"].minimum == 30
