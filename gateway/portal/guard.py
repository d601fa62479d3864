"""What every request passes first, and every answer last: ASGI middleware around both applications.

In: the host must be one of ours, or a name that an attacker made to point here would make the attacker's page
one of our own (DNS rebinding); methods and bodies have limits. Out: headers that keep a browser from doing
with a page what it is not made for (OWASP ASVS 5.0, chapter 3).
"""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from wardgate.gateway.portal.hosts import headers_of, host_of

MOST_HEADERS: Final = 16 * 1024
"""Bytes of a request's target and headers."""

METHODS: Final = ("GET", "HEAD", "POST")

SECURITY: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with it browsers send `Origin: null` with our own forms (Fetch, "append a request
    # Origin header"). Other sites get nothing by this either.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        "microphone=(), midi=(), payment=(), usb=()"
    ),
    "cache-control": "no-store",
}
"""On every answer, unless it has a value of its own."""
HSTS: Final = "max-age=31536000"

_log: Final = logging.getLogger("wardgate.gateway.portal")


class BodyTooLargeError(Exception):
    """More was sent than is taken."""


class Guard:
    """Lets through to `app` what may be asked of it."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], tls: bool, most_body: int) -> None:
        self._app = app
        self._hosts = hosts
        self._most_body = most_body
        headers = {**SECURITY, **({"strict-transport-security": HSTS} if tls else {})}
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. What is not HTTP is not served."""
        if scope["type"] != "http":
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = {name.lower() for name, _ in message["headers"]}
                added = [(name, value) for name, value in self._headers if name not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        try:
            await self._app(scope, self._bounded(receive), answer)
        except ClientDisconnect:
            return
        except BodyTooLargeError:
            if started:
                raise
            await _too_large()(scope, receive, answer)
        except Exception:
            _log.exception("a request failed", extra={"path": scope["path"], "method": scope["method"]})
            if started:
                raise
            text = "Something went wrong here. It is in the gateway's log.\n"
            await PlainTextResponse(text, 500)(scope, receive, answer)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        if scope["method"] not in METHODS:
            return PlainTextResponse("Not allowed.\n", 405, {"allow": ", ".join(METHODS)})
        # The server has a limit for what it waits for, and none for what comes at once.
        target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if target + sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
            return PlainTextResponse("The headers are too large.\n", 431, {"connection": "close"})
        hosts = headers_of(scope, b"host")
        host = host_of(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
        if host is None:
            return PlainTextResponse("A request must name one host.\n", 400)
        if host.name not in self._hosts:
            return PlainTextResponse("This host is not served here.\n", 421)
        lengths = headers_of(scope, b"content-length")
        if any(not length.isdigit() or len(length) > 18 for length in lengths):
            return PlainTextResponse("Content-Length is no number.\n", 400)
        if any(int(length) > self._most_body for length in lengths):
            return _too_large()
        return None

    def _bounded(self, receive: Receive) -> Receive:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self._most_body:
                    raise BodyTooLargeError
            return message

        return bounded


def _too_large() -> PlainTextResponse:
    # Closed, as the rest of the body would be taken for another request, or have to be read.
    return PlainTextResponse("That is too large.\n", 413, {"connection": "close"})
