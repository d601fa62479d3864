"""What stays and what goes when `run` ends, is killed, is started again, or the gate is detached."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

PINS = Path("/sys/fs/bpf/wardgate")


def passes(e2e, *probes) -> list[bool]:
    """Which packets get there and back; for gates that nobody hears the drops of."""
    with e2e.Answerers(probes) as answerers:
        return [seen is e2e.Seen.PASS for seen, _ in e2e.send(probes, answerers, lambda _flow: False, 1.0)]


def asked(bed, e2e):
    """An allowed packet, one that needs a login, one that no rule allows."""
    return (
        bed.probe("alice", e2e.ALLOWED[0], "80/tcp"),
        bed.probe("alice", e2e.MFA[0], "22/tcp"),
        bed.probe("alice", e2e.ELSEWHERE[0], "80/tcp"),
    )


def test_kill_leaves_the_gate_enforcing_and_run_adopts_it(tun_bed, e2e, artefact):
    bed = tun_bed
    bed.command("session", "grant", "10.9.0.2", "--for", "10m")
    assert passes(e2e, *asked(bed, e2e)) == [True, True, False]
    assert bed.run.end(signal.SIGKILL) == -signal.SIGKILL
    assert passes(e2e, *asked(bed, e2e)) == [True, True, False]
    assert bed.command("status")["enforcing"]

    run = bed.start(artefact)
    assert run.attached["adopted"]
    (session,) = [s for s in bed.command("session", "list") if s["user"] == "alice"]
    assert session["state"] == "authorised"
    assert bed.fates(*asked(bed, e2e)) == ["pass", "pass", "no bucket"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_run_and_not_the_gate(tun_bed, e2e, number):
    bed = tun_bed
    assert bed.run.end(number) == 0
    said = bed.run.process.stderr.read()
    assert f"{bed.device} stays enforced; wardgate detach --name {bed.name} ends it" in said
    assert passes(e2e, *asked(bed, e2e)) == [True, False, False]


def test_detach_removes_everything(tun_bed, e2e):
    bed = tun_bed
    assert (PINS / bed.name).exists()
    assert bed.command("detach") == {"ok": True, "name": bed.name}
    assert not (PINS / bed.name).exists()
    assert passes(e2e, *asked(bed, e2e)) == [True, True, True]
    if bpftool := shutil.which("bpftool"):
        with bed.network.gateway.enter():
            shown = subprocess.run([bpftool, "-j", "net"], capture_output=True, text=True, check=True).stdout
        assert [kind for found in json.loads(shown) for kind in found.values() if kind] == []
    done = e2e.run_wardgate("status", "--name", bed.name)
    assert done.returncode == 3
    assert "there is no gate" in done.stderr
    assert bed.run.process.wait(60) == 3
    assert "was detached by another process" in bed.run.process.stderr.read()


def test_detach_after_load(tmp_path, e2e, artefact):
    with e2e.make_bed("tun", tmp_path) as bed:
        run = bed.start(artefact, "--detach-after-load")
        assert run.process.wait(60) == 0
        assert not run.attached["adopted"]
        bed.network.up(e2e.GATEWAY, [])
        assert passes(e2e, *asked(bed, e2e)) == [True, False, False]


def test_nothing_passes_before_the_gate_knows_its_devices(tmp_path, e2e, artefact):
    with e2e.make_bed("tun", tmp_path) as bed:
        path = tmp_path / "none.yaml"
        path.write_text("[]")
        bed.run = e2e.Run(
            bed.network.gateway, artefact, "--device", bed.device, "--devices", path, "--name", bed.name
        )
        bed.stack.callback(bed.run.end, signal.SIGKILL)
        bed.network.up(e2e.GATEWAY, [])
        assert bed.fates(*asked(bed, e2e)) == ["no device"] * 3


def test_swap_and_rollback(tun_bed, e2e):
    bed = tun_bed
    other = bed.compile(e2e.POLICY.replace("80/tcp", "81/tcp"), "other")
    probes = [bed.probe("alice", e2e.ALLOWED[0], service) for service in ("80/tcp", "81/tcp")]
    assert bed.fates(*probes) == ["pass", "no rule"]
    bed.command("session", "grant", "10.9.0.2", "--for", "10m")
    before = bed.command("status")
    after = bed.command("swap", other)
    assert after["previous"] == before["generation"] != after["generation"]
    assert bed.fates(*probes) == ["no rule", "pass"]
    assert bed.command("rollback")["generation"] == before["generation"]
    assert bed.fates(*probes) == ["pass", "no rule"]
    assert bed.command("session", "list")[0]["state"] == "authorised"


def test_rollback_without_a_policy_before(tun_bed):
    assert "no previous generation" in tun_bed.command("rollback", status=3)["message"]


def test_running_another_artefact_swaps_to_it(tun_bed, e2e):
    bed = tun_bed
    bed.run.end()
    other = bed.compile(e2e.POLICY.replace("80/tcp", "81/tcp"), "other")
    run = bed.start(other)
    assert run.attached["adopted"]
    assert bed.fates(bed.probe("alice", e2e.ALLOWED[0], "81/tcp")) == ["pass"]


def test_a_broken_artefact_changes_nothing(tun_bed, e2e, artefact):
    bed = tun_bed
    broken = bed.folder / "broken.o"
    broken.write_bytes(artefact.read_bytes()[:2000])
    before = bed.command("status")
    bed.command("swap", broken, status=3)
    after = bed.command("status")
    assert (after["generation"], after["enforcing"]) == (before["generation"], True)
    assert bed.fates(*asked(bed, e2e)) == ["pass", "needs login", "no bucket"]


def test_a_refused_run_leaves_nothing(tmp_path, e2e, artefact):
    with e2e.make_bed("tun", tmp_path) as bed:
        outside = tmp_path / "outside.yaml"
        outside.write_text("- {address: 10.8.0.2, user: alice}\n")
        options = ("--device", bed.device, "--name", bed.name)
        gateway = bed.network.gateway
        for arguments, status, words in (
            ((artefact, *options, "--devices", outside), 2, "outside.yaml:1:1: error: 10.8.0.2 is outside"),
            ((artefact, "--device", "nope0", "--devices", bed.devices()), 3, "nope0"),
            ((artefact, *options, "--devices", bed.devices(), "--hook", "tc", "--attach", "nope"), 2, "nope"),
        ):
            done = e2e.run_wardgate("run", *arguments, namespace=gateway)
            assert (done.returncode, done.stdout) == (status, "")
            assert words in done.stderr
            assert "Traceback" not in done.stderr
            assert not (PINS / bed.name).exists()


def test_sessions_end(tun_bed, e2e):
    bed = tun_bed
    packet = bed.probe("bob", e2e.MFA[0], "22/tcp")
    granted = bed.command("session", "grant", "fd09::3", "--for", "1h30m", "--idle", "5m")
    assert (granted["user"], granted["state"], granted["idle_limit"]) == ("bob", "authorised", 300)
    assert 5395 < granted["remaining"] <= 5400
    assert bed.fates(packet) == ["pass"]
    bed.command("session", "grant", "fd09::3", "--for", "1s")
    assert e2e.wait_until(
        lambda: [s["state"] for s in bed.command("session", "list") if s["user"] == "bob"] == ["expired"]
    )
    assert bed.fates(packet) == ["session expired"]
    assert bed.command("session", "revoke", "10.9.0.3")["state"] == "none"
    assert bed.fates(packet) == ["needs login"]
    done = e2e.run_wardgate("session", "grant", "10.9.0.99", "--for", "1m", "--name", bed.name)
    assert done.returncode == 3
    assert "no device has this address" in done.stderr


def test_status_counts_what_the_gate_did(tun_bed, e2e):
    bed = tun_bed
    assert bed.fates(*asked(bed, e2e)) == ["pass", "needs login", "no bucket"]
    status = bed.command("status")
    counted = status["counters"]["from_device"]
    assert counted["needs login"]["packets"] >= 1
    assert counted["no bucket"]["packets"] >= 1
    assert counted["pass"]["packets"] >= 3
    lines = {rule["text"]: rule["packets"] for rule in status["rules"]}
    assert lines["lab"] >= 1
    done = e2e.run_wardgate("status", "--name", bed.name)
    assert done.returncode == 0
    assert f"{bed.name} on {bed.device}" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_text_of_drops(tun_bed, e2e, artefact):
    bed = tun_bed
    bed.run.end()
    gateway = bed.network.gateway
    with gateway.enter():
        run = subprocess.Popen(
            [e2e.WARDGATE, "run", artefact, "--device", bed.device,
             "--devices", bed.devices(), "--name", bed.name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    try:
        assert run.stderr.readline().startswith(f"took over gate {bed.name} on {bed.device}: ingress by ")
        passes(e2e, bed.probe("alice", e2e.MFA[0], "22/tcp"))
        line = next(line for line in run.stdout if "alice" in line)
        assert line == 'dropped alice 10.9.0.2 -> 10.1.2.3 22/tcp: needs login, policy.yaml:10:11 "lab"\n'
    finally:
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 0
    assert "stays enforced" in said
