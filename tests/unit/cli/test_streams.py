"""Streams that whoever started the command has closed, and terminals that take no UTF-8."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROLLBACK = "gateway policy rollback"
NOBODY = "gateway status --socket /nowhere.sock"


def run(shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`wardgate`, with what a shell does to its streams."""
    command = f"exec {sys.executable} -m wardgate.cli.main {shell}"
    return subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(
    ("shell", "status", "said"),
    [
        (f"{NOBODY} --json >&-", 3, "no gateway runs here"),
        (f"{NOBODY} --json >&- 2>&-", 3, ""),
        (f"{ROLLBACK} <&-", 2, "there is nobody to ask"),
    ],
)
def test_a_closed_stream_is_the_null_device(shell: str, status: int, said: str) -> None:
    done = run(shell)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_terminal_cannot_show_is_an_error_with_a_remedy(tmp_path) -> None:
    policy = tmp_path / "\u2588.yaml"
    policy.write_text('version: 1\npolicies: {"*": {allow: ["10.0.0.5"]}}\n')
    done = run(f"check {policy}", PYTHONIOENCODING="latin-1", LC_ALL="C.UTF-8")
    assert (done.returncode, done.stdout) == (3, "")
    assert "LC_ALL=C.UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
