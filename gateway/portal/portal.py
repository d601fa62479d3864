"""The portal inside the tunnel: what a session is, and how to log in, renew it and log out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from wardgate.gateway.errors import BusyError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.portal.browsers import Notice, PendingLogin
from wardgate.gateway.portal.desk import AUTHORISED, Desk
from wardgate.gateway.portal.factors import Factors
from wardgate.gateway.portal.guard import Guard
from wardgate.gateway.portal.hosts import is_cross_site
from wardgate.gateway.portal.limits import Limiter, Places
from wardgate.gateway.portal.live import event_stream
from wardgate.gateway.portal.logins import LoginForms
from wardgate.gateway.portal.methods import page_of, scripts
from wardgate.gateway.portal.pages import Pages, StaticFiles
from wardgate.gateway.portal.settings import MOST_BODY, PortalSettings
from wardgate.gateway.portal.visits import Turned, Visits, bad, sentence

_log: Final = logging.getLogger("wardgate.gateway.portal")


def portal_app(desk: Desk, settings: PortalSettings) -> ASGIApp:
    """The portal as an ASGI application. It must be reachable through the tunnel only: an address there is
    what tells one user from another."""
    portal = _Portal(desk, settings)
    factors = portal.factors
    routes = [
        Route("/", portal.answering(portal.state)),
        Route("/login", portal.answering(portal.login_page), methods=["GET"]),
        Route("/login", portal.answering(portal.login), methods=["POST"]),
        Route("/login/begin", portal.answering(portal.begin_login), methods=["POST"]),
        Route("/login/return/{method}", portal.answering(portal.return_page), methods=["GET"]),
        Route("/logout", portal.answering(portal.logout), methods=["POST"]),
        Route("/setup", portal.answering(factors.setup_page), methods=["GET"]),
        Route("/setup/begin", portal.answering(factors.begin_setup), methods=["POST"]),
        Route("/setup/confirm", portal.answering(factors.confirm_setup), methods=["POST"]),
        Route("/recovery", portal.answering(factors.recovery_page), methods=["GET"]),
        Route("/recovery", portal.answering(factors.renew_recovery), methods=["POST"]),
        Route("/events", portal.answering(portal.events)),
        Route("/static/{name}", StaticFiles("icon.svg", "portal.css", "portal.js", *scripts()).answer),
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
        self._forms = LoginForms(desk.challenges)
        self._logins = Limiter(settings.logins, settings.all_logins)
        self.factors = Factors(desk, self._visits, self._forms, self._logins)
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
                return self._visits.message("That makes no sense here", sentence(error), 400)
            except (RefusedError, NotFoundError) as error:
                return self._visits.message("That was refused", sentence(error), 403)
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
        authorised = view.state == AUTHORISED
        values: dict[str, Any] = {"view": view, "authorised": authorised}
        if authorised:
            values["now"] = time.time()
            values["recovery_left"] = await self._desk.challenges.recovery_left(visit.device.user)
        else:
            values.update(await self._forms.values(visit, None, renews=False))
        return self._visits.page(visit, "state.html", **values)

    async def login_page(self, request: Request) -> Response:
        """A login whatever the session's state: while it runs, that renews it."""
        visit = await self._visits.look(request)
        view = await self._desk.session(visit.device.id)
        authorised = view.state == AUTHORISED
        wanted = request.query_params.get("method")
        values = await self._forms.values(visit, wanted, renews=authorised)
        return self._visits.page(visit, "login.html", view=view, authorised=authorised, **values)

    async def begin_login(self, request: Request) -> Response:
        """Have a method pose its question; the page that asked for it shows it."""
        visit = await self._visits.act(request)
        device = visit.device
        self._visits.limit(self._logins, device)
        method = await self._forms.chosen(device, visit.fields.get("method", ""))
        page = "/recovery" if visit.fields.get("next") == "/recovery" else "/login"
        visit.browser.login = None
        try:
            if device.locked:
                raise _locked(device.name)
            begun = await self._desk.challenges.pose(device.user, method.name, device=device.id)
        except RefusedError as error:
            return self._visits.onward(visit, f"{page}?method={method.name}", bad(error))
        visit.browser.login = PendingLogin(method.name, begun.ticket, begun.text, begun.url, begun.expires)
        return self._visits.onward(visit, f"{page}?method={method.name}", None)

    async def return_page(self, request: Request) -> Response:
        """Where a user comes back to from elsewhere, with the answer in the query. It does nothing by itself:
        another site led here, so no cookie came along, and the user sends the form."""
        visit = await self._visits.look(request)
        method = await self._forms.chosen(visit.device, request.path_params["method"])
        ticket, code = request.query_params.get("state"), request.query_params.get("code")
        if not ticket or not code:
            text = "The login was not completed there. Begin it anew."
            raise Turned(self._visits.message("No login", text, 400))
        return self._visits.page(visit, "return.html", method=method, ticket=ticket, code=code)

    async def login(self, request: Request) -> Response:
        """Check what the user answered; then the session begins, or goes on for longer."""
        visit = await self._visits.act(request)
        device = visit.device
        self._visits.limit(self._logins, device)
        method = await self._forms.chosen(device, visit.fields.get("method", ""))
        code = page_of(method.name).tidy(visit.fields.get("code", ""))
        visit.browser.login = None
        try:
            if device.locked:
                raise _locked(device.name)
            proof = await self._desk.challenges.verify(
                device.user, method.name, code, device=device.id, ticket=visit.fields.get("ticket", "")
            )
            if proof.user != device.user:
                raise RefusedError("log in", device.name, "this is another user's answer")
            await self._desk.login(device, proof)
        except (RefusedError, InvalidError, NotFoundError) as error:
            _log.info(
                "login refused", extra={"device": device.id, "user": device.user, "method": method.name}
            )
            return self._visits.onward(visit, f"/login?method={method.name}", bad(error))
        _log.info("login", extra={"device": device.id, "user": device.user, "method": method.name})
        return self._visits.onward(visit, "/", Notice("good", "You are logged in."), renew=True)

    async def logout(self, request: Request) -> Response:
        """End the session. One that has ended by itself is over as well."""
        visit = await self._visits.act(request)
        with contextlib.suppress(NotFoundError):
            await self._desk.logout(visit.device)
        return self._visits.onward(visit, "/", Notice("good", "You are logged out."), renew=True)

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


def _locked(device: str) -> RefusedError:
    return RefusedError("log in", device, "this device is locked", "ask your administrator")
