"""A browser as far as the portal needs one: pages, their forms, cookies. No JavaScript."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

from wardgate.cli.demo.namespace import NetNamespace

if TYPE_CHECKING:
    import httpx

_PATIENCE_S = 60.0


class PortalError(RuntimeError):
    """The portal did not show what a user would look for."""


class Browser:
    """On a machine in `namespace`; `origin` is the portal's address, as `http://HOST`."""

    def __init__(self, namespace: NetNamespace, origin: str) -> None:
        import httpx

        self.text = ""
        """Of the page that is shown."""
        self._namespace = namespace
        self._origin = origin
        self._http = httpx.Client(timeout=_PATIENCE_S, follow_redirects=True, trust_env=False)

    def open(self, path: str) -> int:
        """Go to a page; the HTTP status."""
        return self._send("GET", path, None)

    def submit(self, action: str, **fields: str) -> int:
        """Fill in the form of this page that has `action`, and send it; the HTTP status."""
        forms = _Forms(self.text).found
        if action not in forms:
            raise PortalError(f"the portal's page has no form for {action}: it says {_words(self.text)!r}")
        return self._send("POST", action, {**forms[action], **fields})

    def _send(self, method: str, path: str, form: dict[str, str] | None) -> int:
        # What a browser says of where a form comes from.
        headers = {"origin": self._origin, "sec-fetch-site": "same-origin"} if form is not None else {}
        with self._namespace.enter():
            answer: httpx.Response = self._http.request(
                method, self._origin + path, data=form, headers=headers
            )
        self.text = answer.text
        return answer.status_code

    def close(self) -> None:
        """Forget everything."""
        self._http.close()


class _Forms(HTMLParser):
    """The hidden fields of each form of a page, by the form's action."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields = self.found.setdefault(given.get("action", ""), {})
        elif tag == "input" and given.get("type") == "hidden":
            self._fields[given.get("name", "")] = given.get("value", "")


class _Words(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.found += data.split()


def _words(page: str) -> str:
    return " ".join(_Words(page).found)[:200]
