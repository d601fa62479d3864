"""What CI makes of a test run: counts, skips that are failures, and traces that tests leave."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run_tests(folder: Path, text: str, *arguments: str, ci: bool) -> tuple[int, str, Path]:
    """Exit status, output and report of a pytest run of `text` under this project's conftest."""
    (folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (folder / "test_it.py").write_text(text)
    report = folder / "report.xml"
    environment = {**os.environ, "WARDGATE_CI": "1" if ci else "0"}
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-o",
            f"pythonpath={ROOT / 'tests/support'}",
            "-rs",
            f"--junitxml={report}",
            *arguments,
            ".",
        ],
        cwd=folder,
        env={name: value for name, value in environment.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout + process.stderr, report


def count(report: Path, status: int) -> tuple[int, int, int]:
    """What CI counts."""
    spec = importlib.util.spec_from_file_location("count", ROOT / ".ci/count.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.count(report, status)


SKIPS = """
import pytest
@pytest.mark.tool("a-tool-that-nobody-has")
def test_needs_a_tool():
    raise AssertionError("must not run")
def test_skips_itself():
    pytest.skip("no reason at all")
@pytest.mark.allow_skip("depends on the kernel")
def test_may_be_skipped():
    pytest.skip("this kernel has it not")
@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    raise AssertionError
def test_passes():
    pass
"""


def test_a_skip_says_why(tmp_path: Path) -> None:
    status, output, report = run_tests(tmp_path, SKIPS, ci=False)
    assert status == 0
    assert "needs a-tool-that-nobody-has, which is not installed" in output
    assert count(report, status) == (1, 0, 4)


def test_a_skip_fails_in_ci_unless_it_is_allowed(tmp_path: Path) -> None:
    status, output, report = run_tests(tmp_path, SKIPS, ci=True)
    assert status == 1
    assert "skipped in CI, where it must run: " in output
    passed, failed, skipped = count(report, status)
    assert (passed, failed, skipped) == (1, 2, 2)


def test_a_module_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    text = "import pytest\npytest.importorskip('a_module_that_nobody_has')\ndef test_it(): pass\n"
    assert run_tests(tmp_path, text, ci=False)[0] in (0, 5)
    status, _, report = run_tests(tmp_path, text, ci=True)
    assert status != 0
    assert count(report, status)[1] >= 1


LEAVES = """
import os, pathlib
def test_leaves_something():
    pathlib.Path("/sys/fs/bpf", f"wardgate-t{os.getpid()}-TOKEN").mkdir()
"""


@pytest.mark.root
@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_a_test_leaves_behind_fails_the_run(tmp_path: Path, workers: str) -> None:
    token = f"by{os.getpid()}{workers}"
    try:
        status, output, report = run_tests(tmp_path, LEAVES.replace("TOKEN", token), "-n", workers, ci=False)
    finally:
        left = list(Path("/sys/fs/bpf").glob(f"*-{token}"))
        for path in left:
            path.rmdir()
    assert [str(path) in output for path in left] == [True]
    assert "left behind by tests" in output
    assert status == 1
    assert count(report, status) == (1, 1, 0)


def test_a_run_without_a_report_or_a_test_has_failed(tmp_path: Path) -> None:
    assert count(tmp_path / "none.xml", 0) == (0, 1, 0)
    empty = tmp_path / "empty.xml"
    empty.write_text('<testsuites><testsuite tests="0" failures="0" errors="0" skipped="0"/></testsuites>')
    assert count(empty, 5) == (0, 1, 0)
    assert count(empty, 0) == (0, 1, 0)
