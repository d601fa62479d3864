"""The benchmark of logins logs in, and says what took the time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.logins import main, percentile


def test_it_measures_each_kind_of_login(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--users", "3", "--rounds", "2", "--folder", str(tmp_path)]) == 0
    rows = {row["row"]: row for row in json.loads(capsys.readouterr().out)}
    assert [row["logins"] for row in rows.values()] == [6, 6, 3, 3, 3, 3, 3]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in rows.values())
    assert "commit" in rows["good, one at a time"]["parts_ms"]
    assert "commit" not in rows["locked"]["parts_ms"]
    assert list(tmp_path.iterdir()) == []


def test_it_tells_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--users", "1", "--rounds", "1"]) == 0
    assert "no method" in capsys.readouterr().out


def test_percentiles() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], percent) for percent in (0, 50, 75, 76, 100)] == [1, 2, 3, 4, 4]
