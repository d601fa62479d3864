"""The demo: with root, without, with each kind of tunnel, and stopped half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from process_marks import descendants

README = Path(__file__).resolve().parents[2] / "README.md"
DEMO = (sys.executable, "-m", "wardgate.cli.demo")
STAGES = (
    "-- before anyone has logged in",
    "-- after `wardgate session grant`",
    "-- after `wardgate session revoke`",
)


def check_table(text: str, judge: str) -> None:
    """All rows agree; the header and the three parts are there; it fits 80 columns."""
    lines = text.splitlines()
    assert lines[0].split() == ["user", "packet", "expected", "seen", "policy", "line"]
    assert [line for line in lines if line.startswith("-- ")] == [
        next(line for line in lines if line.startswith(stage)) for stage in STAGES
    ]
    rows = [line for line in lines[1:] if line.startswith(("alice", "bob", "carol"))]
    assert len(rows) == 32
    for row in rows:
        cells = re.split(r"\s{2,}", row)
        assert cells[2] == cells[3]
    assert lines[-1] == f"{len(rows)} of {len(rows)} packets fared as the reference says: {judge} judged."
    assert max(map(len, lines)) <= 80
    assert any(re.search(r'needs login\s+needs login\s+\d+ "lab"$', row) for row in rows)
    assert not any("…" in row for row in rows)


def traces() -> list[str]:
    """What a demo could leave behind, by the names that it uses; other tests run at the same time."""
    patterns = (
        "/sys/class/net/wg0*",
        "/sys/class/net/lan",
        "/sys/fs/bpf/wardgate/demo",
        "/run/wireguard/wg0*",
        "/run/wardgate-demo",
        f"{tempfile.gettempdir()}/wardgate-demo-*",
    )
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    found = [str(path) for pattern in patterns for path in Path("/").glob(pattern[1:])]
    return found + [place for place in mounts if place in ("/run", "/sys/fs/bpf")]


@pytest.mark.root
@pytest.mark.tool("wireguard-go")
def test_with_root():
    before = traces()
    done = subprocess.run(DEMO, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    check_table(done.stdout, "the loaded gate")
    assert re.search(
        "^tunnel between clients and gateway: (kernel WireGuard|wireguard-go)$", done.stderr, re.M
    )
    assert traces() == before


@pytest.mark.root
def test_with_tun_devices():
    done = subprocess.run(
        [*DEMO, "--tunnel", "TUN devices"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tunnel between clients and gateway: TUN devices" in done.stderr
    check_table(done.stdout, "the loaded gate")


@pytest.mark.tool("unshare")
def test_without_root(tmp_path):
    # A user namespace without a mapping has a user with no privileges who can still read the checkout.
    without = ("unshare", "--user") if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*without, *DEMO], capture_output=True, text=True, check=False, cwd="/",
        # Not where others look for what a demo left behind.
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    check_table(done.stdout, "the interpreter")
    assert "You are not root: no packets are sent." in done.stderr
    # What the README shows is what a reader will see.
    shown = README.read_text().partition("```\nuser ")[2].partition("\n```")[0]
    assert f"user {shown}".splitlines()[:-1] == done.stdout.splitlines()[:-1]


@pytest.mark.root
@pytest.mark.parametrize(
    ("half_way", "number"),
    [
        ("tunnel between", signal.SIGKILL),
        ("wardgate run", signal.SIGINT),
        ("wardgate run", signal.SIGKILL),
        ("wardgate session grant", signal.SIGTERM),
        ("wardgate session grant", signal.SIGKILL),
    ],
)
def test_stopped_half_way(half_way, number):
    """Whatever ends it, and whenever, nothing is left."""
    before = traces()
    marker = f"WARDGATE_DEMO_TEST={os.getpid()}-{time.monotonic_ns()}"
    name, _, value = marker.partition("=")
    demo = subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, name: value}
    )
    try:
        for line in demo.stderr:
            if line.startswith(half_way):
                break
        else:
            pytest.fail(f"the demo ended before {half_way!r}")
        demo.send_signal(number)
        said, errors = demo.communicate()
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode in ((-number,) if number == signal.SIGKILL else (128 + number,))
    assert "Traceback" not in errors
    assert said == ""
    deadline = time.monotonic() + 300
    # After SIGKILL the kernel cleans up, and nobody is there to wait for it.
    while (descendants(marker) or traces() != before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descendants(marker) == []
    assert traces() == before
