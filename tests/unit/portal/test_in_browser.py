"""The pages in a real browser, with JavaScript and without, on a phone and on a desktop."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from drawn_codes import codes_in
from playwright.sync_api import Page, expect
from portal_desk import GATEWAY_KEY, HOSTILE, SETUP_TEXT, MemoryDesk, Named, Shown, device, office
from portal_server import Served, served
from wardgate.gateway.portal import (
    EnrolmentSettings,
    NeedsLoginEvent,
    PortalSettings,
    Rate,
    SessionView,
    enrolment_app,
    portal_app,
)

pytestmark = pytest.mark.tool("chromium")

# As good as none: 0 is its default.
expect.set_options(timeout=86_400_000)
OFTEN = Rate(10_000, 100_000)
PORTAL = PortalSettings(("127.0.0.1",), pages=OFTEN, logins=OFTEN)
ENROLMENT = EnrolmentSettings(("127.0.0.1",), tls=False, pages=OFTEN, attempts=OFTEN)
AT = "127.0.0.1"


@pytest.fixture
def desk() -> MemoryDesk:
    return office()


@pytest.fixture
def portal(desk: MemoryDesk):
    with served(portal_app(desk, PORTAL)) as found:
        yield found


@pytest.fixture
def enrolment(desk: MemoryDesk):
    with served(enrolment_app(desk, ENROLMENT)) as found:
        yield found


def opened(page: Page, portal: Served, desk: MemoryDesk, path: str = "/") -> Page:
    """The page, whose stream of events has begun with the state as it is: what happens now is news to it."""
    before = portal.run(lambda: desk.looks)
    page.goto(portal.origin + path)
    while portal.run(lambda: desk.looks) != before + 2:
        time.sleep(0.01)
    return page


def log_in(page: Page, code: str) -> None:
    page.get_by_label("Code of your authenticator app").fill(code)
    page.get_by_role("button").first.click()


@pytest.mark.parametrize("scripts", [True, False], ids=["js", "no js"])
def test_login_renewal_and_logout(desk: MemoryDesk, portal: Served, tab, scripts: bool) -> None:
    page = tab(scripts=scripts, phone=True)
    page.goto(portal.origin)
    log_in(page, "999999")
    expect(page.get_by_role("alert")).to_have_text(
        "The code is wrong or was used before; enter the next one."
    )
    log_in(page, "111 111")
    expect(page.get_by_role("heading")).to_have_text("Your session")
    expect(page.locator(".notice")).to_have_text("You are logged in.")
    page.get_by_role("link", name="Renew").click()
    log_in(page, "222222")
    expect(page.get_by_role("heading")).to_have_text("Your session")
    assert desk.logins == [("d1", "totp")] * 2
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading")).to_have_text("Log in")
    page.get_by_role("link", name="Recovery code").click()
    page.get_by_label("Recovery code").fill("k1wq-7hfz")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading")).to_have_text("Your session")
    # Nothing that was sent is sent again.
    page.reload()
    page.go_back()
    expect(page.get_by_role("heading")).to_be_visible()
    assert len(desk.challenges.asked) == 4


@pytest.mark.parametrize("scripts", [True, False], ids=["js", "no js"])
def test_first_set_up(desk: MemoryDesk, portal: Served, tab, scripts: bool) -> None:
    desk.devices[AT] = desk.devices["127.0.0.2"]
    page = tab(scripts=scripts)
    page.goto(portal.origin)
    page.get_by_role("link", name="Set one up").click()
    page.get_by_role("button", name="Set up: Authenticator app").click()
    expect(page.locator(".secret")).to_have_text(SETUP_TEXT)
    reader = tab()
    assert codes_in(reader, page.locator(".qr").screenshot()) == [
        f"otpauth://totp/Wardgate:bob?secret={SETUP_TEXT}&issuer=Wardgate"
    ]
    page.get_by_label("Type the code that it shows").fill("444444")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("listitem")).to_have_count(8)
    assert page.get_by_role("button", name="Print").is_visible() is scripts
    page.get_by_role("link", name="I have kept them").click()
    log_in(page, "555555")
    expect(page.get_by_role("heading")).to_have_text("Your session")


@pytest.mark.parametrize("scripts", [True, False], ids=["js", "no js"])
def test_new_recovery_codes(desk: MemoryDesk, portal: Served, tab, scripts: bool) -> None:
    desk.sessions["d1"] = SessionView("authorised", 600, None, 1, "totp")
    page = tab(scripts=scripts, phone=True)
    page.goto(portal.origin)
    expect(page.locator(".warning")).to_contain_text("You have 1 recovery code left.")
    page.get_by_role("link", name="Make new ones").click()
    log_in(page, "111111")
    expect(page.get_by_role("listitem")).to_have_count(8)
    assert fits(page)
    assert accessible(page) == []
    # Nothing that happens takes them away: the page does not listen.
    portal.run(lambda: desk.end("d1", "your network changed"))
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading")).to_have_text("Log in")


@pytest.mark.parametrize("scripts", [True, False], ids=["js", "no js"])
def test_a_login_with_a_question(desk: MemoryDesk, portal: Served, tab, scripts: bool) -> None:
    desk.challenges.confirmed["alice"] = [Named("signer", "Signing device")]
    desk.challenges.codes["alice", "signer"] = ["right"]
    desk.challenges.posing = {"signer"}
    desk.challenges.question = ("3" * 200, "")
    page = tab(scripts=scripts, phone=True)
    page.goto(portal.origin)

    def answer(code: str) -> None:
        page.get_by_role("button", name="Signing device").click()
        expect(page.locator("#question")).to_have_text("3" * 200)
        page.get_by_label("Signing device: answer").fill(code)
        page.get_by_role("button", name="Log in").click()

    answer("wrong")
    expect(page.get_by_role("alert")).to_contain_text("The code is wrong")
    answer("right")
    expect(page.get_by_role("heading")).to_have_text("Your session")


def test_the_page_tells_at_once_that_the_session_ended(desk: MemoryDesk, portal: Served, tab) -> None:
    desk.sessions["d1"] = SessionView("authorised", 600, None, 1, "totp")
    page = opened(tab(), portal, desk)
    expect(page.get_by_role("heading")).to_have_text("Your session")
    portal.run(lambda: desk.end("d1", "your network changed"))
    expect(page.get_by_role("heading")).to_have_text("Log in")
    expect(page.locator("#news")).to_have_text("Your session has ended: your network changed.")


def test_the_page_tells_what_needs_a_login(desk: MemoryDesk, portal: Served, tab) -> None:
    desk.sessions["d1"] = SessionView("authorised", 600, None, 1, "totp")
    page = opened(tab(), portal, desk)
    event = NeedsLoginEvent("10.1.2.3", "22/tcp", "lab 22/tcp", "the last login is too old")
    portal.run(lambda: desk.tell("d1", event))
    portal.run(lambda: desk.tell("d1", event))
    expect(page.locator("#news p")).to_have_text(
        "10.1.2.3 22/tcp needs a login: the last login is too old. Log in"
    )
    page.locator("#news a").click()
    log_in(page, "111111")
    expect(page.get_by_role("heading")).to_have_text("Your session")
    expect(page.locator("#news p")).to_have_count(0)


def test_a_login_elsewhere_is_seen_here(desk: MemoryDesk, portal: Served, tab) -> None:
    page = opened(tab(), portal, desk)
    portal.run(desk.login(desk.devices[AT], Shown("alice", "totp")))
    expect(page.get_by_role("heading")).to_have_text("Your session")


def test_who_types_is_not_interrupted(desk: MemoryDesk, portal: Served, tab) -> None:
    desk.sessions["d1"] = SessionView("authorised", 600, None, 1, "totp")
    page = opened(tab(), portal, desk, "/login")
    page.get_by_label("Code of your authenticator app").fill("111")
    portal.run(lambda: desk.end("d1", "expired", "expired"))
    expect(page.locator("#news")).to_contain_text("Your session has ended: expired.")
    assert page.get_by_label("Code of your authenticator app").input_value() == "111"


def test_a_page_that_was_cut_off_reads_the_state_again(desk: MemoryDesk, portal: Served, tab) -> None:
    page = opened(tab(), portal, desk)
    portal.run(lambda: desk.sessions.update(d1=SessionView("authorised", 600, None, 1, "totp")))
    # The stream ends without a word, as by a restart; the browser opens another.
    portal.run(lambda: desk.tell("d1", None))
    expect(page.get_by_role("heading")).to_have_text("Your session")


def test_hostile_words_stay_words(desk: MemoryDesk, portal: Served, tab) -> None:
    desk.devices[AT] = device("d1", HOSTILE, HOSTILE, AT)
    desk.sessions["d1"] = SessionView("authorised", 600, None, 1, HOSTILE)
    page = opened(tab(phone=True), portal, desk)
    portal.run(lambda: desk.tell("d1", NeedsLoginEvent(HOSTILE, HOSTILE, HOSTILE, HOSTILE)))
    expect(page.locator("#news p")).to_contain_text("<script>window.hurt=1</script>")
    assert fits(page)


def test_another_sites_form_does_nothing(desk: MemoryDesk, portal: Served, enrolment: Served, tab) -> None:
    """A page of another origin on the same host: the browser says so, and even sends the cookie."""
    desk.sessions["d1"] = SessionView("authorised", 600, None, 1, "totp")
    page = tab()
    page.goto(portal.origin)
    token = page.locator("form[action='/logout'] input[name=form]").get_attribute("value")
    evil = f"<form method=post action='{portal.origin}/logout'><input name=form value='{token}'></form>"
    page.route(f"{enrolment.origin}/evil", lambda route: route.fulfill(body=evil, content_type="text/html"))
    page.goto(f"{enrolment.origin}/evil")
    page.evaluate("document.forms[0].submit()")
    expect(page.get_by_role("heading")).to_have_text("Not from here")
    assert desk.sessions["d1"].state == "authorised"


def configuration_of(page: Page) -> str:
    return page.locator("#text").text_content() or ""


def test_enrolment_in_the_page(desk: MemoryDesk, enrolment: Served, tab, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    page = tab(phone=True)
    page.on("request", lambda request: asked.append((request.url, request.post_data or "")))
    page.goto(f"{enrolment.origin}/enrol#token=wg_good_token")
    page.wait_for_selector("form[data-ready]")
    assert page.url == f"{enrolment.origin}/enrol"
    assert page.get_by_label("Token").input_value() == "wg_good_token"
    page.get_by_label("Name of the device").fill("phone")
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.get_by_role("heading")).to_have_text("This device is enrolled")

    text = configuration_of(page)
    private = re.search(r"^PrivateKey = (.{44})$", text, re.MULTILINE)[1]
    public = X25519PrivateKey.from_private_bytes(base64.b64decode(private)).public_key().public_bytes_raw()
    assert desk.enrolment.made[0].public_key == base64.b64encode(public).decode()
    assert text.count("PrivateKey") == 1
    assert "Address = 10.9.1.0/32" in text

    assert codes_in(tab(), page.locator("#qr").screenshot()) == [text]
    with page.expect_download() as found:
        page.get_by_role("link", name="Download").click()
    assert found.value.suggested_filename == "wg-phone.conf"
    found.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_text() == text

    # The private key was sent nowhere, the token in one body only.
    assert not any(private in url + body for url, body in asked)
    assert [url for url, body in asked if "wg_good_token" in url + body] == [f"{enrolment.origin}/enrol/api"]
    assert not any("wg_good_token" in url for url, _ in asked)


def test_enrolment_that_is_refused_can_be_tried_again(enrolment: Served, tab) -> None:
    page = tab()
    page.goto(f"{enrolment.origin}/enrol#token=wg_wrong")
    page.wait_for_selector("form[data-ready]")
    page.get_by_label("Name of the device").fill("phone")
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This token is no good")
    page.get_by_label("Token").fill("wg_good_token")
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.get_by_role("heading")).to_have_text("This device is enrolled")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_configuration_too_long_for_a_code(desk: MemoryDesk, enrolment: Served, tab) -> None:
    desk.routes = 250
    page = tab()
    page.goto(f"{enrolment.origin}/enrol#token=wg_good_token")
    page.wait_for_selector("form[data-ready]")
    page.get_by_label("Name of the device").fill("phone")
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.locator("#too-long")).to_be_visible()
    expect(page.locator("#qr")).to_be_hidden()


def test_enrolment_without_scripts(enrolment: Served, tab, tmp_path: Path) -> None:
    page = tab(scripts=False)

    def fill(token: str, key: str) -> None:
        page.goto(f"{enrolment.origin}/enrol")
        page.get_by_label("Token").fill(token)
        page.get_by_label("Name of the device").fill("laptop")
        page.get_by_label("Public key").fill(key)

    fill("wg_wrong", GATEWAY_KEY)
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This token is no good")
    assert page.get_by_label("Name of the device").input_value() == "laptop"
    fill("wg_good_token", GATEWAY_KEY)
    page.get_by_role("button", name="Enrol", exact=True).click()
    assert "Address = 10.9.1.0/32" in configuration_of(page)
    fill("wg_twice", base64.b64encode(bytes(32)).decode())
    with page.expect_download() as found:
        page.get_by_role("button", name="Enrol and download").click()
    assert found.value.suggested_filename == "wg-laptop.conf"
    found.value.save_as(tmp_path / "file")
    assert "Address = 10.9.1.1/32" in (tmp_path / "file").read_text()


def fits(page: Page) -> bool:
    """Nothing is wider than the window, and nothing that can be used is outside of it."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth
          && [...document.querySelectorAll("main *")].every((element) => {
            const { left, right } = element.getBoundingClientRect();
            return element.closest("pre") || (left >= 0 && right <= innerWidth);
          })"""
    )


def accessible(page: Page) -> list[str]:
    """What is wrong with a page for who sees it badly: no language, heading or label, little contrast."""
    return page.evaluate(
        """() => {
          const wrong = [];
          if (!document.documentElement.lang || !document.title) wrong.push("language or title");
          if (document.querySelectorAll("h1").length !== 1) wrong.push("one h1");
          for (const field of document.querySelectorAll("input:not([type=hidden])")) {
            if (!field.labels.length) wrong.push(`label of ${field.name}`);
          }
          const used = [...document.querySelectorAll("button, a")];
          if (used.some((element) => !element.textContent.trim())) wrong.push("name");
          const parts = (text) => text.match(/[\\d.]+/g).map(Number);
          const light = (rgb) => {
            const [r, g, b] = rgb.map((value) => value / 255)
              .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          for (const element of document.querySelectorAll("body *")) {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!own || !element.checkVisibility()) continue;
            let around = element, back = [0, 0, 0, 0];
            while (around && back[3] === 0) {
              const found = parts(getComputedStyle(around).backgroundColor);
              back = found.length === 3 ? [...found, 1] : found;
              around = around.parentElement;
            }
            const colours = [parts(getComputedStyle(element).color), back];
            const both = colours.map((rgb) => light(rgb.slice(0, 3)));
            const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
            if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(1)}: ${element.textContent.trim()}`);
          }
          return wrong;
        }"""
    )


@pytest.mark.parametrize(("phone", "dark"), [(True, False), (False, True)], ids=["phone", "desktop, dark"])
def test_each_page_fits_and_is_accessible(
    desk: MemoryDesk, portal: Served, enrolment: Served, tab, phone: bool, dark: bool
) -> None:
    page = tab(phone=phone, dark=dark)
    alice = desk.devices[AT]

    def check(address: str) -> None:
        page.goto(address)
        assert fits(page), address
        assert accessible(page) == [], address

    def glance(address: str) -> None:
        """
        Checks the page and leaves it.

        A page that is open loads itself anew when the device's state changes, which ends a visit to another.
        """
        check(address)
        page.goto("about:blank")

    long = replace(alice, user="a" * 64, name="n" * 64)
    desk.challenges.confirmed[long.user] = [Named("totp", "Authenticator app")]
    for owner in (alice, long):
        desk.devices[AT] = owner
        desk.sessions.clear()
        glance(portal.origin + "/")
        glance(portal.origin + "/login?method=recovery")
        desk.sessions["d1"] = SessionView("authorised", 600, 60, 1, "totp")
        glance(portal.origin + "/")
        glance(portal.origin + "/login")
        glance(portal.origin + "/recovery")
        desk.challenges.locked[owner.user] = int(time.time()) + 300
        glance(portal.origin + "/login")
    desk.challenges.posing, desk.challenges.question = {"totp"}, ("", "https://id.example.com/" + "x" * 200)
    desk.challenges.locked.clear()
    desk.devices[AT] = alice
    check(portal.origin + "/login")
    page.get_by_role("button").click()
    expect(page.get_by_role("link", name="Go there")).to_be_visible()
    glance(portal.origin + "/login")
    glance(portal.origin + "/login/return/totp?state=a&code=b")
    desk.challenges.posing = set()
    desk.devices[AT] = desk.devices["127.0.0.3"]
    glance(portal.origin + "/")
    desk.devices[AT] = desk.devices["127.0.0.2"]
    glance(portal.origin + "/")
    check(portal.origin + "/setup")
    page.get_by_role("button").click()
    expect(page.get_by_label("Type the code that it shows")).to_be_visible()
    check(portal.origin + "/setup")
    page.get_by_label("Type the code that it shows").fill("444444")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("listitem")).to_have_count(8)
    assert fits(page)
    assert accessible(page) == []
    page.goto("about:blank")
    del desk.devices[AT]
    glance(portal.origin + "/")
    glance(portal.origin + "/nothing")
    check(enrolment.origin + "/enrol#token=" + "wg_good_token")
    page.wait_for_selector("form[data-ready]")
    page.get_by_label("Name of the device").fill("n" * 64)
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.get_by_role("heading")).to_have_text("This device is enrolled")
    page.get_by_text("Show as text").click()
    assert fits(page)
    assert accessible(page) == []
