"""How a run's tests are shared out among its processes."""

from __future__ import annotations

import itertools

from sharing_out import parts, rank


def test_modules_stay_whole_unless_they_are_long() -> None:
    short = [f"tests/unit/a/test_x.py::test[{number}]" for number in range(60)]
    long = [f"tests/unit/a/test_y.py::test[{number}]" for number in range(61)]
    found = parts([*short, *long])
    assert len({found[test] for test in short}) == 1
    assert [len(list(group)) for _, group in itertools.groupby(found[test] for test in long)] == [60, 1]
    assert len(set(found.values())) == 3


def test_what_goes_on_where_the_test_before_left_off_is_never_cut() -> None:
    chain = [f"tests/e2e/gateway/test_x.py::test[{number}]" for number in range(200)]
    guest = [f"tests/kernels/test_{number}.py::test" for number in range(200)]
    assert len(set(parts(chain).values())) == len(set(parts(guest).values())) == 1


def test_long_ones_begin() -> None:
    names = [
        "tests/unit/test_a.py",
        "tests/kernel/x/test_b.py",
        "tests/e2e/test_c.py",
        "tests/kernels/test_d.py",
    ]
    assert sorted(names, key=rank) == names[::-1]
