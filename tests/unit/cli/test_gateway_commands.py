"""`wardgate gateway` against a server process: what people see, what programs get, how it ends."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import gateway_fakes
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from gateway_fakes import ENROLMENT, SECRET
from wardgate.cli.control import Client
from wardgate.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
POLICY = 'version: 1\ninclude: [groups.yaml]\npolicies: {"*": {allow: ["10.0.0.5 80/tcp"]}}\n'
GROUPS = "version: 1\ngroups: {group:admins: [alice]}\n"
FAILING = POLICY + "tests: [{as: alice, to: 10.0.0.5, service: 80/tcp, expect: deny}]\n"
PRIVATE = base64.b64encode(bytes(range(32))).decode()
PUBLIC = base64.b64encode(
    X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
).decode()


class Running:
    """A gateway's process, and commands for it."""

    def __init__(self, folder):
        self.path = folder / "control.sock"
        self.process = subprocess.Popen(
            [sys.executable, gateway_fakes.__file__, self.path], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "listening\n"

    def forget(self, capsys):
        """Begin with an empty gateway."""
        self.capsys = capsys
        self.process.send_signal(signal.SIGHUP)
        assert self.process.stdout.readline() == "forgot\n"

    def __call__(self, *arguments, status=0):
        """Run a command; its stdout."""
        self.capsys.readouterr()
        assert main(["gateway", *map(str, arguments), "--socket", str(self.path)]) == status
        output = self.capsys.readouterr()
        assert "Traceback" not in output.err
        self.err = output.err
        return output.out

    def json(self, *arguments, status=0):
        """Run a command with --json; its document."""
        return json.loads(self(*arguments, "--json", status=status))

    def end(self):
        """Stop the process, unless it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait() == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def running():
    """A gateway's process."""
    with tempfile.TemporaryDirectory(prefix=f"wgcli{os.getpid()}-") as folder:
        found = Running(Path(folder))
        yield found
        found.end()


@pytest.fixture
def run(running, capsys, monkeypatch):
    """Commands for a gateway that runs and knows nothing yet."""
    monkeypatch.setenv("COLUMNS", "80")
    running.forget(capsys)
    return running


@pytest.fixture
def policy(tmp_path):
    """A policy in two files."""
    (tmp_path / "groups.yaml").write_text(GROUPS)
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path / "policy.yaml"


def test_users_and_devices(run):
    assert run("users", "list").startswith("there are no users; add one:")
    assert run("users", "add", "alice", "--group", "group:admins") == "added: alice (group:admins)\n"
    run("users", "add", "alice", status=3)
    assert run.err == "wardgate: add user alice: there is one\n  help: choose another name\n"
    assert run("users", "list").splitlines() == ["user   state  groups", "alice  ok     group:admins"]
    assert run("users", "join", "alice", "group:staff") == "joined: alice (group:admins group:staff)\n"
    assert run("users", "leave", "alice", "group:staff") == "left: alice (group:admins)\n"
    assert run.json("users", "lock", "alice")["locked"]
    assert run("users", "unlock", "alice") == "unlocked: alice (group:admins)\n"
    assert run("users", "reset-mfa", "alice") == "second factors forgotten: alice\n"
    assert run.json("users", "unlock-login", "alice") == {"ok": True}

    assert run("devices", "add", "alice", "laptop", PUBLIC) == "added: alice/laptop (10.9.0.2 fd09::2)\n"
    assert "10.9.0.2 fd09::2" in run("devices", "list")
    for name in ("alice/laptop", "10.9.0.2", "fd09::2", PUBLIC, "dev-1"):
        assert run.json("devices", "show", name)["id"] == "dev-1"
    assert PUBLIC in run("devices", "show", "alice/laptop")
    assert run("devices", "rename", "alice/laptop", "desk").startswith("renamed: alice/desk")
    assert run("devices", "lock", "alice/desk").startswith("locked: alice/desk")
    assert run("devices", "unlock", "alice/desk").startswith("unlocked: alice/desk")
    shown = run.json("users", "show", "alice")
    assert ([one["name"] for one in shown["devices"]], shown["factors"]["recovery_codes"]) == (["desk"], 8)
    assert "desk  10.9.0.2 fd09::2" in run("users", "show", "alice")

    assert "authorised" in run("sessions", "list")
    assert run("sessions", "end", "alice/desk") == "ended: alice/desk\n"
    run("sessions", "end", "alice/desk", status=3)
    assert run("devices", "remove", "alice/desk") == "removed: alice/desk\n"
    run("devices", "show", "alice/desk", status=3)
    assert run("users", "remove", "alice") == "removed: alice\n"
    run("users", "show", "alice", status=3)
    assert run.json("users", "show", "alice", status=3)["ok"] is False


def test_a_configuration_gets_the_private_key_here(run, tmp_path):
    run("users", "add", "alice")
    run("devices", "add", "alice", "laptop", PUBLIC)
    text = run("devices", "config", "alice/laptop")
    assert text.startswith("[Interface]\nAddress = 10.9.0.2")
    key = tmp_path / "key"
    key.write_text(PRIVATE + "\n")
    with_key = run("devices", "config", "alice/laptop", "--private-key", key)
    assert with_key.splitlines()[:2] == ["[Interface]", f"PrivateKey = {PRIVATE}"]
    assert run.json("devices", "config", "alice/laptop", "--private-key", key)["text"] == with_key
    assert "█" in run("devices", "config", "alice/laptop", "--qr", "--private-key", key)
    run("devices", "config", "alice/laptop", "--qr")
    assert "no private key" in run.err
    key.write_bytes(bytes(range(256)) * 100)
    run("devices", "config", "alice/laptop", "--private-key", key, status=2)
    for wrong in (PRIVATE[:-2] + "==", "", base64.b64encode(b"x" * 32).decode(), "\xff\0"):
        key.write_bytes(wrong.encode("latin-1"))
        run("devices", "config", "alice/laptop", "--private-key", key, status=2)
        assert not wrong or wrong not in run.err


def test_tokens(run):
    assert run("tokens", "issue", "alice", "--uses", "2", "--for", "2h") == f"{SECRET}\n"
    assert "2 uses, until 2023-11-15 00:13:20 UTC" in run.err
    assert run.err.endswith(f"or as a link: {ENROLMENT}#token={SECRET}\n")
    assert SECRET not in run("tokens", "list")
    assert run.json("tokens", "list")[0]["uses"] == 2
    assert run("tokens", "revoke", "tok-1") == "revoked: tok-1\n"
    run("tokens", "revoke", "tok-1", status=3)
    assert run("tokens", "list") == "there are no tokens\n"
    run("tokens", "issue", "alice", "--uses", "0", status=2)
    run("tokens", "issue", "alice", "--replaces", "nobody/nothing", status=3)


def test_a_policy_is_applied_and_rolled_back(run, policy, tmp_path):
    run("policy", "show", status=3)
    # Nobody is there to be asked.
    run("policy", "apply", policy, status=2)
    assert "--yes" in run.err
    assert "gains access" in run("policy", "apply", policy, "--plan")
    assert run.json("policy", "history") == []
    assert "gains access" in run("policy", "apply", policy, "--yes")
    assert run.err.splitlines()[-1].startswith("in force: policy 1 (policy.yaml, ")
    document = run.json("policy", "apply", policy, "--yes")
    assert (document["ok"], document["status"], document["applied"]["number"]) == (True, 0, 2)
    assert document["plan"]["difference"]["same"]
    shown = run("policy", "show")
    assert POLICY in shown
    assert GROUPS.rstrip() in shown
    run("policy", "show", "1", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "policy.yaml").read_text() == POLICY
    assert (tmp_path / "out" / "groups.yaml").read_text() == GROUPS
    (tmp_path / "out" / "policy.yaml").unlink()
    run("policy", "show", "-o", tmp_path / "out", status=3)
    # Nothing of it is written where something is in the way.
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["groups.yaml"]
    assert "groups.yaml is there already\n  help: name another folder" in run.err
    assert [line.split()[0] for line in run("policy", "history").splitlines()] == ["number", "1", "2"]
    run("policy", "rollback", status=2)
    assert run("policy", "rollback", "--yes").startswith("in force again: policy 1 ")
    assert run.json("policy", "show")["number"] == 1


@pytest.mark.parametrize("text", [FAILING, "version: 1\nfrob: 1\n", "version: 1\ninclude: [nothing.yaml]\n"])
def test_a_policy_that_is_not_in_order_is_1(run, policy, text):
    policy.write_text(text)
    run("policy", "apply", policy, "--yes", status=1)
    assert "policy.yaml:" in run.err
    assert "error: " in run.err
    document = run.json("policy", "apply", policy, "--yes", status=1)
    assert (document["ok"], document["status"]) == (False, 1)
    assert run.json("policy", "history") == []


def test_a_policy_that_includes_from_outside_its_folder_is_1(run, tmp_path):
    (tmp_path / "groups.yaml").write_text(GROUPS)
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "policy.yaml").write_text(POLICY.replace("groups.yaml", "../groups.yaml"))
    run("policy", "apply", inner / "policy.yaml", "--yes", status=1)
    assert "leads out of the folder" in run.err


