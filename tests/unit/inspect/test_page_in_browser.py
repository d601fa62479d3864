"""The page in a real browser: links by pointer and by keys, search, views, light and dark."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest
from playwright.sync_api import sync_playwright
from wardgate.compiler.inspect.page import page
from wardgate.compiler.inspect.tables import read_tables
from wardgate.compiler.inspect.ways import Ways

pytestmark = pytest.mark.tool("chromium", "dot")

HOSTILE = "lab </script><img src=x onerror='window.hurt=1'><svg onload='window.hurt=1'>"
POLICY = f"""\
version: 1
tunnel: [10.9.0.0/24]  # {HOSTILE}
policies:
  "*": {{allow: ["10.0.0.5 80/tcp"], deny: ["10.0.0.6 22/tcp"]}}
  alice: {{mfa: ["10.0.0.7"]}}
"""


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium, which is not installed")
    with sync_playwright() as driver:
        # Chromium's own sandbox does not work for root; the page is ours.
        found = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def inspection(inspected):
    """A policy with hostile words in it: in a comment, and forged into the manifest."""
    found = inspected(POLICY)
    rules = list(found.manifest.rules)
    rules[0] = replace(rules[0], policy=HOSTILE)
    manifest = replace(found.manifest, rules=tuple(rules), wardgate=HOSTILE, subjects={"alice": 2})
    return replace(found, manifest=manifest)


@pytest.fixture(scope="module")
def file(inspection, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(inspection, HOSTILE))
    return path


@pytest.fixture(scope="module")
def opened(browser, file):
    """The page, and what it complains about, and asks for."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    tab.set_default_timeout(0)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"file://{file}")
    tab.wait_for_selector("html[data-ready]", state="attached")
    return tab, said, asked


@pytest.fixture
def view(opened, file):
    """The page as it is at first; whatever it complains about, or asks for, fails the test."""
    tab, said, asked = opened
    tab.fill("#search", "")
    tab.click("#tab-code")
    tab.keyboard.press("Escape")
    yield tab
    assert tab.evaluate("window.hurt") is None
    assert said == []
    assert set(asked) == {f"file://{file}"}


def texts(view, selector):
    return view.eval_on_selector_all(selector, "rows => rows.map(row => row.textContent)")


def test_hostile_words_are_words(view):
    assert view.title() == f"{HOSTILE} - Wardgate"
    assert HOSTILE in view.inner_text("#policy")
    assert view.locator("#policy img, #policy svg, h1 img").count() == 0
    for key in "234567":
        view.keyboard.press(key)
    assert view.locator("img, svg:not(#graph > svg)").count() == 0


def test_a_rule_shows_its_instructions(view, inspection):
    way = Ways(inspection, read_tables(inspection.data)).of_rules()[2]
    expected = sorted(
        one.slot
        for function in inspection.functions.values()
        for one in function.instructions
        if one.index in way.executed.get(function.name, ())
    )
    view.click("#policy .row:has-text('10.0.0.6 22/tcp')")
    lit = view.eval_on_selector_all("#bpf .row.lit .number", "all => all.map(one => Number(one.textContent))")
    assert sorted(lit) == expected
    assert "is dropped after" in view.inner_text("#status")
    assert f"{way.steps} instructions" in view.inner_text("#status")
    # Its lines of C are lit as well, and of both something is in sight.
    for pane in ("#source", "#bpf"):
        assert view.eval_on_selector(
            pane,
            """pane => [...pane.querySelectorAll(".lit")].some(row => {
                const [a, b] = [row.getBoundingClientRect(), pane.getBoundingClientRect()];
                return a.top >= b.top && a.bottom <= b.bottom;
            })""",
        )


def test_an_instruction_shows_its_line_and_its_rules(view):
    row = view.locator("#bpf .row", has_text="map tunnel4").first
    row.click()
    assert texts(view, "#source .row.lit .text") == ["    u64 *owner = bpf_map_lookup_elem(&tunnel4, &at);"]
    assert len(texts(view, "#policy .row.lit")) == 3
    row.click()
    assert texts(view, ".lit") == []


def test_a_line_of_c_shows_all_its_instructions(view, inspection):
    view.locator("#source .row", has_text="u64 tick = bpf_jiffies64();").click()
    calls = [one for _, one in inspection.instructions if "u64 tick = bpf_jiffies64" in one.origin.text]
    assert len(texts(view, "#bpf .row.lit")) == len(calls)
    view.keyboard.press("n")
    assert re.match(r"1 of \d+: ", view.inner_text("#status"))
    view.keyboard.press("p")
    assert view.inner_text("#status").startswith(f"{len(calls)} of {len(calls)}: ")


