"""Which browser a form belongs to: short-lived cookies, kept in memory.

A cookie says nothing of who the user is: the tunnel address does. It ties forms to the browser that asked for
them, on the device and at the address that it had, so that no other page, peer or past visit can send one.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

FORMS: Final = 32
"""Forms that a browser may have open; the oldest is forgotten for another."""
BROWSERS_EACH: Final = 8
"""Browsers of one device."""
BROWSERS: Final = 30_000
"""Browsers of all devices."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What the next page says first. `kind`: `good` or `bad`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class PendingSetup:
    """A set-up that was begun in a browser and is not confirmed."""

    method: str
    uri: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that was begun in a browser: what the page asks, and the ticket that comes with the answer.
    `expires`: Unix time."""

    method: str
    ticket: str = field(repr=False)
    text: str = field(repr=False)
    url: str = field(repr=False)
    expires: int


@dataclass(slots=True)
class Browser:
    """One browser. `cookie`: 256 random bits. `expires`: seconds of the clock of Browsers."""

    cookie: str = field(repr=False)
    device: str
    address: str
    expires: float
    notice: Notice | None = None
    setup: PendingSetup | None = None
    login: PendingLogin | None = None
    _forms: OrderedDict[str, str] = field(default_factory=OrderedDict, repr=False)

    def form(self, action: str) -> str:
        """A token for one form with that action: it is good once."""
        token = secrets.token_urlsafe(24)
        self._forms[token] = action
        if len(self._forms) > FORMS:
            self._forms.popitem(last=False)
        return token

    def spend(self, token: str, action: str) -> bool:
        """Whether `token` is of a form with that action which was not sent before; it is spent by this."""
        return self._forms.pop(token, None) == action

    def take_notice(self) -> Notice | None:
        """The notice, which is shown once."""
        notice, self.notice = self.notice, None
        return notice


class Browsers:
    """All browsers that have a page of the portal open. The oldest goes where there are too many: of a device
    that has many, so that no device pushes out another's."""

    def __init__(self, lifetime_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime_s
        self._clock = clock
        # By digest: how long a lookup takes then says nothing of a cookie.
        self._browsers: OrderedDict[bytes, Browser] = OrderedDict()
        self._of_device: dict[str, OrderedDict[bytes, None]] = {}

    def find(self, cookie: str | None, device: str, address: str) -> Browser | None:
        """The browser with this cookie, if it was given to this device at this address."""
        self._expire()
        browser = self._browsers.get(_digest(cookie)) if cookie else None
        if browser is None or browser.device != device or browser.address != address:
            return None
        return browser

    def make(self, device: str, address: str) -> Browser:
        """A new one. Its cookie was never anybody's: what a browser sends is not taken over."""
        self._expire()
        browser = Browser(secrets.token_urlsafe(32), device, address, self._clock() + self._lifetime)
        key = _digest(browser.cookie)
        own = self._of_device.setdefault(device, OrderedDict())
        if len(own) >= BROWSERS_EACH:
            self._drop(next(iter(own)))
        elif len(self._browsers) >= BROWSERS:
            self._drop(next(iter(self._browsers)))
        self._browsers[key] = browser
        self._of_device.setdefault(device, OrderedDict())[key] = None
        return browser

    def replace(self, browser: Browser) -> Browser:
        """A new one in its stead, after a login or logout: the old cookie and its forms are worth nothing."""
        self._drop(_digest(browser.cookie))
        return self.make(browser.device, browser.address)

    def __len__(self) -> int:
        return len(self._browsers)

    def _expire(self) -> None:
        """All live equally long, so the first to end is the first in order."""
        now = self._clock()
        while self._browsers and next(iter(self._browsers.values())).expires <= now:
            self._drop(next(iter(self._browsers)))

    def _drop(self, key: bytes) -> None:
        browser = self._browsers.pop(key, None)
        if browser is not None:
            own = self._of_device[browser.device]
            del own[key]
            if not own:
                del self._of_device[browser.device]


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
