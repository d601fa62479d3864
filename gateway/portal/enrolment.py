"""The public enrolment page and API: a token and a public key become a device and its configuration.

Nobody is known here but by a token, so there are no cookies: nothing that a browser adds to a request by
itself lets it do anything. Whatever is wrong with a token, the answer is the same.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from wardgate.gateway.errors import BusyError, ExistsError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.portal.desk import Desk
from wardgate.gateway.portal.forms import read_form
from wardgate.gateway.portal.guard import Guard
from wardgate.gateway.portal.hosts import (
    is_cross_site,
    is_encrypted,
    is_same_origin,
    neighbourhood,
    source_of,
)
from wardgate.gateway.portal.limits import Limiter
from wardgate.gateway.portal.pages import Pages, StaticFiles, duration
from wardgate.gateway.portal.settings import MOST_BODY, EnrolmentSettings
from wardgate.gateway.records import Device

BAD_TOKEN: Final = "This token is no good: it is mistyped, used up or expired. Ask for another."  # noqa: S105
MOST_TOKEN: Final = 256
MOST_NAME: Final = 64

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
"""What may be in a header and be the name of a file."""

_log: Final = logging.getLogger("wardgate.gateway.portal")


def enrolment_app(desk: Desk, settings: EnrolmentSettings) -> ASGIApp:
    """The page at /enrol and the API at /enrol/api as an ASGI application."""
    enrolment = _Enrolment(desk, settings)
    routes = [
        Route("/", enrolment.front),
        Route("/enrol", enrolment.page, methods=["GET"]),
        Route("/enrol", enrolment.form, methods=["POST"]),
        Route("/enrol/api", enrolment.api, methods=["POST"]),
        Route("/enrol/static/{name}", StaticFiles("icon.svg", "portal.css", "qr.js", "enrol.js").answer),
    ]
    app = Router(routes, redirect_slashes=False, default=enrolment.nothing)
    return Guard(app, hosts=settings.hosts, tls=settings.tls, most_body=MOST_BODY)


@dataclass(frozen=True, slots=True)
class _Request:
    token: str
    name: str
    public_key: str


class _RefusalError(Exception):
    """What the client is told: a status and a text; `wait`: seconds, where it may try again then."""

    def __init__(self, status: int, text: str, wait: float = 0) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = {"retry-after": str(ceil(wait))} if wait else {}


class _Enrolment:
    def __init__(self, desk: Desk, settings: EnrolmentSettings) -> None:
        self._desk = desk
        self._settings = settings
        self._pages = Pages(static="/enrol/static", home="/enrol")
        self._looks = Limiter(settings.pages, settings.all_pages)
        self._attempts = Limiter(settings.attempts, settings.all_attempts)

    async def nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for what has no page."""
        text = "The address of the page is wrong."
        answer = self._pages.answer("message.html", 404, title="There is nothing here", text=text)
        await answer(scope, receive, send)

    async def front(self, _request: Request) -> Response:
        """To the page. A browser takes the part behind # along."""
        return RedirectResponse("/enrol", 303)

    async def page(self, request: Request) -> Response:
        """The form."""
        wait = self._looks.take(self._source(request))
        if wait:
            refusal = _RefusalError(429, f"Too many requests. Try again in {duration(ceil(wait))}.", wait)
            return self._shown(refusal, "")
        return self._pages.answer("enrol.html", name="", notice=None)

    async def form(self, request: Request) -> Response:
        """The form as it is sent without JavaScript: the answer is a page or a file."""
        name = ""
        try:
            settings = self._settings
            tls = is_encrypted(request.scope, settings.trusted_proxies, tls=settings.tls)
            if not is_same_origin(request.scope, tls=tls):
                raise _RefusalError(403, "Another page sent this form. Nothing was done.")
            self._limit(request)
            try:
                fields = await read_form(request)
            except InvalidError as error:
                raise _RefusalError(400, f"{error.cause}; {error.remedy}") from None
            name = fields.get("name", "")[:MOST_NAME]
            device, name, text = await self._enrol(_checked(fields))
        except _RefusalError as refusal:
            return self._shown(refusal, name)
        if fields.get("as") == "file":
            attached = {"content-disposition": f'attachment; filename="{name}"'}
            return Response(text, media_type="application/octet-stream", headers=attached)
        return self._pages.answer("enrolled.html", device=device, file_name=name, configuration=text)

    async def api(self, request: Request) -> Response:
        """JSON in and out; docs/portal.md has the shapes."""
        try:
            # A page of another site cannot send this type without asking first, and is not answered.
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise _RefusalError(415, "The body must be application/json.")
            if is_cross_site(request.scope):
                raise _RefusalError(403, "Another page sent this. Nothing was done.")
            self._limit(request)
            device, name, text = await self._enrol(_checked(_document(await request.body())))
        except _RefusalError as refusal:
            return JSONResponse({"error": refusal.text}, refusal.status, refusal.headers)
        return JSONResponse(
            {
                "device": f"{device.user}/{device.name}",
                "addresses": list(device.addresses),
                "file_name": name,
                "configuration": text,
            }
        )

    async def _enrol(self, request: _Request) -> tuple[Device, str, str]:
        """The device, and its configuration's name and text."""
        try:
            enrolled = await self._desk.enrolment.enrol(request.token, request.name, request.public_key)
        except (RefusedError, NotFoundError) as error:
            # The log says which; the target is the token's public part at most.
            _log.info("enrolment refused", extra={"cause": error.cause})
            raise _RefusalError(403, BAD_TOKEN) from None
        except ExistsError as error:
            raise _RefusalError(409, _sentence(error.cause, error.remedy)) from None
        except InvalidError as error:
            raise _RefusalError(400, _sentence(error.cause, error.remedy)) from None
        except BusyError:
            raise _RefusalError(503, "The gateway is busy. Try again soon.", 5) from None
        device = enrolled.device
        _log.info("enrolled", extra={"device": device.id, "user": device.user})
        configuration = await self._desk.configuration(device)
        name = configuration.file_name
        return device, name if _FILE_NAME.fullmatch(name) else "wardgate.conf", configuration.text(None)

    def _source(self, request: Request) -> str:
        return neighbourhood(source_of(request.scope, self._settings.trusted_proxies))

    def _limit(self, request: Request) -> None:
        wait = self._attempts.take(self._source(request))
        if wait:
            raise _RefusalError(429, f"Too many attempts. Try again in {duration(ceil(wait))}.", wait)

    def _shown(self, refusal: _RefusalError, name: str) -> Response:
        answer = self._pages.answer("enrol.html", refusal.status, name=name, notice=refusal.text)
        answer.headers.update(refusal.headers)
        return answer


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise _RefusalError(400, "The body is no JSON.") from None
    if not isinstance(found, dict):
        raise _RefusalError(400, "The body must be an object.")
    return found


def _checked(fields: Mapping[str, Any]) -> _Request:
    """What can be seen to be wrong without knowing any token."""
    token, name, key = (fields.get(field) for field in ("token", "name", "public_key"))
    if not isinstance(token, str) or not isinstance(name, str) or not isinstance(key, str):
        raise _RefusalError(400, "token, name and public_key are needed, as texts.")
    token, name, key = token.strip(), name.strip(), key.strip()
    if not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise _RefusalError(400, f"A name has 1 to {MOST_NAME} characters that can be seen.")
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    # Only one of the texts that stand for the same bytes: two would be two keys for whoever compares texts.
    if len(raw) != 32 or base64.b64encode(raw).decode() != key:
        raise _RefusalError(400, "A public key is 44 characters long, as wg pubkey prints it.")
    if not 0 < len(token) <= MOST_TOKEN or not token.isascii() or not token.isprintable():
        raise _RefusalError(403, BAD_TOKEN)
    return _Request(token, name, key)


def _sentence(cause: str, remedy: str) -> str:
    text = f"{cause}; {remedy}" if remedy else cause
    return text[:1].upper() + text[1:] + "."