def test_the_policys_own_line_shows_its_instructions(view, inspection):
    view.click("#policy .row:has-text('tunnel:')")
    own = [one for _, one in inspection.instructions if one.origin.text.startswith("tunnel:")]
    assert len(texts(view, "#bpf .row.lit")) == len(own) > 0


def test_pointing_is_enough_to_see(view):
    view.hover("#bpf .row:has-text('map devices')")
    assert view.locator("#source .row.hot").count() == 1
    view.hover("h1")
    assert view.locator(".hot").count() == 0


def test_keys_do_what_the_pointer_does(view):
    view.focus("#policy")
    view.keyboard.press("End")
    view.keyboard.press("Enter")
    assert view.locator("#policy .row.pinned").inner_text().count("10.0.0.7") == 1
    assert view.locator("#bpf .row.lit").count() > 100
    active = view.get_attribute("#policy", "aria-activedescendant")
    assert view.locator(f"#{active}.pinned").count() == 1
    view.keyboard.press("Escape")
    assert view.locator(".lit").count() == 0
    view.keyboard.press("3")
    assert view.get_attribute("#tab-graph", "aria-selected") == "true"
    view.focus("#tab-graph")
    view.keyboard.press("ArrowRight")
    assert view.get_attribute("#tab-tables", "aria-selected") == "true"


def test_search(view):
    view.keyboard.press("/")
    view.keyboard.type("10.0.0.7")
    assert view.inner_text("#found").startswith("1 rule,")
    assert view.locator("#policy .row:visible").count() == 1
    view.fill("#search", "bpf_ktime_get_boot_ns()")
    found = view.locator("#bpf .row.found")
    assert found.count() > 0
    view.keyboard.press("Enter")
    assert view.locator(".row.current").count() == 1
    view.keyboard.press("Escape")
    assert view.locator(".found").count() == 0
    view.keyboard.press("4")
    view.fill("#search", "10.0.0.6/32")
    found = view.locator("#view-tables .found").count()
    assert view.locator("#view-tables .lines > div:visible").count() == found > 1


def test_the_graph_leads_to_the_instructions_and_back(view, inspection):
    view.keyboard.press("3")
    view.select_option("#graph-function", label="session_of")
    blocks = inspection.functions["session_of"].blocks
    assert view.locator("#graph .node[id^=f0_B]:not([id*=to])").count() == len(blocks)
    view.locator("#graph #f0_B2 text").first.click()
    assert view.get_attribute("#tab-code", "aria-selected") == "true"
    slot = blocks[2].instructions[0].slot
    assert view.locator("#bpf .row.pinned .number").inner_text() == f"{slot}"
    view.keyboard.press("g")
    assert view.locator("#graph .node.current").get_attribute("id") == "f0_B2"


def test_views_show_what_the_command_shows(view, inspection):
    for key, words in (
        ("2", "unsigned"),
        ("4", "10.0.0.7/32"),
        ("5", "CLOCK_BOOTTIME"),
        ("6", "IPv4, an allow rule"),
        ("7", inspection.manifest.digest),
    ):
        view.keyboard.press(key)
        assert words in view.locator("main > section:visible").inner_text()


def test_tables_have_contents(view):
    view.keyboard.press("4")
    for name in ("judge", "services"):
        view.click(f"#view-tables .contents button:text-is('{name}')")
        title = view.locator(f"#view-tables h3:text-is('{name}')")
        assert 0 < title.bounding_box()["y"] < 800


def background(view):
    return view.evaluate("getComputedStyle(document.body).backgroundColor")


def test_light_and_dark(view):
    assert background(view) == "rgb(255, 255, 255)"
    view.keyboard.press("t")
    assert background(view) == "rgb(22, 24, 27)"
    view.keyboard.press("t")
    assert background(view) == "rgb(255, 255, 255)"
    view.emulate_media(color_scheme="dark")
    view.reload()
    view.wait_for_selector("html[data-ready]", state="attached")
    assert background(view) == "rgb(22, 24, 27)"
    lit = view.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--text')")
    assert lit.strip() == "#e4e6e9"


@pytest.mark.parametrize("width", [1280, 2560])
def test_nothing_is_beside_the_window(view, width):
    view.set_viewport_size({"width": width, "height": 900})
    for key in "1234567":
        view.keyboard.press(key)
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        assert view.evaluate("document.querySelector('header').offsetHeight") < 60
