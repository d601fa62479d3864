"""The portal inside the tunnel: what a session is, and how to log in, renew it and log out."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import segno
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from wardgate.gateway.errors import BusyError, GatewayError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.portal.browsers import Notice, PendingSetup
from wardgate.gateway.portal.desk import AUTHORISED, Desk, MethodView
from wardgate.gateway.portal.guard import Guard
from wardgate.gateway.portal.hosts import is_cross_site
from wardgate.gateway.portal.limits import Limiter, Places
from wardgate.gateway.portal.live import event_stream
from wardgate.gateway.portal.methods import RecoveryMethod, page_of
from wardgate.gateway.portal.pages import Pages, StaticFiles
from wardgate.gateway.portal.settings import MOST_BODY, PortalSettings
from wardgate.gateway.portal.visits import Turned, Visit, Visits
from wardgate.gateway.records import Device

_log: Final = logging.getLogger("wardgate.gateway.portal")


def portal_app(desk: Desk, settings: PortalSettings) -> ASGIApp:
    """The portal as an ASGI application. It must be reachable through the tunnel only: an address there is
    what tells one user from another."""
    portal = _Portal(desk, settings)
    routes = [
        Route("/", portal.answering(portal.state)),
        Route("/login", portal.answering(portal.login_page), methods=["GET"]),
        Route("/login", portal.answering(portal.login), methods=["POST"]),
        Route("/logout", portal.answering(portal.logout), methods=["POST"]),
        Route("/setup", portal.answering(portal.setup_page), methods=["GET"]),
        Route("/setup/begin", portal.answering(portal.begin_setup), methods=["POST"]),
        Route("/setup/confirm", portal.answering(portal.confirm_setup), methods=["POST"]),
        Route("/events", portal.answering(portal.events)),
        Route("/static/{name}", StaticFiles("icon.svg", "portal.css", "portal.js").answer),
    ]
    # A Router and no Starlette, which would answer faults by itself.
    app = Router(routes, redirect_slashes=False, default=portal.nothing)
    return Guard(app, hosts=settings.hosts, tls=settings.tls, most_body=MOST_BODY)


class _Portal:
    def __init__(self, desk: Desk, settings: PortalSettings) -> None:
        self._desk = desk
        self._settings = settings
        self._pages = Pages(static="/static", home="/")
        self._visits = Visits(desk, settings, self._pages)
        self._logins = Limiter(settings.logins, settings.all_logins)
        self._streams = Places(settings.streams, settings.all_streams)

    def answering(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """`endpoint`, with its refusals as pages."""

        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Turned as turned:
                return turned.answer
            except InvalidError as error:
                return self._visits.message("That makes no sense here", _sentence(error), 400)
            except (RefusedError, NotFoundError) as error:
                return self._visits.message("That was refused", _sentence(error), 403)
            except BusyError as error:
                answer = self._visits.message("Please try again soon", error.cause, 503)
                answer.headers["retry-after"] = "5"
                return answer

        return answer

    async def nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for what has no page."""
        answer = self._visits.message("There is nothing here", "The address of the page is wrong.", 404)
        await answer(scope, receive, send)

    async def state(self, request: Request) -> Response:
        """The device's session; where there is none, also the way to one."""
        visit = await self._visits.look(request)
        view = await self._desk.session(visit.device.id)
        values: dict[str, Any] = {"view": view, "authorised": view.state == AUTHORISED, "now": time.time()}
        if not values["authorised"]:
            values.update(await self._login_values(visit, None))
        return self._visits.page(visit, "state.html", **values)

    async def login_page(self, request: Request) -> Response:
        """A login whatever the session's state: while it runs, that renews it."""
        visit = await self._visits.look(request)
        view = await self._desk.session(visit.device.id)
        values = await self._login_values(visit, request.query_params.get("method"))
        return self._visits.page(
            visit, "login.html", view=view, authorised=view.state == AUTHORISED, now=time.time(), **values
        )

    async def login(self, request: Request) -> Response:
        """Check what the user answered; then the session begins, or goes on for longer."""
        visit = await self._visits.act(request)
        device = visit.device
        wait = self._logins.take(device.id)
        if wait:
            return self._visits.too_many(wait)
        method = await self._chosen(device, visit.fields.get("method", ""))
        try:
            if device.locked:
                raise RefusedError("log in", device.name, "this device is locked", "ask your administrator")
            code = _tidy(visit.fields.get("code", ""))
            proof = await self._desk.challenges.verify(device.user, method.name, code, device=device.id)
            if proof.user != device.user:
                raise RefusedError("log in", device.name, "this is another user's answer")
            await self._desk.login(device, proof)
        except (RefusedError, InvalidError, NotFoundError) as error:
            _log.info(
                "login refused", extra={"device": device.id, "user": device.user, "method": method.name}
            )
            return self._visits.onward(visit, f"/login?method={method.name}", _bad(error))
        _log.info("login", extra={"device": device.id, "user": device.user, "method": method.name})
        return self._visits.onward(visit, "/", Notice("good", "You are logged in."), renew=True)

    async def logout(self, request: Request) -> Response:
        """End the session."""
        visit = await self._visits.act(request)
        await self._desk.logout(visit.device)
        return self._visits.onward(visit, "/", Notice("good", "You are logged out."), renew=True)

    async def setup_page(self, request: Request) -> Response:
        """Begin a set-up, or go on with the one that this browser began."""
        visit = await self._visits.look(request)
        await self._refuse_setup(visit.device)
        pending = visit.browser.setup
        if pending is None:
            return self._visits.page(visit, "setup.html", methods=self._desk.challenges.methods)
        label = next(
            (m.label for m in self._desk.challenges.methods if m.name == pending.method), pending.method
        )
        return self._visits.page(
            visit,
            "setup_confirm.html",
            pending=pending,
            label=label,
            page=page_of(pending.method),
            qr=_qr(pending.uri),
        )

    async def begin_setup(self, request: Request) -> Response:
        """Have a secret made."""
        visit = await self._visits.act(request)
        await self._refuse_setup(visit.device)
        wait = self._logins.take(visit.device.id)
        if wait:
            return self._visits.too_many(wait)
        name = visit.fields.get("method", "")
        if name not in {method.name for method in self._desk.challenges.methods}:
            raise InvalidError(
                "set up", "method", "there is no such method", "choose one that the page offers"
            )
        user = visit.device.user
        try:
            setup = await self._desk.challenges.begin_setup(f"device:{visit.device.id}", user, name)
        except RefusedError as error:
            return self._visits.onward(visit, "/", _bad(error))
        visit.browser.setup = PendingSetup(name, setup.uri, setup.secret)
        return self._visits.onward(visit, "/setup", None)

    async def confirm_setup(self, request: Request) -> Response:
        """See that it works. The recovery codes are in this answer and nowhere else: kept for a redirect,
        they would be in memory for whoever comes next."""
        visit = await self._visits.act(request)
        await self._refuse_setup(visit.device)
        wait = self._logins.take(visit.device.id)
        if wait:
            return self._visits.too_many(wait)
        pending = visit.browser.setup
        if pending is None:
            return self._visits.onward(visit, "/setup", Notice("bad", "Begin again: this took too long."))
        code = _tidy(visit.fields.get("code", ""))
        try:
            codes = await self._desk.challenges.confirm_setup(visit.device.user, pending.method, code)
        except (RefusedError, InvalidError) as error:
            return self._visits.onward(visit, "/setup", _bad(error))
        self._visits.renew(visit)
        return self._visits.page(visit, "codes.html", codes=codes)

    async def events(self, request: Request) -> Response:
        """What happens to the device, as it happens."""
        device, address = await self._visits.device(request)
        if is_cross_site(request.scope):
            return self._visits.message("Not from here", "Another page asked for this.", 403)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if not self._streams.take(device.id):
            return self._visits.too_many(30)

        async def still() -> bool:
            found = await self._desk.device_at(address)
            return found is not None and found.id == device.id

        stream = event_stream(
            self._desk, device, still=still, ping_s=self._settings.ping_s, stream_s=self._settings.stream_s
        )

        async def over() -> None:
            self._streams.leave(device.id)
            await stream.aclose()

        return _Stream(stream, over)

    async def _login_values(self, visit: Visit, wanted: str | None) -> dict[str, Any]:
        """What the form of a login needs, or why there is none."""
        user = visit.device.user
        methods = list(await self._desk.challenges.methods_of(user))
        locked_until = (await self._desk.challenges.state(user, visit.device.id)).locked_until
        offered: list[MethodView] = [*methods, RecoveryMethod()] if methods else []
        chosen = next((m for m in offered if m.name == wanted), offered[0] if offered else None)
        return {
            "locked_until": locked_until if locked_until > time.time() else 0,
            "method": chosen,
            "others": [m for m in offered if m is not chosen],
            "page": page_of(chosen.name) if chosen else None,
        }

    async def _chosen(self, device: Device, name: str) -> MethodView:
        offered = [*await self._desk.challenges.methods_of(device.user), RecoveryMethod()]
        for method in offered:
            if method.name == name:
                return method
        raise InvalidError("log in", "method", "you have no such method", "choose one that the page offers")

    async def _refuse_setup(self, device: Device) -> None:
        """Who has a second factor may not replace it by what a device alone proves; and a locked device
        proves nothing."""
        if device.locked:
            raise Turned(self._visits.message("This device is locked", "Ask your administrator.", 403))
        if await self._desk.challenges.methods_of(device.user):
            text = "You have a second factor. To replace it, ask your administrator to reset it."
            raise Turned(self._visits.message("This is set up already", text, 403))


class _Stream(StreamingResponse):
    """A stream that is closed however it ends, also where the other side goes away while it is written."""

    def __init__(self, content: Any, over: Callable[[], Awaitable[None]]) -> None:
        # no-transform: nothing on the way may hold events back to compress them.
        super().__init__(
            content, media_type="text/event-stream", headers={"cache-control": "no-store, no-transform"}
        )
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._over()


def _tidy(code: str) -> str:
    """Without the spaces that people type or copy along."""
    return "".join(code.split())


def _bad(error: GatewayError) -> Notice:
    return Notice("bad", _sentence(error))


def _sentence(error: GatewayError) -> str:
    text = f"{error.cause}; {error.remedy}" if error.remedy else error.cause
    return text[:1].upper() + text[1:] + "."


def _qr(uri: str) -> str:
    """Inline SVG: no image is fetched, and no secret is in an address."""
    return segno.make(uri, error="m", micro=False).svg_inline(scale=5, border=4, light="#fff", omitsize=True)
