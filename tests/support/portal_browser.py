"""A browser without a screen: it keeps cookies, and fills in and sends the forms of pages."""

from __future__ import annotations

import socket
from collections.abc import Callable
from html.parser import HTMLParser

import httpx
from wardgate.cli.demo.namespace import NetNamespace

PATIENCE_S = 60.0
"""How long to wait for an answer."""


class Browser:
    """A browser in a network namespace, on the pages of a host."""

    def __init__(self, namespace: NetNamespace, host: str) -> None:
        self._namespace = namespace
        self.base = f"http://{host}"
        self.http = httpx.Client(timeout=PATIENCE_S, follow_redirects=True)
        self.status = 0
        self.text = ""

    def get(self, path: str) -> httpx.Response:
        """Look at a page."""
        return self._keep(self._in_namespace(lambda: self.http.get(self.base + path)))

    def connect(self, host: str, port: int) -> None:
        """Try a TCP connection from the machine; OSError."""
        with self._namespace.enter():
            socket.create_connection((host, port), timeout=PATIENCE_S).close()

    def submit(self, action: str, **fields: str) -> httpx.Response:
        """Fill in and send the form of the page that has this action."""
        forms = [form for form in Forms(self.text).found if form.action == action]
        assert forms, f"no form for {action} in:\n{self.text}"
        data = {**forms[0].hidden, **fields}
        headers = {"origin": self.base, "sec-fetch-site": "same-origin"}
        return self._keep(
            self._in_namespace(lambda: self.http.post(self.base + action, data=data, headers=headers))
        )

    def _in_namespace(self, work: Callable[[], httpx.Response]) -> httpx.Response:
        with self._namespace.enter():
            return work()

    def _keep(self, answer: httpx.Response) -> httpx.Response:
        self.status, self.text = answer.status_code, answer.text
        return answer

    def close(self) -> None:
        """Forget all."""
        self.http.close()


class Form:
    """A form of a page: where it goes, and what it sends by itself."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.hidden: dict[str, str] = {}


class Forms(HTMLParser):
    """The forms of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", "")))
        elif tag == "input" and given.get("type") == "hidden" and self.found:
            self.found[-1].hidden[given["name"]] = given.get("value", "")
