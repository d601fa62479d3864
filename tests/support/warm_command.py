"""`wardgate` without the wait for its imports: a process that has done them forks for each call.

A call has a process of its own, with its arguments, environment, folder, network namespace and standard
streams, and ends as the command does. What a start from nothing imports, and when, is for other tests.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, Any

_MOST_BYTES = 1 << 20
_CLONE_NEWNET = 0x40000000
_NAMESPACE = "/proc/thread-self/ns/net"
_ONE_AT_A_TIME = threading.Lock()


def run(
    *arguments: object,
    input: str = "",  # noqa: A002 - as subprocess.run calls it
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `wardgate ARGUMENTS` in the caller's network namespace; the caller looks at the exit status."""
    words = list(map(str, arguments))
    document = {
        "arguments": words,
        "folder": str(cwd or Path.cwd()),
        "environment": dict(os.environ if env is None else env),
    }
    with ExitStack() as stack:
        asked, said, told = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        asked.write(input.encode())
        asked.seek(0)
        namespace = stack.enter_context(Path(_NAMESPACE).open("rb"))
        files = [one.fileno() for one in (asked, said, told, namespace)]
        with _ONE_AT_A_TIME:
            server = _server()
            socket.send_fds(server, [json.dumps(document).encode()], files)
            status = json.loads(server.recv(_MOST_BYTES))
        return subprocess.CompletedProcess(["wardgate", *words], status, _text(said), _text(told))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _server() -> socket.socket:
    """To the process that forks. It ends with this one, which is when its socket closes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_BYTES)
    with theirs:
        subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return ours


def _serve(requests: socket.socket) -> None:
    while True:
        data, files, _, _ = socket.recv_fds(requests, _MOST_BYTES, 4)
        if not data:
            return
        child = os.fork()
        if child == 0:
            requests.close()
            _command(json.loads(data), files)
        for file in files:
            os.close(file)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        requests.send(json.dumps(status).encode())


def _command(document: dict[str, Any], files: list[int]) -> None:
    """Be the command. Does not return."""
    *streams, namespace = files
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    for number, file in enumerate(streams):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    os.environ.clear()
    os.environ.update(document["environment"])
    os.chdir(document["folder"])
    sys.argv = ["wardgate", *document["arguments"]]
    from wardgate.cli.main import main

    sys.exit(main())


if __name__ == "__main__":
    import wardgate.cli.commands as commands

    for module in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(module.name)
    for name in ("wardgate.compiler.analysis", "wardgate.gateway.service", "wardgate.runtime.gate"):
        importlib.import_module(name)
    _serve(socket.socket(fileno=int(sys.argv[1])))
