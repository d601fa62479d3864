"""A request of the portal that has been found to be a device's: who, with which browser, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.portal.browsers import Browser, Browsers, Notice
from wardgate.gateway.portal.desk import Desk
from wardgate.gateway.portal.forms import read_form
from wardgate.gateway.portal.hosts import is_same_origin, peer_of
from wardgate.gateway.portal.limits import Limiter
from wardgate.gateway.portal.pages import Pages, duration
from wardgate.gateway.portal.settings import PortalSettings
from wardgate.gateway.records import Device


class Turned(Exception):  # noqa: N818 - an answer, not a fault
    """The request goes no further: `answer` is what it gets."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


@dataclass(slots=True)
class Visit:
    """A request of `device`, from its tunnel address `address`."""

    device: Device
    address: str
    browser: Browser
    fields: Mapping[str, str]


class Visits:
    """Finds out whose a request is. Anything unclear is turned away with a page that says what to do."""

    def __init__(self, desk: Desk, settings: PortalSettings, pages: Pages) -> None:
        self._desk = desk
        self._settings = settings
        self._pages = pages
        self._browsers = Browsers(settings.browser_s)
        self._limiter = Limiter(settings.pages, settings.all_pages)
        # A browser takes a cookie of the first name only over TLS, for this very host and all its paths.
        self._cookie: Final = "__Host-wardgate" if settings.tls else "wardgate"

    async def device(self, request: Request) -> tuple[Device, str]:
        """Whose tunnel address the connection comes from, and the address. Nothing that the request says
        plays a part: WireGuard has checked the address against the peer's key."""
        peer = peer_of(request.scope)
        device = await self._desk.device_at(str(peer)) if peer is not None else None
        if device is None:
            raise Turned(self._pages.answer("unknown.html", 403))
        self.limit(self._limiter, device)
        return device, str(peer)

    def limit(self, limiter: Limiter, device: Device) -> None:
        """Count a try of the device's; Turned where there were too many."""
        wait = limiter.take(device.id)
        if wait:
            raise Turned(self.too_many(wait))

    async def look(self, request: Request) -> Visit:
        """A request that only reads. A browser without a good cookie is given one."""
        device, address = await self.device(request)
        if request.method == "HEAD":
            raise Turned(HTMLResponse(""))
        browser = self._browsers.find(request.cookies.get(self._cookie), device.id, address)
        return Visit(device, address, browser or self._browsers.make(device.id, address), {})

    async def act(self, request: Request) -> Visit:
        """A form that was sent: from a page of ours, by the browser that was given it, and for the first
        time."""
        if not is_same_origin(request.scope, tls=self._settings.tls):
            raise Turned(self.message("Not from here", "Another page sent this form. Nothing was done.", 403))
        device, address = await self.device(request)
        fields = await read_form(request)
        browser = self._browsers.find(request.cookies.get(self._cookie), device.id, address)
        if browser is None or not browser.spend(fields.get("form", ""), request.url.path):
            text = "This form was sent already, or the page was open for too long. Nothing was done."
            raise Turned(self.message("Please try again", text, 403))
        return Visit(device, address, browser, fields)

    def page(self, visit: Visit, template: str, **values: Any) -> Response:
        """A page for the visit's browser."""
        notice = visit.browser.take_notice()
        answer = self._pages.answer(
            template, device=visit.device, browser=visit.browser, notice=notice, **values
        )
        self._give(answer, visit.browser)
        return answer

    def onward(self, visit: Visit, path: str, notice: Notice | None, *, renew: bool = False) -> Response:
        """To the page that shows what a form did. `renew`: with another cookie than before."""
        if renew:
            self.renew(visit)
        visit.browser.notice = notice
        answer = RedirectResponse(path, 303)
        self._give(answer, visit.browser)
        return answer

    def renew(self, visit: Visit) -> None:
        """Another cookie: who knew the old one, knows nothing."""
        visit.browser = self._browsers.replace(visit.browser)

    def message(self, title: str, text: str, status: int) -> Response:
        """A page that says one thing, and leads back."""
        return self._pages.answer("message.html", status, title=title, text=text)

    def too_many(self, wait: float) -> Response:
        """An answer to who asks too often."""
        answer = self.message("Too many requests", f"Try again in {duration(ceil(wait))}.", 429)
        answer.headers["retry-after"] = str(ceil(wait))
        return answer

    def _give(self, answer: Response, browser: Browser) -> None:
        answer.set_cookie(
            self._cookie,
            browser.cookie,
            max_age=int(self._settings.browser_s),
            path="/",
            secure=self._settings.tls,
            httponly=True,
            samesite="strict",
        )


def bad(error: GatewayError) -> Notice:
    """A refusal as the next page says it."""
    return Notice("bad", sentence(error))


def sentence(error: GatewayError) -> str:
    """A refusal for its user."""
    text = f"{error.cause}; {error.remedy}" if error.remedy else error.cause
    return text[:1].upper() + text[1:] + "."
