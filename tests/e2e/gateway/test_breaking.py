"""A gateway whose machine is not as it should be: it says what is wrong, and is closed meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import warm_command
from gateway_api import Api
from gateway_site import BRIEFLY_S, LAB, OPEN, Machine, Site, eventually
from wardgate.cli.demo.links import Links
from wardgate.gateway.network.links import find_link, remove_link
from wardgate.runtime.gate import Gate
from wardgate.runtime.maps import Map
from wardgate.runtime.pins import GatePins

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose gateway does not run yet."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


def start(site: Site, *, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
    """Start a gateway that cannot; its exit status, and all that it says."""
    words = ("gateway", "start", "--json")
    with site.gateway.enter():
        if prefix:
            command = [*prefix, sys.executable, "-m", "wardgate.cli.main", *words]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=site.environment()
            )
        else:
            done = warm_command.run(*words, env=site.environment())
    assert "Traceback" not in done.stderr, done.stderr
    assert "started" not in done.stdout
    return done.returncode, done.stdout + done.stderr


def end_of(site: Site) -> tuple[int, str]:
    """How the gateway ended: its exit status, and what it said last."""
    assert site.process is not None
    status = site.process.wait(60)
    if site.process.stdout is not None:
        site.process.stdout.close()
    site.process = None
    return status, site.log.read_text()[-2000:]


def is_open(site: Site) -> bool:
    """Whether the tunnel's interface is there, and up."""
    with site.gateway.enter():
        link = find_link(site.interface)
    return link is not None and link.up


def test_settings_that_are_wrong_are_told_with_their_place(made: Site) -> None:
    text = made.file.read_text()
    made.file.write_text(text + "sessions: {lifetime: soon}\nnonsense: 1\n")
    try:
        status, said = start(made)
    finally:
        made.file.write_text(text)
    assert status == 2
    assert "gateway.yaml:" in said
    assert "lifetime" in said
    assert "nonsense" in said


def test_a_first_policy_with_errors_is_not_taken(made: Site) -> None:
    policy = made.folder / "policy.yaml"
    text = policy.read_text()
    for wrong, word in (
        ("version: 1\npolicies: {'*': {allow: [nowhere]}}\n", "nowhere"),
        (text + "tests:\n  - {as: alice, to: 10.0.0.5, expect: deny}\n", "expect"),
        (text.replace("10.9.0.0/16", "10.8.0.0/16"), "outside of the policy's tunnel"),
    ):
        policy.write_text(wrong)
        status, said = start(made)
        assert status in (1, 3), said
        assert word in said, said
        assert not is_open(made)
    policy.write_text(text)


@pytest.mark.parametrize("name", ["wireguard.key", "sealing.key"])
def test_keys_that_others_may_read_are_not_used(made: Site, name: str) -> None:
    key = made.folder / "state" / name
    key.chmod(0o644)
    try:
        status, said = start(made)
    finally:
        key.chmod(0o600)
    assert status == 3
    assert name in said
    assert "chmod" in said
    assert not is_open(made)


