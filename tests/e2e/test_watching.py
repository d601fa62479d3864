"""`watch` and `top` as processes: they follow a gate that others changed, and end when asked to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def bed(e2e, tmp_path: Path, artefact: Path):
    with e2e.make_bed("tun", tmp_path) as made:
        options = ("--device", made.device, "--devices", made.devices(), "--name", made.name)
        started = e2e.run_wardgate(
            "run", artefact, *options, "--detach-after-load", namespace=made.network.gateway
        )
        assert started.returncode == 0, started.stderr
        made.network.up(e2e.GATEWAY, [])
        yield made


def start(bed, e2e, *words: str) -> subprocess.Popen[str]:
    with bed.network.gateway.enter():
        return subprocess.Popen(
            [e2e.WARDGATE, *words, "--name", bed.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip


def test_watch_shows_what_was_asked_for(bed, e2e, udp) -> None:
    """Only bob's packets, and only those without a bucket; then the signal ends it, and not the gate."""
    for user in ("alice", "bob"):
        for remote in (e2e.MFA[0], e2e.ELSEWHERE[0]):
            udp(bed.network.clients[user], e2e.ADDRESSES[user][0]).sendto(b"x", (remote, 7))
    process = start(bed, e2e, "watch", "--as", "bob", "--reason", "no bucket", "--json")
    event = json.loads(process.stdout.readline())
    assert (event["event"], event["user"], event["reason"]) == ("drop", "bob", "no bucket")
    assert (event["destination"], event["service"]) == (e2e.ELSEWHERE[0], "7/udp")
    second = e2e.run_wardgate("watch", "--name", bed.name, namespace=bed.network.gateway)
    assert second.returncode == 3
    assert "end the one that shows them" in second.stderr
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "", "")
    assert bed.command("status")["enforcing"]


def test_a_traced_policy_tells_of_what_passes(bed, e2e, udp, artefact) -> None:
    """Until the rollback, which is to the same policy without."""
    sender = udp(bed.network.clients["alice"], e2e.ADDRESSES["alice"][0])
    bed.command("swap", artefact, "--trace")
    sender.sendto(b"x", (e2e.ALLOWED[0], 53))
    process = start(bed, e2e, "watch", "--as", "alice")
    assert process.stdout.readline().startswith(
        f'passed alice {e2e.ADDRESSES["alice"][0]} -> {e2e.ALLOWED[0]} 53/udp: policy.yaml:9:13 "open 80/tcp'
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    bed.command("rollback")
    sender.sendto(b"x", (e2e.ALLOWED[0], 53))
    sender.sendto(b"x", (e2e.ELSEWHERE[0], 53))
    process = start(bed, e2e, "watch", "--as", "alice", "--json")
    event = {"generation": 2}
    # What the traced one told last may be there yet.
    while event["generation"] == 2:
        event = json.loads(process.stdout.readline())
    assert (event["event"], event["destination"]) == ("drop", e2e.ELSEWHERE[0])
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def test_watch_ends_with_the_gate(bed, e2e) -> None:
    process = start(bed, e2e, "watch")
    e2e.run_wardgate("detach", "--name", bed.name, namespace=bed.network.gateway)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "was detached" in errors or "no gate" in errors


def test_watch_knows_the_reasons(bed, e2e) -> None:
    done = e2e.run_wardgate("watch", "--name", bed.name, "--reason", "nonsense")
    assert done.returncode == 2
    assert "no bucket" in done.stderr


def test_top_follows(bed, e2e, udp) -> None:
    process = start(bed, e2e, "top", "--interval", "1s", "--json")
    sender = udp(bed.network.clients["alice"], e2e.ADDRESSES["alice"][0])
    seen = []
    while not seen or not any(rule["packets_per_second"] for rule in seen[-1]["rules"]):
        sender.sendto(b"x", (e2e.ALLOWED[0], 53))
        seen.append(json.loads(process.stdout.readline()))
    (busy,) = [rule for rule in seen[-1]["rules"] if rule["packets_per_second"]]
    assert busy["text"].startswith("open 80/tcp 53/udp")
    assert seen[-1]["seconds"] >= 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