def test_people_are_asked(run, policy, monkeypatch):
    import click

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text) or len(asked) > 1)
    run("policy", "apply", policy, status=1)
    assert run.err.endswith("nothing is changed\n")
    assert run.json("policy", "history") == []
    run("policy", "apply", policy)
    run("policy", "apply", policy)
    run("policy", "rollback")
    assert asked == ["Apply it?"] * 3 + ["Go back to the policy before it?"]
    assert run.json("policy", "show")["number"] == 1


def test_the_audit_log_is_listed_verified_and_exported(run, tmp_path):
    assert run("audit", "list") == "there are no entries\n"
    for name in ("alice", "bob", "carol"):
        run("users", "add", name)
    lines = run("audit", "list", "--last", "2").splitlines()
    assert [line.split()[0] for line in lines] == ["entry", "2", "3"]
    assert "added user carol" in lines[-1]
    assert [entry["number"] for entry in run.json("audit", "list", "--after", "1")] == [2, 3]
    assert run("audit", "verify").startswith("3 entries, unbroken; the last one's hash is ")
    assert run.json("audit", "verify")["entries"] == 3

    exported = run("audit", "export")
    assert [json.loads(line)["target"] for line in exported.splitlines()] == ["alice", "bob", "carol"]
    assert json.loads(exported.splitlines()[-1])["hash"] in run.err
    path = tmp_path / "audit.jsonl"
    run("audit", "export", "-o", path)
    assert path.read_text() == exported
    assert run("audit", "verify", "--file", path).startswith("3 entries, unbroken")
    path.write_text(exported.replace('"target": "bob"', '"target": "eve"'))
    assert run("audit", "verify", "--file", path, status=1).startswith("BROKEN at entry 2: ")
    document = run.json("audit", "verify", "--file", path, status=1)
    assert (document["ok"], document["status"], document["broken"]) == (False, 1, 2)
    for content in (b"nonsense\n", bytes(1000), b"\xff\xfe", b"[" * 100_000, b"{}", b"[]", b'"x"', b"\n"):
        path.write_bytes(content)
        run("audit", "verify", "--file", path, status=2)
        assert "no entry of an audit log" in run.err


