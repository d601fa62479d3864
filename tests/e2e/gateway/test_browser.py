"""The whole way in a real browser: a key made in the page, a tunnel, a second factor, a session that ends."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateway_site import (
    BRIEFLY_S,
    ENROLMENT_PORT,
    LAB,
    OUTSIDE,
    PATIENCE_S,
    STEP_S,
    TUNNEL4,
    Machine,
    Site,
    eventually,
    site,
)
from playwright.sync_api import Page, sync_playwright
from totp import App

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go", "chromium")]

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
SCREENSHOTS = os.environ.get("WARDGATE_SCREENSHOTS")
"""A folder for pictures of the pages, for whoever wants to look."""
ENROL = f"http://{OUTSIDE}:{ENROLMENT_PORT}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def machine(running: Site) -> Machine:
    return running.client("laptop")


@pytest.fixture(scope="module")
def page(machine: Machine) -> Iterator[Page]:
    """A tab of a browser on the machine."""
    with machine.namespace.enter(), sync_playwright() as driver:
        # The page makes keys only where the connection is private: this one is as good as TLS to the browser.
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", f"--unsafely-treat-insecure-origin-as-secure={ENROL}"],
        )
        context = browser.new_context(viewport=DESKTOP, accept_downloads=True)
        context.set_default_timeout(1000 * PATIENCE_S)
        yield context.new_page()
        browser.close()


def look(page: Page, name: str) -> None:
    """See that the page fits a phone and a desktop, and keep pictures where somebody wants them."""
    for size, width in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(width)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{size}.png", full_page=True)


def test_the_whole_way(running: Site, machine: Machine, page: Page) -> None:
    token = running.token("alice", "--group", "group:admins")
    page.goto(f"{ENROL}/enrol#token={token}")
    page.wait_for_selector("#enrol[data-ready]")
    page.fill("#name", "laptop")
    look(page, "enrol")
    page.click("#enrol button[value=page]")
    page.wait_for_selector("#done:not([hidden])")
    look(page, "enrolled")
    with page.expect_download() as download:
        page.click("#download")
    configuration = Path(download.value.path()).read_text()
    # In another thread: the browser's driver has an event loop in this one, and netlink wants its own.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(machine.configure, configuration).result()
    eventually(lambda: machine.reaches("10.0.0.5", wait_s=BRIEFLY_S))
    assert not machine.reaches(LAB, wait_s=BRIEFLY_S)

    page.goto(f"http://{TUNNEL4}/")
    assert "alice" in page.inner_text("main")
    look(page, "no-factor")
    page.click("text=Set one up")
    page.click("button")
    secret = re.sub(r"\s", "", page.inner_text("code.secret"))
    look(page, "set-up")
    app = App(f"otpauth://totp/x?secret={secret}&issuer=x")
    page.fill("#code", app.code(time.time()))
    page.click("main form button")
    page.wait_for_selector("text=recovery")
    look(page, "recovery-codes")
    page.goto(f"http://{TUNNEL4}/login")
    look(page, "login")
    page.fill("#code", app.code(time.time() + STEP_S))
    page.click("main form button")
    page.wait_for_selector("text=You are logged in.")
    look(page, "session")
    assert machine.reaches(LAB)

    # The page is told at once, without being asked for again.
    (session,) = running.sessions()
    running.wardgate("gateway", "sessions", "end", session["device"]["id"])
    page.wait_for_selector("text=You are not logged in")
    look(page, "ended")

    # The page that was loaded then may not listen yet when a packet is dropped: so there are more of them.
    def told() -> bool:
        assert not machine.reaches(LAB, wait_s=BRIEFLY_S)
        return LAB in page.inner_text("main")

    eventually(told)
    look(page, "needs-login")
