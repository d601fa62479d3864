"""New recovery codes, and methods that ask first, in the portal; without JavaScript."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from challenge_methods import Directory, Provider, Signer, signed
from challenge_world import SETTINGS as CHALLENGES
from challenge_world import World
from portal_desk import Named, device, office
from portal_visitor import TUNNEL, Visitor, forms_of, links_of
from wardgate.gateway.challenges import Totp
from wardgate.gateway.portal import PortalSettings, Rate, SessionView, methods, portal_app
from wardgate.gateway.portal.methods import MethodPage
from wardgate.gateway.store import SqliteStore

OFTEN = Rate(10_000, 100_000)
SETTINGS = PortalSettings(("10.9.0.1",), pages=OFTEN, logins=OFTEN)
AUTHORISED = SessionView("authorised", 600, None, 1, "totp")


@pytest.fixture
def desk():
    found = office()
    found.sessions["d1"] = AUTHORISED
    return found


@pytest.fixture
def app(desk):
    return portal_app(desk, SETTINGS)


@pytest.fixture
def alice(app):
    return Visitor(app, "10.9.0.2")


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (0, "You have no recovery codes left."),
        (1, "You have 1 recovery code left."),
        (2, "You have 2 recovery codes left."),
        (3, None),
    ],
)
def test_few_are_told(desk, alice: Visitor, left: int, says: str | None) -> None:
    desk.challenges.codes["alice", "recovery"] = ["code"] * left
    page = alice.get("/").text
    assert "/recovery" in links_of(page)
    if says:
        assert says in page
    else:
        assert "left." not in page


def test_none_are_offered_where_there_are_none(desk, alice: Visitor) -> None:
    assert "/login?method=recovery" in links_of(alice.get("/login").text)
    desk.challenges.codes["alice", "recovery"] = []
    assert "/login?method=recovery" not in links_of(alice.get("/login").text)
    del desk.challenges.codes["alice", "recovery"]
    assert "ecovery code" not in alice.get("/").text


def test_new_codes_are_shown_once(desk, alice: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = alice.form("/recovery", "/recovery")
    cookie = alice.cookie
    shown = alice.send(before, code="111 111")
    assert shown.status_code == 200
    assert "n3wq-7hfz-m2x3" in shown.text
    assert "Those that you had work no longer." in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert alice.cookie != cookie
    assert alice.send(before, code="222222").status_code == 403
    assert desk.challenges.asked == [("alice", "totp", "111111", "d1")]
    assert "n3wq" not in alice.get("/recovery").text + alice.get("/").text
    assert "recovery codes renewed" in caplog.text
    assert "n3wq" not in caplog.text
    # It is no login.
    assert desk.logins == []
    assert alice.login("n3wq-7hfz-m2x3", "recovery").headers["location"] == "/"


def test_a_wrong_code_makes_none(desk, alice: Visitor) -> None:
    answer = alice.submit("/recovery", "/recovery", code="999999")
    assert (answer.status_code, answer.headers["location"]) == (303, "/recovery?method=totp")
    assert "The code is wrong or was used before" in alice.get("/recovery").text
    assert desk.challenges.codes["alice", "recovery"] == ["k1wq-7hfz"]


def test_a_recovery_code_is_not_offered_for_it(alice: Visitor) -> None:
    page = alice.get("/recovery?method=recovery").text
    assert "Code of your authenticator app" in page
    assert links_of(page) == ["/"]


@pytest.mark.parametrize("state", ["none", "expired", "idle"])
def test_only_who_is_logged_in_makes_new_ones(desk, alice: Visitor, state: str) -> None:
    form = alice.form("/recovery", "/recovery")
    desk.sessions["d1"] = SessionView(state, 0, None, 0, "")
    assert alice.get("/recovery").status_code == 403
    assert alice.send(form, code="111111").status_code == 403
    assert desk.challenges.asked == []


def test_nor_who_is_locked(desk, alice: Visitor) -> None:
    form = alice.form("/recovery", "/recovery")
    desk.devices["10.9.0.2"] = replace(desk.devices["10.9.0.2"], locked=True)
    assert alice.get("/recovery").status_code == 403
    assert alice.send(form, code="111111").status_code == 403
    assert desk.challenges.asked == []


def test_nor_who_has_set_up_nothing_here(desk, alice: Visitor) -> None:
    form = alice.form("/recovery", "/recovery")
    desk.challenges.confirmed["alice"] = [Named("directory", "Password")]
    assert alice.get("/recovery").status_code == 403
    assert alice.send(form, code="111111").status_code == 403
    assert desk.challenges.asked == []


def test_another_page_or_form_makes_none(desk, alice: Visitor) -> None:
    form = alice.form("/recovery", "/recovery")
    assert alice.send(form, {"origin": "http://evil.example"}, code="111111").status_code == 403
    other = replace(alice.form("/login", "/login"), action="/recovery")
    assert alice.send(other, code="111111").status_code == 403
    assert alice.send(replace(form, action="/login"), code="111111").status_code == 403
    assert desk.challenges.asked == []


def test_tries_have_the_rate_of_logins(desk) -> None:
    alice = Visitor(portal_app(desk, replace(SETTINGS, logins=Rate(2, 1))), "10.9.0.2")
    alice.login("999999")
    found = [alice.submit("/recovery", "/recovery", code="999999").status_code for _ in range(2)]
    assert found == [303, 429]
    assert len(desk.challenges.asked) == 2


class Portal:
    """A portal over the real second factors. `alice`, `bob`: visitors on devices of theirs."""

    def __init__(self, folder: Path, local: list, remote: list) -> None:
        self.store = asyncio.run(SqliteStore.open(folder / "store"))
        self.world = World(folder, self.store, CHALLENGES, local, remote)
        self.world.now = NOW
        self.desk = office()
        self.desk.devices["10.9.0.5"] = device("d5", "alice", "tablet", "10.9.0.5")
        self.desk.challenges = self.world.challenges  # type: ignore[assignment] # the real ones
        self.app = portal_app(self.desk, SETTINGS)
        self.alice, self.bob = self.visitor("10.9.0.2"), self.visitor("10.9.0.3")

    def visitor(self, address: str) -> Visitor:
        return Visitor(self.app, address)


NOW = 4_000_000_000.0
"""Later than now, so that what was begun is not over for the portal, which has a clock of its own."""


@pytest.fixture
def portal(tmp_path: Path, request: pytest.FixtureRequest):
    local, remote = request.param()
    found = Portal(tmp_path, local, remote)
    yield found
    asyncio.run(found.store.close())


def with_signer() -> tuple[list, list]:
    return [Signer(), Totp("x", 1)], []


def set_up_signer(visitor: Visitor) -> str:
    """The key of a signing device that was set up in the portal."""
    begin = next(form for form in forms_of(visitor.get("/setup").text) if form.fields["method"] == "signer")
    assert visitor.send(begin).status_code == 303
    page = visitor.get("/setup").text
    key = page.partition('<code class="secret">')[2].partition("</code>")[0]
    shown = visitor.submit("/setup", "/setup/confirm", code=signed(key, "set up"))
    assert "Your recovery codes" in shown.text
    return key


def question(page: str) -> str:
    return page.partition('id="question">')[2].partition("</code>")[0]


@pytest.mark.parametrize("portal", [with_signer], indirect=True)
def test_a_login_with_a_question(portal: Portal) -> None:
    alice, bob = portal.alice, portal.bob
    key = set_up_signer(alice)
    # A page that is only looked at asks nothing.
    assert [form.action for form in forms_of(alice.get("/").text)] == ["/login/begin"]
    assert alice.submit("/", "/login/begin").headers["location"] == "/login?method=signer"
    page = alice.get("/login?method=signer").text
    answer = signed(key, question(page))
    form = next(form for form in forms_of(page) if form.action == "/login")
    # Another device of hers, and another user, have no use for it.
    tablet = portal.visitor("10.9.0.5")
    set_up_signer(bob)
    for other in (tablet, bob):
        other.submit("/login", "/login/begin")
        own = other.form("/login?method=signer", "/login")
        refused = other.send(own, code=answer, ticket=form.fields["ticket"])
        assert refused.headers["location"] == "/login?method=signer"
        assert "begun too long ago" in other.get("/login").text
    assert portal.desk.logins == []
    assert alice.send(form, code=answer).headers["location"] == "/"
    assert portal.desk.logins == [("d1", "signer")]
    # It was answered: the page asks anew, and the old answer is none.
    again = alice.get("/login?method=signer").text
    assert [form.action for form in forms_of(again)] == ["/login/begin"]
    alice.submit("/login", "/login/begin")
    replayed = alice.form("/login?method=signer", "/login")
    alice.send(replayed, code=answer, ticket=form.fields["ticket"])
    assert "begun too long ago" in alice.get("/login").text
    alice.submit("/login", "/login/begin")
    alice.send(alice.form("/login?method=signer", "/login"), code=answer)
    assert "wrong or was used before" in alice.get("/login").text
    assert len(portal.desk.logins) == 1


@pytest.mark.parametrize("portal", [with_signer], indirect=True)
def test_new_recovery_codes_with_a_question(portal: Portal) -> None:
    alice = portal.alice
    key = set_up_signer(alice)
    portal.desk.sessions["d1"] = AUTHORISED
    assert alice.submit("/recovery", "/login/begin").headers["location"] == "/recovery?method=signer"
    page = alice.get("/recovery").text
    shown = alice.submit("/recovery", "/recovery", code=signed(key, question(page)))
    assert "Those that you had work no longer." in shown.text


@pytest.mark.parametrize("portal", [with_signer], indirect=True)
def test_what_was_begun_is_for_one_browser_and_ends(portal: Portal) -> None:
    alice = portal.alice
    set_up_signer(alice)
    alice.submit("/login", "/login/begin")
    assert question(alice.get("/login").text)
    assert question(portal.visitor("10.9.0.2").get("/login").text) == ""
    portal.world.now = 1_000.0
    alice.submit("/login", "/login/begin")
    assert question(alice.get("/login").text) == ""


@pytest.mark.parametrize("portal", [with_signer], indirect=True)
def test_a_locked_device_begins_nothing(portal: Portal) -> None:
    set_up_signer(portal.alice)
    form = portal.alice.form("/login", "/login/begin")
    devices = portal.desk.devices
    devices["10.9.0.2"] = replace(devices["10.9.0.2"], locked=True)
    portal.alice.send(form)
    devices["10.9.0.2"] = replace(devices["10.9.0.2"], locked=False)
    page = portal.alice.get("/login").text
    assert "This device is locked" in page
    assert question(page) == ""


def with_provider() -> tuple[list, list]:
    return [], [Provider()]


@pytest.mark.parametrize("portal", [with_provider], indirect=True)
def test_a_login_at_a_provider(portal: Portal) -> None:
    provider, alice = portal.world.remote[0], portal.alice
    # The provider is where the factor is: there is nothing to set up here, and no recovery code.
    page = alice.get("/").text
    assert links_of(page) == []
    assert alice.get("/setup").status_code == 403
    alice.submit("/", "/login/begin")
    page = alice.get("/login?method=provider").text
    assert "id.example.com" in page
    (url,) = (link for link in links_of(page) if link.startswith("https://id.example.com/"))
    back = provider.authorize(url.replace("&amp;", "&"), "alice")
    # The way back is a link on another site's page: no cookie of before comes along.
    returned = portal.visitor("10.9.0.2")
    page = returned.get("/login/return/provider", params=back, headers={"sec-fetch-site": "cross-site"})
    assert portal.desk.logins == []
    (form,) = forms_of(page.text)
    # What bob is sent back with is nothing on his device, and the form is of alice's browser.
    stranger = portal.bob.get("/login/return/provider", params=back)
    portal.bob.send(forms_of(stranger.text)[0])
    assert "begun too long ago" in portal.bob.get("/login").text
    assert portal.visitor("10.9.0.2").send(form).status_code == 403
    assert returned.send(form).headers["location"] == "/"
    assert portal.desk.logins == [("d1", "provider")]
    page = returned.get("/login/return/provider", params=back)
    returned.send(forms_of(page.text)[0])
    assert "begun too long ago" in returned.get("/login").text
    assert len(portal.desk.logins) == 1


@pytest.mark.parametrize("portal", [with_provider], indirect=True)
def test_who_comes_back_without_an_answer(portal: Portal) -> None:
    for query in ("", "?state=x", "?code=x", "?state=&code=", "?error=access_denied&state=x"):
        answer = portal.alice.get("/login/return/provider" + query)
        assert answer.status_code == 400
        assert "not completed" in answer.text
    assert portal.alice.get("/login/return/nothing?state=a&code=b").status_code == 400
    hostile = '"><script>window.hurt=1</script>'
    page = portal.alice.get("/login/return/provider", params={"state": hostile, "code": hostile})
    assert "<script>" not in page.text
    assert forms_of(page.text)[0].fields["code"] == hostile
    assert portal.alice.client.request("POST", "/login/return/provider").status_code == 405


def with_directory() -> tuple[list, list]:
    return [], [Directory()]


@pytest.mark.parametrize("portal", [with_directory], indirect=True)
def test_a_login_by_a_password_that_is_kept_elsewhere(portal: Portal) -> None:
    """Blanks are part of it."""
    assert "Password: code" in portal.alice.get("/").text
    portal.alice.login("guess", "directory")
    assert "wrong" in portal.alice.get("/login").text
    assert portal.alice.login("correct horse  battery", "directory").headers["location"] == "/"
    assert portal.desk.logins == [("d1", "directory")]
    assert "ecovery" not in portal.alice.get("/").text


def test_a_methods_script_is_on_its_page_only(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    page = MethodPage("methods/code_login.html", "methods/code_setup.html", script="qr.js")
    monkeypatch.setattr(methods, "PAGES", MappingProxyType({**methods.PAGES, "key": page}))
    desk.challenges.confirmed["alice"].append(Named("key", "Key"))
    alice = Visitor(portal_app(desk, SETTINGS), "10.9.0.2", TUNNEL)
    tag = '<script src="/static/qr.js" defer></script>'
    assert tag in alice.get("/login?method=key").text
    assert tag not in alice.get("/login").text + alice.get("/").text
    assert alice.get("/static/qr.js").status_code == 200
