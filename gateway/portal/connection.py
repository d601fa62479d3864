"""One connection, by uvicorn's HTTP/1.1, with an end to patience: for headers, bodies, and clients that do
not read what they asked for."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_log: Final = logging.getLogger("wardgate.gateway.portal")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: from the beginning of a connection or of a further request to the end of its headers
    (`headers_s`), from there to the end of its body (`body_s`), and for which a client may leave what is sent
    unread (`write_s`)."""

    headers_s: float = 10
    body_s: float = 10
    write_s: float = 20


def protocol(patience: Patience) -> type[H11Protocol]:
    """uvicorn's protocol with these limits."""

    class Connection(_Connection):
        limits = patience

    return Connection


class _Connection(H11Protocol):
    limits: Patience

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading: tuple[object, asyncio.TimerHandle] | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in H11Protocol
        """A connection: its headers may take so long."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Bytes. A deadline is for all of the headers or body, so that a byte now and then prolongs
        nothing."""
        super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        """What comes now is another request; until it begins, uvicorn's own limit for idle connections
        holds."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._end_reading()
        else:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: no deadline is left behind."""
        self._end_reading()
        self._end_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._writing = self.loop.call_later(self.limits.write_s, self._give_up, "reads too slowly")

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._end_writing()

    def shutdown(self) -> None:
        """The server stops: a stream of events would never end by itself."""
        super().shutdown()
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()

    def _expect(self) -> None:
        """Set the deadline for what the client has to send now, unless it is set."""
        state = self.conn.their_state
        if self._reading is not None and self._reading[0] is state:
            return
        self._end_reading()
        seconds = {h11.IDLE: self.limits.headers_s, h11.SEND_BODY: self.limits.body_s}.get(state)
        if seconds is not None and not self.transport.is_closing():
            self._reading = (state, self.loop.call_later(seconds, self._give_up, "sends too slowly"))

    def _give_up(self, why: str) -> None:
        _log.info("connection given up", extra={"peer": self.client and self.client[0], "why": why})
        self.transport.abort()

    def _end_reading(self) -> None:
        if self._reading is not None:
            self._reading[1].cancel()
            self._reading = None

    def _end_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
