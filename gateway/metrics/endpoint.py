"""Metrics on a TCP address, for a Prometheus that cannot reach the control socket.

There is no authentication: what it shows names no user, device or address, and the address to listen on is a
setting. Nothing but GET /metrics is answered.
"""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from wardgate.gateway.metrics.exposition import TEXT_FORMAT, Metrics
from wardgate.gateway.portal.serving import Server, ServerLimits, listen

_LIMITS: Final = ServerLimits(each=8, total=64, whole=False)
"""Few scrape; who opens many connections, or sends slowly, keeps nobody else from it."""


def metrics_app(metrics: Metrics) -> Starlette:
    """GET /metrics."""

    async def scrape(_request: Request) -> Response:
        return Response(await metrics.text(), media_type=TEXT_FORMAT, headers={"Cache-Control": "no-store"})

    app = Starlette(routes=[Route("/metrics", scrape, methods=["GET"])])
    # A redirect would go to whatever host a request names.
    app.router.redirect_slashes = False
    return app


class MetricsServer:
    """Serves it at an address and port, in the running event loop. Port 0: any that is free."""

    def __init__(self, metrics: Metrics, address: str, port: int) -> None:
        self._metrics = metrics
        self._address = address
        self._port = port
        self._server: Server | None = None
        self.bound: tuple[str, int] | None = None
        """Where it listens, once it does."""

    async def start(self) -> None:
        """Listen. GatewayError where the address cannot be had."""
        server = Server(metrics_app(self._metrics), [listen(self._address, self._port)], _LIMITS)
        await server.start()
        self._server = server
        self.bound = server.addresses[0]

    async def stop(self) -> None:
        """End it."""
        if self._server is not None:
            await self._server.stop()
            self._server = None