def test_a_log_that_was_cut_or_written_anew_is_told_by_a_hash_that_was_kept(run, tmp_path):
    for name in ("alice", "bob", "carol"):
        run("users", "add", name)
    path = tmp_path / "audit.jsonl"
    run("audit", "export", "-o", path)
    lines = path.read_text().splitlines(keepends=True)
    hashes = [json.loads(line)["hash"] for line in lines]
    for kept in hashes:
        assert run("audit", "verify", "--kept", kept).startswith("3 entries, unbroken")
        assert run("audit", "verify", "--file", path, "--kept", kept).startswith("3 entries, unbroken")
    path.write_text("".join(lines[:2]))
    assert run("audit", "verify", "--file", path).startswith("2 entries, unbroken")
    assert run("audit", "verify", "--file", path, "--kept", hashes[1]).startswith("2 entries, unbroken")
    told = run("audit", "verify", "--file", path, "--kept", hashes[2], status=1)
    assert told == "BROKEN: no entry has the hash that was kept: the log was cut, or written anew\n"
    document = run.json("audit", "verify", "--kept", "0" * 64, status=1)
    assert (document["ok"], document["broken"], document["entries"]) == (False, None, 3)
    run("audit", "verify", "--kept", hashes[2][:-1], status=2)


def test_status_metrics_and_the_description(run):
    assert "wg0 by tc, enforcing, generation 3" in run("status")
    assert run.json("status")["interface"]["listen_port"] == 51_820
    assert "wardgate_store_revision 0.0" in run("metrics")
    samples = {one["name"]: one["value"] for one in run.json("metrics")}
    assert samples["wardgate_users"] == 0
    assert run.json("metrics", "--list")[0]["name"] == "wardgate_info"


