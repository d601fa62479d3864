"""Metrics on a TCP address, for a Prometheus that cannot reach the control socket.

There is no authentication: what it shows names no user, device or address, and the address to listen on is a
setting. Nothing but GET /metrics is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Config, Server
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.metrics.exposition import TEXT_FORMAT, Metrics

_MOST_CONNECTIONS: Final = 16
_BACKLOG: Final = 16


def metrics_app(metrics: Metrics) -> Starlette:
    """GET /metrics."""

    async def scrape(_request: Request) -> Response:
        return Response(await metrics.text(), media_type=TEXT_FORMAT, headers={"Cache-Control": "no-store"})

    return Starlette(routes=[Route("/metrics", scrape, methods=["GET"])])


class MetricsServer:
    """Serves it at an address and port, in the running event loop. Port 0: any that is free."""

    def __init__(self, metrics: Metrics, address: str, port: int) -> None:
        self._address = address
        self._port = port
        self._server = _Server(
            Config(
                metrics_app(metrics),
                ws="none",
                http="h11",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                h11_max_incomplete_event_size=4 << 10,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=2,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self.bound: tuple[str, int] | None = None
        """Where it listens, once it does."""

    async def start(self) -> None:
        """Listen. GatewayError where the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._address, self._port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            place = (
                f"[{self._address}]:{self._port}" if ":" in self._address else f"{self._address}:{self._port}"
            )
            raise GatewayError(
                "listen on", place, error.strerror or str(error), "change `metrics` in gateway.yaml"
            ) from None
        self.bound = listening.getsockname()[:2]
        self._task = asyncio.create_task(self._server.serve([listening]), name="metrics")

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None


class _Server(Server):
    """uvicorn's, without its signal handlers: the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn has it."""
        yield