def test_a_store_that_another_process_holds_is_left_alone(made: Site) -> None:
    with closing(sqlite3.connect(made.folder / "state" / "gateway.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        status, said = start(made)
    assert status == 3
    assert "gateway.db" in said
    assert not is_open(made)


def test_a_full_disk_is_said_to_be_full(made: Site) -> None:
    state, aside = made.folder / "state", made.folder / "aside"
    state.rename(aside)
    state.mkdir(0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", state], check=True)
    try:
        for key in ("wireguard.key", "sealing.key"):
            shutil.copy2(aside / key, state / key)
        (state / "ballast").write_bytes(bytes(52 << 10))
        status, said = start(made)
    finally:
        subprocess.run(["umount", state], check=True)
        state.rmdir()
        aside.rename(state)
    assert status == 3
    assert "full" in said or "space" in said, said
    assert not is_open(made)


def test_without_a_bpf_file_system_it_says_how_to_have_one(made: Site) -> None:
    hidden = 'mount -t tmpfs none /sys/fs/bpf && exec "$@"'
    status, said = start(made, prefix=("unshare", "--mount", "sh", "-c", hidden, "sh"))
    assert status == 3
    assert "bpffs" in said
    assert "mount -t bpf" in said


def test_a_file_at_the_control_sockets_place_is_not_removed(made: Site) -> None:
    made.socket.write_text("precious")
    try:
        status, said = start(made)
        assert made.socket.read_text() == "precious"
    finally:
        made.socket.unlink()
    assert status == 3
    assert made.socket.name in said


def test_asked_to_end_while_it_starts_it_never_serves(made: Site) -> None:
    process = made.begin()
    eventually(lambda: made.log.exists() and "forwarding" in made.log.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.read() == b""
    status, said = end_of(made)
    assert status == 0, said
    assert "is open" not in said.rpartition("forwarding")[2]


@pytest.fixture(scope="module")
def running(made: Site) -> Site:
    """The same site: its gateway runs."""
    made.start()
    return made


@pytest.fixture(scope="module")
def alice(running: Site) -> Machine:
    """A device with a session."""
    machine = running.connected("laptop", "alice")
    machine.set_up()
    machine.log_in_again()
    return machine


def test_a_second_start_says_who_runs_it_and_harms_nothing(running: Site, alice: Machine) -> None:
    assert running.process is not None
    status, said = start(running)
    assert status == 3
    assert str(running.process.pid) in said
    assert alice.reaches(LAB)
    with Api(running.socket) as api:
        assert api.get("/status")["pid"] == running.process.pid


def test_a_disk_that_is_full_meanwhile_takes_nothing_from_anybody(running: Site, alice: Machine) -> None:
    # What SQLite may not write stands for a disk that has no room: all the same to the gateway.
    database = running.folder / "state" / "gateway.db"
    assert running.process is not None
    limit = ["prlimit", "--pid", str(running.process.pid)]
    subprocess.run([*limit, f"--fsize={database.stat().st_size}:unlimited"], check=True)
    try:
        said = running.wardgate("gateway", "users", "add", "somebody", status=3)
        assert "write" in json.dumps(said) or "disk" in json.dumps(said), said
        assert alice.reaches(LAB)
        # Logging out works all the same: the kernel comes first.
        alice.browser.get("/")
        alice.browser.submit("/logout")
        assert not alice.reaches(LAB, wait_s=0.3)
        assert alice.reaches(OPEN)
    finally:
        subprocess.run([*limit, "--fsize=unlimited:unlimited"], check=True)
    with Api(running.socket) as api:
        eventually(lambda: api.get("/status")["problems"] == [])
        assert api.get("/audit/verify")["broken"] is None
        eventually(lambda: [one["state"] for one in api.get("/sessions")] == ["none"])
    alice.log_in_again()
    assert alice.reaches(LAB)


def test_a_tunnel_that_was_put_down_is_a_problem_until_it_is_up(running: Site, alice: Machine) -> None:
    with running.gateway.enter():
        subprocess.run(["ip", "link", "set", running.interface, "down"], check=True)
    with Api(running.socket) as api:
        eventually(lambda: [one["part"] for one in api.get("/status")["problems"]] == ["tunnel"])
        with Links(running.gateway) as links:
            links.up(running.interface)
        eventually(lambda: api.get("/status")["problems"] == [])
    assert running.process is not None
    assert running.process.poll() is None
    # Going down takes the routes along.
    running.kill(signal.SIGTERM)
    running.start()
    eventually(lambda: alice.reaches(LAB, wait_s=BRIEFLY_S))


def test_a_gate_that_was_taken_off_ends_the_gateway_and_closes_the_tunnel(
    running: Site, alice: Machine
) -> None:
    Gate.open(running.interface).detach()
    status, said = end_of(running)
    assert status == 3
    assert "no gate guards it" in said
    assert not is_open(running)
    running.start()
    eventually(lambda: alice.reaches(OPEN, wait_s=BRIEFLY_S))
    # The gate is another, which knows of no login.
    assert not alice.reaches(LAB, wait_s=0.3)
    alice.log_in_again()
    assert alice.reaches(LAB)


def test_what_another_release_left_is_not_gone_on_with_and_goes_on_enforcing(
    running: Site, alice: Machine
) -> None:
    running.kill(signal.SIGTERM)
    # Records of devices have another size.
    pin = GatePins(running.interface).maps / "devices"
    with Map.open_pin(pin) as there:
        info = there.info
    pin.unlink()
    with Map.create("devices", info.type, info.key_size, info.value_size - 8, info.max_entries) as other:
        other.pin(pin)
    status, said = start(running)
    assert status == 3
    assert "cannot go on with the one that is there (it is of another release)" in said
    assert "wardgate gateway stop" in said
    # Nothing was changed: packets are judged as before.
    assert is_open(running)
    assert alice.reaches(LAB)
    running.wardgate("gateway", "stop")
    assert not is_open(running)
    assert not alice.reaches(OPEN, wait_s=0.3)
    running.start()
    eventually(lambda: alice.reaches(OPEN, wait_s=BRIEFLY_S))
    assert not alice.reaches(LAB, wait_s=0.3)
    alice.log_in_again()
    assert alice.reaches(LAB)


@pytest.mark.parametrize("how", ["removed", "killed"])
def test_a_tunnel_that_is_gone_ends_the_gateway_and_the_next_start_makes_it_anew(
    running: Site, alice: Machine, how: str
) -> None:
    if how == "removed":
        with running.gateway.enter():
            remove_link(running.interface)
    else:
        os.kill(daemon_of(running), signal.SIGKILL)
    status, said = end_of(running)
    assert status == 3
    assert f"{running.interface}: its interface is gone" in said
    running.start()
    eventually(lambda: alice.reaches(OPEN, wait_s=BRIEFLY_S))
    alice.log_in_again()
    assert alice.reaches(LAB)
    with Api(running.socket) as api:
        assert api.get("/status")["problems"] == []
        assert api.get("/status")["gate"]["enforcing"]


def daemon_of(site: Site) -> int:
    """The process id of the tunnel's wireguard-go."""
    ours = b"\0".join((b"wireguard-go", site.interface.encode(), b""))
    (found,) = (
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and _command(folder).endswith(ours)
    )
    return found


def _command(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        # It has ended since.
        return b""
