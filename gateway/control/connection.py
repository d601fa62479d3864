"""One connection of the control socket: whose it is, and how long it may take.

uvicorn has no time limit for a request's head and body; a peer that never ends one would hold its connection
for ever, so that limit is here.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from wardgate.gateway.control.answers import failure
from wardgate.gateway.control.guard import ENDING, PEER
from wardgate.gateway.control.peers import Peer, peer_of


@dataclass(frozen=True, slots=True)
class Limits:
    """`request`: seconds from a request's first byte to its last, and from connecting to the first request.
    `keep_alive`: seconds between two requests. `connections`: how many one user may have; others', and
    root's, are counted apart, so that nobody can lock others out. `head`: bytes of a request's head.
    `ending`: seconds for what is under way when the server stops."""

    request: float = 30.0
    keep_alive: float = 30.0
    connections: int = 32
    head: int = 16 << 10
    ending: float = 2.0


class ControlConfig(Config):
    """uvicorn's configuration of a control socket. `users` counts connections by uid; `ending` tells streams
    that the server stops."""

    def __init__(self, app: Any, limits: Limits) -> None:
        super().__init__(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            h11_max_incomplete_event_size=limits.head,
            timeout_keep_alive=cast(int, limits.keep_alive),
            timeout_graceful_shutdown=cast(int, limits.ending),
        )
        self.limits = limits
        self.users: Counter[int] = Counter()
        self.ending = asyncio.Event()


@dataclass(slots=True)
class _Deadline:
    """Ends a connection unless it is lifted in time."""

    transport: asyncio.Transport
    seconds: float
    handle: asyncio.TimerHandle | None = field(default=None)

    def set(self) -> None:
        """From now on, unless it is set already."""
        if self.handle is None:
            self.handle = asyncio.get_running_loop().call_later(self.seconds, self.transport.abort)

    def lift(self) -> None:
        """Not any more."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None


class Connection(H11Protocol):
    """See the module. The Peer is in the state of each of its requests."""

    _peer: Peer | None = None
    _deadline: _Deadline

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio has it."""
        super().connection_made(transport)
        config = cast(ControlConfig, self.config)
        self._deadline = _Deadline(transport, config.limits.request)
        connection = cast(socket.socket, transport.get_extra_info("socket"))
        try:
            peer = peer_of(connection)
        except OSError:
            transport.abort()
            return
        self._peer = peer
        config.users[peer.uid] += 1
        if config.users[peer.uid] > config.limits.connections:
            transport.write(_refusal(config.limits.connections))
            transport.close()
            return
        # uvicorn copies it into the state of each request.
        self.app_state = {**self.app_state, PEER: peer, ENDING: config.ending}
        self._deadline.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self._deadline.lift()
        if self._peer is not None:
            users = cast(ControlConfig, self.config).users
            users[self._peer.uid] -= 1
            users += Counter()
            self._peer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._await_rest(begun=self.conn.trailing_data[0] != b"")

    def on_response_complete(self) -> None:
        """As uvicorn has it."""
        super().on_response_complete()
        self._await_rest(begun=self.conn.trailing_data[0] != b"")

    def _await_rest(self, *, begun: bool) -> None:
        """Limit the time for what is still to come of a request. Between two, keep-alive has its own
        limit."""
        state = self.conn.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and begun):
            self._deadline.set()
        else:
            self._deadline.lift()


def _refusal(connections: int) -> bytes:
    body = bytes(
        failure(
            503,
            "busy",
            "connect",
            "",
            f"this user has {connections} connections already",
            "end one of them, such as a wardgate gateway events",
        ).body
    )
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
