"""An application of the portal on a socket of its own, in a thread, for browsers and raw clients."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp
from wardgate.gateway.portal.connection import Patience
from wardgate.gateway.portal.serving import Server, ServerLimits, Tls, listen

LIMITS = ServerLimits(each=60, total=100, whole=True, patience=Patience(30, 30, 30))


class Served:
    """`port`: where it is served. `run`: have a coroutine or a function run in the server's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        self._loop = loop
        self.server = server
        self.port = server.addresses[0][1]
        self.origin = f"http://127.0.0.1:{self.port}"

    def run(self, work: Callable[[], object] | Coroutine[Any, Any, object]) -> object:
        """Its result."""

        async def call() -> object:
            return await work if asyncio.iscoroutine(work) else work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A connection from an address of this machine."""
        return socket.create_connection(("127.0.0.1", self.port), source_address=(source, 0))

    def exchange(self, data: bytes, source: str = "127.0.0.1") -> bytes:
        """What comes back for bytes, until the server closes."""
        with self.connect(source) as sock:
            sock.sendall(data)
            return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    """Until the other side closes, in whichever way."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@contextmanager
def served(
    app: ASGIApp, limits: ServerLimits = LIMITS, *, tls: Tls | None = None, address: str = "127.0.0.1"
) -> Iterator[Served]:
    """The application, served until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> Server:
        server = Server(app, [listen(address, 0)], limits, tls=tls)
        await server.start()
        return server

    try:
        server = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        try:
            yield Served(loop, server)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