def test_the_description_needs_no_gateway(capsys):
    assert main(["gateway", "api"]) == 0
    assert json.loads(capsys.readouterr().out)["openapi"].startswith("3.")


def test_events_are_shown_until_interrupted(run):
    for form in ([], ["--json"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "wardgate.cli.main", "gateway", "events", "--socket", run.path, *form],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        first = process.stdout.readline()
        run("users", "add", f"alice{len(form)}")
        second = process.stdout.readline()
        if form:
            assert json.loads(first)["event"] == "listening"
            assert json.loads(second)["target"] == "alice1"
        else:
            assert first == "2023-11-14T22:13:20Z listening\n"
            assert second.endswith(" target=alice0\n")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        assert (process.returncode, err) == (0, "")


def test_events_of_a_gateway_that_ends_are_3(tmp_path_factory):
    ending = Running(tmp_path_factory.mktemp("wg"))
    process = subprocess.Popen(
        [sys.executable, "-m", "wardgate.cli.main", "gateway", "events", "--socket", ending.path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "listening" in process.stdout.readline()
    ending.end()
    _, err = process.communicate()
    assert (process.returncode, err) == (3, "wardgate: the gateway ended the stream of events\n")


def test_what_a_gateway_says_is_wrong_does_nothing_to_the_terminal(run):
    run("users", "show", "a\x1b[2Jb\u202e", status=2)
    assert "\x1b" not in run.err
    run("devices", "show", "a\x1b[2Jb\u202e\nc", status=3)
    assert "\x1b" not in run.err
    assert run.err.startswith("wardgate: find device a\\x1b[2Jb\\u202e")


def test_what_is_not_utf8_is_usage(run):
    run("users", "add", "\udcff", status=2)
    assert "not UTF-8" in run.err


def test_events_are_chosen(run, monkeypatch):
    told = [
        {"event": "drop", "time": "T", "user": "alice", "rule": 'a "b"'},
        {"event": "drop", "time": "T", "user": "bob"},
        {"event": "login", "time": "T", "user": "alice"},
        {"event": "lost", "time": "T", "count": 2},
    ]
    monkeypatch.setattr(Client, "lines", lambda *_: iter(told))
    assert run("events", "--only", "drop", "--as", "alice", status=3).splitlines() == [
        r'T drop user=alice rule="a \"b\""',
        "T lost count=2",
    ]
    assert len(run("events", status=3).splitlines()) == 4
    run("events", "--only", "drops", status=2)
    assert "there is no event 'drops'; there are login," in run.err


def test_what_others_chose_cannot_act_on_the_terminal():
    from wardgate.cli.gateway_words import plain, table

    assert plain("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"
    assert "\x1b" not in table([("\x1b]0;x\x07", 1)])
