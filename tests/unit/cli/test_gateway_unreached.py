"""`wardgate gateway` where none is reached: there is none, something else answers, or one may not ask."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from wardgate.cli.main import main

GROUPS_OF_COMMANDS = (
    "", "status", "events", "users", "devices", "tokens", "sessions", "policy", "audit", "metrics", "api",
    "users add", "users list", "users show", "users remove", "users lock", "users unlock", "users join",
    "users leave", "users reset-mfa", "users unlock-login", "devices list", "devices show", "devices add",
    "devices rename", "devices replace-key", "devices lock", "devices unlock", "devices remove",
    "devices config", "tokens issue", "tokens list", "tokens revoke", "sessions list", "sessions end",
    "policy show", "policy history", "policy apply", "policy rollback", "audit list", "audit verify",
    "audit export",
)  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["status"], ["users", "list"], ["events"], ["policy", "rollback", "--yes"]]
)
def test_no_gateway_is_3_with_a_remedy(tmp_path, capsys, arguments):
    path = tmp_path / "control.sock"
    for there in (False, True):
        if there:
            path.touch()
        assert main(["gateway", *arguments, "--socket", str(path)]) == 3
        output = capsys.readouterr()
        assert output.out == ""
        assert "no gateway runs here" in output.err
        assert "help: start it" in output.err
        assert main(["gateway", *arguments, "--socket", str(path), "--json"]) == 3
        assert json.loads(capsys.readouterr().out)["remedy"]


ALL = [
    "status", "events", "users add a", "users list", "users show a", "users remove a", "users lock a",
    "users unlock a", "users join a group:b", "users leave a group:b", "users reset-mfa a",
    "users unlock-login a", "devices list", "devices show a/b", "devices add a b KEY", "devices rename a/b c",
    "devices replace-key a/b KEY", "devices lock a/b", "devices unlock a/b", "devices remove a/b",
    "devices config a/b", "tokens issue a", "tokens issue a --replaces a/b", "tokens list",
    "tokens revoke abc", "sessions list", "sessions end a/b", "policy show", "policy history",
    "policy apply POLICY --yes", "policy rollback --yes", "audit list", "audit verify", "audit export",
    "metrics",
]  # fmt: skip


def test_all_that_asks_a_gateway_fails_alike_where_there_is_none(tmp_path, capsys):
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\n")
    asking = {one for one in GROUPS_OF_COMMANDS if " " in one}
    assert asking == {" ".join(one.split()[:2]) for one in ALL if " " in one}
    for command in ALL:
        words = [str(policy) if word == "POLICY" else word for word in command.split()]
        assert main(["gateway", *words, "--socket", "/nowhere.sock", "--json"]) == 3, command
        output = capsys.readouterr()
        document = json.loads(output.out)
        assert (document["ok"], document["status"]) == (False, 3), command
        assert document["remedy"], command
        assert "no gateway runs here" in output.err


def test_something_else_that_answers_is_no_gateway(capsys):
    with tempfile.TemporaryDirectory(prefix=f"wgcli{os.getpid()}-") as folder:
        path = Path(folder) / "control.sock"
        for answer in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            b"220 mail ready\r\n",
            b"",
            b"\x00",
        ):
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(os.fspath(path))
                listening.listen()
                child = os.fork()
                if not child:
                    connection, _ = listening.accept()
                    connection.recv(1 << 16)
                    connection.sendall(answer)
                    os._exit(0)
                assert main(["gateway", "users", "list", "--socket", str(path)]) == 3
                os.waitpid(child, 0)
            path.unlink()
            err = capsys.readouterr().err
            assert "Traceback" not in err
            assert "help: " in err


def test_a_gateway_that_does_not_answer_is_not_waited_for_all_day(capsys, monkeypatch):
    monkeypatch.setattr("wardgate.cli.control._ANSWER_SECONDS", 0.05)
    with tempfile.TemporaryDirectory(prefix=f"wgcli{os.getpid()}-") as folder:
        path = Path(folder) / "control.sock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fspath(path))
            listening.listen()
            assert main(["gateway", "users", "list", "--socket", str(path)]) == 3
    assert f"the gateway at {path} does not answer" in capsys.readouterr().err


@pytest.mark.root
def test_who_may_not_connect_is_told_what_to_do(capfd):
    with tempfile.TemporaryDirectory(prefix=f"wgcli{os.getpid()}-") as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "control.sock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fspath(path))
            path.chmod(0o660)
            # A child, since what it imports may be where only root can go.
            assert main(["gateway", "users", "list", "--socket", "/nowhere.sock"]) == 3
            capfd.readouterr()
            child = os.fork()
            if not child:
                os.setgroups([])
                os.setgid(65_534)
                os.setuid(65_534)
                os._exit(main(["gateway", "users", "list", "--socket", str(path)]))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    err = capfd.readouterr().err
    assert f"you may not connect to {path}" in err
    assert "help: run as root, or join the group" in err


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "ursula\u0301", "--json", "a\nb", "\udcff"])
def test_what_cannot_be_a_name_is_usage(capsys, name):
    assert main(["gateway", "users", "remove", "--", name]) == 2
    assert "names nothing" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["", "x" * 108, "a\0b"])
def test_what_is_no_path_of_a_socket_is_usage(capsys, path):
    assert main(["gateway", "status", "--socket", path]) == 2
    assert "no path of a socket" in capsys.readouterr().err


def test_the_socket_may_be_named_by_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("WARDGATE_GATEWAY_SOCKET", "/nowhere.sock")
    assert main(["gateway", "status"]) == 3
    assert "/nowhere.sock" in capsys.readouterr().err


@pytest.mark.parametrize("command", GROUPS_OF_COMMANDS)
def test_help_fits_80_columns(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["gateway", *command.split(), "--help"]) == 0
    output = capsys.readouterr()
    assert max(map(len, output.out.splitlines())) <= 80
    assert not any(line.endswith("...") for line in output.out.splitlines()[1:])
    assert output.err == ""


def test_commands_load_no_server_and_no_compiler():
    code = (
        "import sys, wardgate.cli.main as m\nm.main(['gateway', 'users', 'list', '--socket', '/nowhere'])\n"
    )
    code += "print(*sorted(n for n in sys.modules if n in ('fastapi', 'uvicorn', 'numpy', 'llvmlite')))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
