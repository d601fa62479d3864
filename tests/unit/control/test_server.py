"""The socket: its mode and group, what is in its way, who is at the other end, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys

import pytest
from gateway_fakes import FakeGateway
from wardgate.gateway.control.peers import Access, Peer, actor, peer_of
from wardgate.gateway.control.server import ControlServer, listen
from wardgate.gateway.errors import GatewayError, NotFoundError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.store import SqliteStore

NOBODY = 65_534
OUR_GROUP = 47_110
"""A group that nobody is in but whom a test puts there."""
ASK = """
import os, socket, sys
uid, gid, groups, path, request = sys.argv[1:]
os.setgroups([int(one) for one in groups.split()])
os.setgid(int(gid))
os.setuid(int(uid))
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
connection.sendall(request.encode())
sys.stdout.buffer.write(connection.makefile("rb").read())
"""
ADD = "POST /v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
ADD += 'Content-Length: 16\r\n\r\n{"name":"alice"}'


def ask(path, uid, gid, groups=""):
    """What a process of this user and groups is answered when it adds a user: status and document, or None
    where it could not connect."""
    # As root first, since the interpreter may be where others cannot go.
    done = subprocess.run(
        [sys.executable, "-I", "-c", ASK, str(uid), str(gid), groups, os.fspath(path), ADD],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        assert b"PermissionError" in done.stderr, done.stderr
        return None
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_the_peer_is_the_process_at_the_other_end():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert set(peer.groups) == set(os.getgroups())


@pytest.mark.parametrize(
    ("peer", "group", "allowed"),
    [
        (Peer(1, 0, 0, ()), None, True),
        (Peer(1, 0, NOBODY, ()), 7, True),
        (Peer(1, 1000, 7, ()), 7, True),
        (Peer(1, 1000, 1000, (5, 7)), 7, True),
        (Peer(1, 1000, 1000, (5, 7)), None, False),
        (Peer(1, 1000, 1000, (5, 6)), 7, False),
        (Peer(1, 1000, 0, (0,)), None, False),
        (Peer(1, NOBODY, NOBODY, ()), 7, False),
    ],
)
def test_root_and_the_group_have_access(peer, group, allowed):
    assert Access(group).allows(peer) is allowed


def test_actors_have_their_machines_name():
    assert actor(Peer(1, 0, 0, ())) == "uid:0 (root)"
    assert actor(Peer(1, 4_000_000, 0, ())) == "uid:4000000"


def test_the_group_is_one_of_the_machine():
    assert Access.of_group(None) == Access(None)
    assert Access.of_group("root") == Access(0)
    with pytest.raises(NotFoundError, match="no group of this name"):
        Access.of_group("no-such-group-here")


@pytest.mark.root
def test_the_kernel_says_who_asks(serve):
    async def work(served):
        def of(*arguments):
            return asyncio.to_thread(ask, served.path, *arguments)

        found = served.path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, OUR_GROUP)
        # Whoever is not in the group cannot even connect.
        assert await of(NOBODY, NOBODY) is None
        assert await served.audit() == []
        status, user = await of(NOBODY, NOBODY, str(OUR_GROUP))
        assert (status, user["name"]) == (201, "alice")
        assert (await of(NOBODY, OUR_GROUP))[0] == 409
        assert [who for who, _, _ in await served.audit()] == [f"uid:{NOBODY} (nobody)"]

    serve(work, access=Access(OUR_GROUP))


@pytest.mark.root
def test_who_gets_past_the_sockets_mode_is_refused_still(serve):
    async def work(served):
        served.path.chmod(0o666)
        status, failure = await asyncio.to_thread(ask, served.path, NOBODY, NOBODY, "1 2 3")
        assert (status, failure["kind"]) == (403, "denied")
        assert f"uid:{NOBODY}" in failure["cause"]
        assert failure["remedy"]
        assert await served.audit() == []
        assert (await asyncio.to_thread(ask, served.path, 0, 0))[0] == 201

    serve(work, access=Access(OUR_GROUP))


@pytest.mark.root
def test_credentials_are_those_of_who_connected_not_of_who_writes(serve):
    async def work(served):
        # Connected as nobody, written to by root, to whom the connection was handed.
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        code = (
            "import os, socket, sys\n"
            f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
            "connection = socket.socket(socket.AF_UNIX); connection.connect(sys.argv[1])\n"
            "hand = socket.socket(fileno=int(sys.argv[2]))\n"
            "socket.send_fds(hand, [b'x'], [connection.fileno()])\n"
        )
        served.path.chmod(0o666)
        with ours, theirs:
            await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-I", "-c", code, os.fspath(served.path), str(theirs.fileno())],
                check=True, pass_fds=[theirs.fileno()],
            )  # fmt: skip
            _, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
        with socket.socket(fileno=descriptor) as handed:
            handed.sendall(ADD.encode())
            answer = await asyncio.to_thread(handed.makefile("rb").read)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert await served.audit() == []

    serve(work, access=Access(OUR_GROUP))


def test_without_a_group_it_is_roots_alone(socket_folder):
    path = socket_folder / "control.sock"
    with listen(path, Access(None)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(socket_folder.iterdir()) == [path]


def test_the_socket_of_a_gateway_that_died_is_replaced(socket_folder):
    path = socket_folder / "control.sock"
    listen(path, Access(None)).close()
    with listen(path, Access(None)), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(os.fspath(path))


def test_a_gateway_that_runs_keeps_its_socket(socket_folder):
    path = socket_folder / "control.sock"
    with listen(path, Access(None)):
        with pytest.raises(GatewayError, match="listens there already"):
            listen(path, Access(None))
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(os.fspath(path))


def test_what_is_no_socket_is_left_alone(socket_folder):
    path = socket_folder / "control.sock"
    path.write_text("mine")
    with pytest.raises(GatewayError, match="something else"):
        listen(path, Access(None))
    assert path.read_text() == "mine"
    target = socket_folder / "target"
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(GatewayError, match="something else"):
        listen(path, Access(None))
    assert not target.exists()


def test_a_folder_that_others_write_to_is_refused(socket_folder):
    folder = socket_folder / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(GatewayError, match="may write") as caught:
        listen(folder / "control.sock", Access(None))
    assert "chmod" in caught.value.remedy
    assert list(folder.iterdir()) == []


def test_a_folder_is_made_and_a_path_is_bounded(socket_folder, monkeypatch):
    with listen(socket_folder / "made" / "control.sock", Access(None)):
        assert stat.S_IMODE((socket_folder / "made").stat().st_mode) & 0o022 == 0
    longest = socket_folder / ("x" * (98 - len(os.fsencode(socket_folder))))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 4_194_304)
        listen(longest, Access(None)).close()
    with pytest.raises(GatewayError, match="bytes"):
        listen(longest.with_name(f"{longest.name}x"), Access(None))
    with pytest.raises(GatewayError, match="No such file"):
        listen(socket_folder / "a" / "b" / "control.sock", Access(None))


def test_stopping_ends_streams_and_removes_the_socket(serve, quick):
    async def work(served):
        reader, writer = await asyncio.open_unix_connection(os.fspath(served.path))
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await served.server.stop()
        assert not served.path.exists()
        await reader.read()
        writer.close()
        # Once more does no harm.
        await served.server.stop()

    serve(work, quick)


def test_stopping_leaves_the_socket_of_a_successor(serve):
    async def work(served):
        served.path.unlink()
        with listen(served.path, Access(None)):
            await served.server.stop()
            assert served.path.exists()

    serve(work)


def test_a_server_starts_again_where_it_stopped(socket_folder, tmp_path):
    async def main():
        path = socket_folder / "control.sock"
        async with await SqliteStore.open(tmp_path / "store") as store:
            gateway = FakeGateway(Ledger(store))
            for _ in range(2):
                server = ControlServer(gateway, path, Access(None))
                await server.start()
                with pytest.raises(GatewayError):
                    await ControlServer(gateway, path, Access(None)).start()
                await server.stop()
                assert not path.exists()

    asyncio.run(main())


def test_signals_stay_with_the_service(serve):
    before = signal.getsignal(signal.SIGTERM)

    async def work(served):
        await served.get("users")
        assert signal.getsignal(signal.SIGTERM) is before

    serve(work)
