"""The benchmark of `wardgate check` runs, and says what it measured."""

from __future__ import annotations

import json

from benchmarks.checking import main


def test_it_measures_the_command(capsys) -> None:
    assert main(["--json", "50"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["rules"] == 50
    assert row["seconds"]["median"] > 0
    assert row["memory_bytes"] > 1 << 20
    assert row["findings"] > 0


def test_it_tells_people(capsys) -> None:
    assert main(["20"]) == 0
    assert "20 rules, 5 policy classes: " in capsys.readouterr().out
