"""The two applications on sockets, by uvicorn, within limits.

listener = listen("10.9.0.1", 443, device="wg0")
async with Server(portal_app(desk, settings), [listener], IN_TUNNEL, tls=Tls(certificate, key)):
    ...
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.portal.connection import Patience, protocol
from wardgate.gateway.portal.guard import MOST_HEADERS
from wardgate.gateway.portal.limits import Places
from wardgate.gateway.portal.listening import CountedListener, listen

__all__ = ["IN_TUNNEL", "PUBLIC", "Server", "ServerLimits", "Tls", "TlsError", "listen"]

_GRACE_S: Final = 3
"""How long a request that is being answered may take when the server stops."""

_log: Final = logging.getLogger("wardgate.gateway.portal")


class TlsError(GatewayError):
    """Certificate or key cannot be used."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate with its chain, and its private key: files in PEM."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 and later; TlsError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for path in (self.certificate, self.key):
            try:
                path.read_bytes()
            except OSError as error:
                raise TlsError(
                    "read", str(path), error.strerror or str(error), "mend the path or its mode"
                ) from None
        try:
            # A password is none: asking for one would stop the service.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, OSError) as error:
            raise TlsError(
                "use certificate",
                f"{self.certificate} with key {self.key}",
                str(getattr(error, "reason", None) or error),
                "both must be PEM, the key without a password, and of one pair",
            ) from None
        return context


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """`each`, `total`: connections of one peer and of all. `whole`: see CountedListener. `handshake_s`: for
    TLS."""

    each: int
    total: int
    whole: bool
    patience: Patience = Patience()
    handshake_s: float = 10
    keep_alive_s: int = 15


IN_TUNNEL: Final = ServerLimits(each=24, total=30_000, whole=True)
"""A peer is one device: its browsers' streams of events, and what they load."""
PUBLIC: Final = ServerLimits(each=32, total=2000, whole=False)
"""A peer may be an office behind one address."""


class Server:
    """Serves an application on `sockets`, which it takes over, until it is stopped.

    The peer's address is that of the connection: no header changes it here.
    """

    def __init__(
        self, app: ASGIApp, sockets: Sequence[socket.socket], limits: ServerLimits, *, tls: Tls | None = None
    ) -> None:
        self.places = Places(limits.each, limits.total)
        self._tls = tls.context() if tls else None
        self._sockets = [CountedListener(sock, self.places, whole=limits.whole) for sock in sockets]
        config = uvicorn.Config(
            app,
            loop="none",
            http=protocol(limits.patience),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.keep_alive_s,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=MOST_HEADERS,
        )
        self._server = _Uvicorn(config, self._tls, limits.handshake_s)
        self._task: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [sock.getsockname()[:2] for sock in self._sockets]

    async def start(self) -> None:
        """Returns when connections are accepted."""
        self._task = asyncio.create_task(self._server.serve(list(self._sockets)))
        ready = asyncio.create_task(self._server.ready.wait())
        try:
            await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                await self._task
        except BaseException:
            # Given up, or failed: nobody calls `stop` for what has not started.
            self._server.should_exit = True
            await asyncio.wait({self._task})
            for sock in self._sockets:
                sock.close()
            raise
        finally:
            ready.cancel()
        _log.info("serving", extra={"addresses": self.addresses, "tls": self._tls is not None})

    async def stop(self) -> None:
        """Accept no more, let answers end, close the rest."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class _Uvicorn(uvicorn.Server):
    """uvicorn, as a part of a process that has other parts: signals are not its own, and a TLS handshake has
    a limit, for which uvicorn has no setting."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, handshake_s: float) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._tls = tls
        self._handshake_s = handshake_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, as uvicorn does on sockets that it is given."""
        loop, config = asyncio.get_running_loop(), self.config

        def connection() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg] # as in uvicorn
                config=config, server_state=self.server_state, app_state={}, _loop=loop
            )
            return made

        self.servers = [
            await loop.create_server(
                connection,
                sock=sock,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_s if self._tls else None,
                backlog=config.backlog,
            )
            for sock in sockets or ()
        ]
        self.started = True
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield
