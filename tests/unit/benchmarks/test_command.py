"""`wardgate bench`: it finds the suite of a checkout, and says where to get it else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from wardgate.cli.commands import bench
from wardgate.cli.main import main


def test_without_a_checkout_it_says_what_to_do(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "_SUITE", tmp_path / "run.py")
    assert main(["bench", "--quick"]) == 3
    assert "clone the repository" in capsys.readouterr().err


def test_it_hands_its_options_to_the_suite(monkeypatch, capfd, tmp_path: Path) -> None:
    suite = tmp_path / "run.py"
    suite.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    filters = tmp_path / "filters"
    filters.write_text("")
    monkeypatch.setattr(bench, "_SUITE", suite)
    assert main(["bench", "--quick", "--json", "--filters", str(filters), "-o", "out.json"]) == 0
    assert json.loads(capfd.readouterr().out) == [
        "--quick", "--json", "--filters", str(filters), "--output", "out.json",
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "expected"), [(1, 1), (2, 2), (3, 3), (77, 3), (-9, 3)])
def test_the_suite_s_status_is_the_command_s(monkeypatch, tmp_path: Path, status: int, expected: int) -> None:
    suite = tmp_path / "run.py"
    suite.write_text("")
    monkeypatch.setattr(bench, "_SUITE", suite)
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda words, check: subprocess.CompletedProcess(words, status),  # noqa: ARG005
    )
    assert main(["bench"]) == expected


def test_where_results_cannot_go_is_said_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    suite = tmp_path / "run.py"
    suite.write_text("raise SystemExit('measured')")
    monkeypatch.setattr(bench, "_SUITE", suite)
    assert main(["bench", "-o", str(tmp_path / "nowhere" / "x.json")]) == 3
    said = capsys.readouterr().err
    assert "nowhere: there is no such folder" in said
    assert "measured" not in said
