"""Cookies: whose, how long, how many; and forms that are good once."""

from __future__ import annotations

import pytest
from wardgate.gateway.portal import browsers as module
from wardgate.gateway.portal.browsers import BROWSERS_EACH, FORMS, Browsers, Notice


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_cookie_is_for_a_device_and_an_address() -> None:
    browsers = Browsers(900, Clock())
    one = browsers.make("d1", "10.9.0.2")
    assert browsers.find(one.cookie, "d1", "10.9.0.2") is one
    assert browsers.find(one.cookie, "d2", "10.9.0.2") is None
    assert browsers.find(one.cookie, "d1", "10.9.0.3") is None
    assert browsers.find(one.cookie[:-1], "d1", "10.9.0.2") is None
    assert browsers.find("", "d1", "10.9.0.2") is None
    assert browsers.find(None, "d1", "10.9.0.2") is None


def test_cookies_differ_and_cannot_be_guessed() -> None:
    browsers = Browsers(900, Clock())
    found = {browsers.make(f"d{number}", "10.9.0.2").cookie for number in range(500)}
    assert len(found) == 500
    assert all(len(cookie) >= 43 for cookie in found)


def test_a_cookie_ends() -> None:
    clock = Clock()
    browsers = Browsers(900, clock)
    one = browsers.make("d1", "10.9.0.2")
    clock.now = 899
    assert browsers.find(one.cookie, "d1", "10.9.0.2") is one
    clock.now = 900
    assert browsers.find(one.cookie, "d1", "10.9.0.2") is None
    assert len(browsers) == 0


def test_a_replaced_cookie_is_worth_nothing() -> None:
    browsers = Browsers(900, Clock())
    old = browsers.make("d1", "10.9.0.2")
    token = old.form("/login")
    new = browsers.replace(old)
    assert new.cookie != old.cookie
    assert browsers.find(old.cookie, "d1", "10.9.0.2") is None
    assert not new.spend(token, "/login")


def test_a_form_is_good_once_and_for_its_action() -> None:
    browser = Browsers(900, Clock()).make("d1", "10.9.0.2")
    token = browser.form("/login")
    assert browser.spend(token, "/login")
    assert not browser.spend(token, "/login")
    other = browser.form("/logout")
    assert not browser.spend(other, "/login")
    assert not browser.spend(other, "/logout")
    assert not browser.spend("", "/login")


def test_open_forms_are_bounded() -> None:
    browser = Browsers(900, Clock()).make("d1", "10.9.0.2")
    tokens = [browser.form("/login") for _ in range(FORMS + 1)]
    assert not browser.spend(tokens[0], "/login")
    assert all(browser.spend(token, "/login") for token in tokens[1:])


def test_a_device_pushes_out_its_own_browsers_only() -> None:
    browsers = Browsers(900, Clock())
    other = browsers.make("d2", "10.9.0.3")
    own = [browsers.make("d1", "10.9.0.2") for _ in range(BROWSERS_EACH + 3)]
    kept = [one for one in own if browsers.find(one.cookie, "d1", "10.9.0.2")]
    assert kept == own[3:]
    assert browsers.find(other.cookie, "d2", "10.9.0.3") is other


def test_all_browsers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BROWSERS", 5)
    browsers = Browsers(900, Clock())
    made = [browsers.make(f"d{number}", "10.9.0.2") for number in range(9)]
    assert len(browsers) == 5
    assert [browsers.find(one.cookie, one.device, one.address) is one for one in made] == [False] * 4 + [
        True
    ] * 5


def test_a_notice_is_shown_once() -> None:
    browser = Browsers(900, Clock()).make("d1", "10.9.0.2")
    browser.notice = Notice("good", "done")
    assert browser.take_notice() == Notice("good", "done")
    assert browser.take_notice() is None
