"""The control socket: made with its mode and group before anybody can connect, served, removed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final

from uvicorn import Server
from wardgate.gateway.control.app import control_app
from wardgate.gateway.control.connection import ControlConfig, Limits
from wardgate.gateway.control.operations import Control
from wardgate.gateway.control.peers import Access
from wardgate.gateway.errors import GatewayError

_log = logging.getLogger("wardgate.gateway.control")

_LONGEST: Final = 99
"""Bytes of a path that fit into sockaddr_un (107, unix(7)) with what is put behind it while it is made: a dot
and a process id, which has seven digits at most (proc(5), pid_max)."""
_BACKLOG: Final = 64


class ControlServer:
    """Serves the API of `control` at `path`, in the running event loop."""

    def __init__(self, control: Control, path: Path, access: Access, limits: Limits | None = None) -> None:
        self._path = path
        self._access = access
        self._config = ControlConfig(control_app(control, access), limits or Limits())
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._place: tuple[int, int] | None = None

    async def start(self) -> None:
        """Listen; once this returns, peers can connect. GatewayError where the socket cannot be made."""
        listening = listen(self._path, self._access)
        found = self._path.lstat()
        self._place = found.st_dev, found.st_ino
        self._config.ending.clear()
        self._server = _Server(self._config)
        self._task = asyncio.create_task(self._server.serve([listening]), name="control")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task
        _log.info("listening", extra={"socket": str(self._path), "group": self._access.group})

    async def stop(self) -> None:
        """Answer what is under way, end event streams, and remove the socket."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        self._config.ending.set()
        # Nobody finds it any more, before those that are there are ended.
        self._remove()
        await self._task
        self._server = self._task = None

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._place:
                self._path.unlink()


class _Server(Server):
    """uvicorn's, without its signal handlers: the service has its own. `ready`: it listens."""

    def __init__(self, config: ControlConfig) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn has it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn has it."""
        await super().startup(sockets)
        self.ready.set()


def listen(path: Path, access: Access) -> socket.socket:
    """A listening socket at `path` for root and the group of `access`. GatewayError where that cannot be:
    another gateway listens there, something else is there, or others may write to its folder."""
    if len(os.fsencode(path)) > _LONGEST:
        raise _cannot(
            path, f"its path has more than {_LONGEST} bytes", "choose a shorter one in gateway.yaml"
        )
    try:
        _prepare_folder(path)
        _clear(path)
        return _bound(path, access)
    except OSError as error:
        raise _cannot(
            path, error.strerror or str(error), "run as root; see `control` in gateway.yaml"
        ) from None


def _prepare_folder(path: Path) -> None:
    folder = path.parent
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    found = folder.stat()
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    sticky = found.st_mode & stat.S_ISVTX
    if found.st_uid not in (0, os.geteuid()) or (others and not sticky):
        # Whoever may write there could put a socket of theirs in its place.
        raise _cannot(
            path,
            f"users other than root may write to {folder}",
            f"chown root:root {folder} && chmod 755 {folder}",
        )


def _clear(path: Path) -> None:
    """Remove the socket of a gateway that is no more."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise _cannot(path, "there is something else than a socket", "move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            # Its queue is full, so somebody has it.
            pass
    raise _cannot(path, "a gateway listens there already", "stop it, or see wardgate gateway status")


def _bound(path: Path, access: Access) -> socket.socket:
    """Under another name first, so that it never is there with another mode or group."""
    making = path.with_name(f"{path.name}.{os.getpid()}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        making.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listening.bind(os.fspath(making))
        finally:
            os.umask(before)
        if access.group is not None:
            os.chown(making, -1, access.group, follow_symlinks=False)
            making.chmod(0o660)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        making.rename(path)
    except BaseException:
        listening.close()
        making.unlink(missing_ok=True)
        raise
    return listening


def _cannot(path: Path, cause: str, remedy: str) -> GatewayError:
    return GatewayError("listen on", str(path), cause, remedy)
