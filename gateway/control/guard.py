"""What a request must pass before the API sees it: who asks, and how much is asked.

It also writes the line of the log that each request has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from ipaddress import ip_address
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from wardgate.gateway.compiling.bundles import MOST_BYTES
from wardgate.gateway.control.answers import failure, printable
from wardgate.gateway.control.peers import Access, Peer, actor

_log = logging.getLogger("wardgate.gateway.control")

PEER: Final = "peer"
"""Where a request's state has the Peer; the server puts it there (ASGI's `state`)."""
ENDING: Final = "ending"
"""Where it has the event that is set when the server stops; the server puts it there too."""
ACTOR: Final = "actor"
"""Where it has who that is, for the audit log."""
MOST_BODY: Final = 64 << 10
"""Bytes of a request's body."""
MOST_POLICY_BODY: Final = 2 * MOST_BYTES
"""The same where it holds a policy: JSON escapes some of its characters."""
_POLICY: Final = "/v1/policy/"
_INTERNAL: Final = 500
_MOST_DIGITS: Final = 12
"""Of a length: Python does not read numbers of any size."""


class Guard:
    """Lets requests of allowed peers through to `app`, whole and not too large."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            # A server without websockets and lifespan sends none; whatever it is, nobody checked the peer.
            raise RuntimeError(f"the control API takes requests, not {scope['type']}")
        began, status = time.monotonic(), 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._guarded(scope, receive, note)
        except Exception:
            # An internal error is answered and logged already; a stream that breaks must not seem to be
            # whole.
            if status != _INTERNAL:
                raise
        finally:
            _log.info(
                "%s %s %s",
                scope["method"],
                printable(scope["path"]),
                status or "no answer",
                extra={
                    "actor": scope.get("state", {}).get(ACTOR, "nobody"),
                    "status": status,
                    "seconds": round(time.monotonic() - began, 6),
                },
            )

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["method"], printable(scope["path"])
        peer = scope.get("state", {}).get(PEER)
        if not isinstance(peer, Peer):
            await failure(403, "denied", *asked, "nothing is known of the peer", "use the gateway's socket")(
                scope, receive, send
            )
            return
        who = await asyncio.to_thread(actor, peer)
        scope["state"][ACTOR] = who
        if not self._access.allows(peer):
            await failure(
                403,
                "denied",
                *asked,
                f"{who} is neither root nor a member of the gateway's group",
                "run as root, or join the group that gateway.yaml names and log in again",
            )(scope, receive, send)
            return
        headers = Headers(scope=scope)
        page = _page(headers)
        if page:
            answer = failure(403, "denied", *asked, page, "ask as curl does: http://localhost/v1/...")
            await answer(scope, receive, send)
            return
        if "transfer-encoding" in headers and "content-length" in headers:
            # RFC 9112, section 6.1: it may be two requests to somebody else.
            cause = "it has both Content-Length and Transfer-Encoding"
            answer = failure(400, "invalid", *asked, cause, "send one of them")
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        most = MOST_POLICY_BODY if scope["path"].startswith(_POLICY) else MOST_BODY
        try:
            body = await _body(headers, receive, most)
        except ConnectionError:
            return
        if body is None:
            answer = failure(413, "too-large", *asked, f"its body has more than {most:,} bytes", "send less")
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)


def _page(headers: Headers) -> str:
    """Why a request may come from a web page; empty where it does not.

    No browser speaks to a unix socket, but whoever forwards it to a port (ssh -L) has every page that they
    look at ask there. Those name their origin (fetch.spec.whatwg.org, "Origin header"), unless a name of
    theirs leads to that port: such a name has a dot.
    """
    if "origin" in headers:
        return "it comes from a web page"
    host = headers.get("host", "")
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if "." not in name:
        return ""
    try:
        ip_address(name)
    except ValueError:
        return f"it is for {printable(host)!r}, which is a name on a network"
    return ""


async def _body(headers: Headers, receive: Receive, most: int) -> bytes | None:
    """The whole body; None where it is larger than `most`. Read before anything is done, so that a request
    that is not whole does nothing."""
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > _MOST_DIGITS or int(length) > most:
        return None
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError("the peer went away before its request was whole")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` with the body that was read already in front."""
    first: dict[str, Any] | None = {"type": "http.request", "body": body, "more_body": False}

    async def replay() -> Message:
        nonlocal first
        if first is not None:
            message, first = first, None
            return message
        return await receive()

    return replay
