"""A browser for all tests of pages, and applications that are served."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PATIENCE_MS = 120_000
"""How long to wait for what must come, before the test fails."""
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for longer: its driver keeps an event loop in this thread, where netlink wants its own."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium, which is not installed")
    with sync_playwright() as driver:
        # Chromium's own sandbox does not work for root; the pages are ours.
        found = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens tabs, each with cookies of its own. What a page complains about fails the test, besides answers
    that are refusals; so does a script of somebody else's."""
    contexts, said = [], []

    def open_tab(*, scripts: bool = True, phone: bool = False, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP,
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield open_tab
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hurt") is None
        context.close()
    assert [text for text in said if "Failed to load resource" not in text] == []
