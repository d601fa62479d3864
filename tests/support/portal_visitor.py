"""A browser without JavaScript, as far as forms, cookies and their headers go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from httpx import ASGITransport, AsyncClient, Cookies, Response
from starlette.types import ASGIApp

TUNNEL = "http://10.9.0.1"


@dataclass
class Form:
    """A form of a page."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(found["action"]))
        elif tag == "input" and "name" in found:
            self.forms[-1].fields[found["name"]] = found.get("value", "")
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])


def forms_of(page: str) -> list[Form]:
    """All forms of a page."""
    parser = _Forms()
    parser.feed(page)
    return parser.forms


def links_of(page: str) -> list[str]:
    """Where a page leads."""
    parser = _Forms()
    parser.feed(page)
    return parser.links


class Client:
    """Sends requests to an application as if from an address, and keeps cookies."""

    def __init__(self, app: ASGIApp, base: str, address: str) -> None:
        self._app = app
        self._base = base
        self._address = address
        self.cookies = Cookies()

    def request(self, method: str, path: str, **more: Any) -> Response:
        """What comes back; what the application raises is raised here."""

        async def run() -> Response:
            transport = ASGITransport(app=self._app, client=(self._address, 40_000))
            async with AsyncClient(transport=transport, base_url=self._base, cookies=self.cookies) as client:
                answer = await client.request(method, path, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(run())


class Visitor:
    """Someone at a tunnel address. `origin`: what forms say where they come from; None: nothing."""

    def __init__(self, app: ASGIApp, address: str, base: str = TUNNEL) -> None:
        self.client = Client(app, base, address)
        self.origin: str | None = base

    def get(self, path: str, **more: Any) -> Response:
        """A page."""
        return self.client.request("GET", path, **more)

    def form(self, path: str, action: str) -> Form:
        """A form on a page."""
        page = self.get(path)
        found = [form for form in forms_of(page.text) if form.action == action]
        assert found, page.text
        return found[0]

    def send(self, form: Form, headers: dict[str, str] | None = None, **fields: str) -> Response:
        """What comes back for a form that is filled in."""
        origin = {"origin": self.origin} if self.origin is not None else {}
        sent = {**origin, **(headers or {})}
        return self.client.request("POST", form.action, data={**form.fields, **fields}, headers=sent)

    def submit(self, path: str, action: str, **fields: str) -> Response:
        """Both."""
        return self.send(self.form(path, action), **fields)

    def login(self, code: str, method: str = "totp") -> Response:
        """Log in."""
        return self.submit(f"/login?method={method}", "/login", code=code)

    @property
    def cookie(self) -> str | None:
        """The one that the portal gave."""
        return next((one.value for one in self.client.cookies.jar if "wardgate" in one.name), None)
