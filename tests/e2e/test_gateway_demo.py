"""The gateway's demo: with root, without, without WireGuard, and stopped half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_marks import descendants

DEMO = (sys.executable, "-m", "wardgate.cli.demo.gateway")
SCENES = (
    "a gateway",
    "Alice and Bob enrol",
    "both are connected, and nobody has logged in",
    "Alice logs in",
    "in the middle of a connection",
    "the gateway's process is killed",
    "Alice is locked, and Bob's laptop removed",
    "the gateway is taken off the machine",
)


def traces() -> list[str]:
    """What the demo could leave behind, by the names that it uses; other tests run at the same time."""
    patterns = (
        "sys/class/net/wg0", "sys/class/net/wg-*", "sys/class/net/br0", "sys/fs/bpf/wardgate/wg0",
        "run/wireguard/wg0*", "run/wireguard/wg-*", "run/wardgate-demo", "run/wardgate/wg0*",
    )  # fmt: skip
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    found = [str(path) for pattern in patterns for path in Path("/").glob(pattern)]
    return found + [place for place in mounts if place in ("/run", "/sys/fs/bpf")]


@pytest.mark.root
@pytest.mark.tool("wireguard-go")
def test_with_root() -> None:
    before = traces()
    done = subprocess.run(DEMO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    titles = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    assert [title.startswith(scene) for title, scene in zip(titles, SCENES, strict=True)] == [True] * 8
    rows = [re.split(r"\s{2,}", line) for line in lines if line.startswith(("alice ", "bob ", "- "))]
    assert all(row[2] == row[3] for row in rows)
    assert lines[-1].startswith(f"{len(rows)} of {len(rows)} lines as expected, in ")
    for seen in (
        "pass",
        "needs login",
        "deny rule",
        "no rule",
        "locked",
        "logged in",
        "refused",
        "as before",
    ):
        assert any(row[3] == seen for row in rows), seen
    assert "moved from 192.0.2.11:" in done.stdout
    assert traces() == before


@pytest.mark.tool("unshare")
def test_without_root() -> None:
    without = ("unshare", "--user") if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*without, *DEMO], capture_output=True, text=True, timeout=120, check=False, cwd="/"
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "gateway-demo: You are not root: there is no gateway without a kernel.",
        "  help: sudo make gateway-demo",
    ]


@pytest.mark.root
@pytest.mark.skipif(Path("/sys/module/wireguard").exists(), reason="this kernel has WireGuard")
@pytest.mark.allow_skip("where the kernel has WireGuard, nothing else is needed")
def test_without_wireguard(tmp_path: Path) -> None:
    done = subprocess.run(
        DEMO, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout == ""
    assert "wireguard-go is not installed" in done.stderr
    assert "  help: load the wireguard module" in done.stderr


@pytest.mark.root
@pytest.mark.tool("wireguard-go")
def test_killed_half_way() -> None:
    """Nothing is left."""
    before = traces()
    marker = f"{os.getpid()}-{time.monotonic_ns()}"
    demo = subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "WARDGATE_DEMO_TEST": marker},
    )  # fmt: skip
    try:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("-- both are connected"):
                break
        else:
            pytest.fail("the demo ended before")
        demo.kill()
        _, errors = demo.communicate()
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == -signal.SIGKILL
    assert "Traceback" not in errors
    deadline = time.monotonic() + 300
    # After SIGKILL the kernel cleans up, and nobody is there to wait for it.
    while (descendants(marker) or traces() != before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descendants(marker) == []
    assert traces() == before
