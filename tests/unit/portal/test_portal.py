"""The portal as its users have it: what each page says and does, without JavaScript."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import zxingcpp
from portal_desk import HOSTILE, Named, device, office
from portal_visitor import Visitor, forms_of, links_of
from wardgate.gateway.errors import BusyError, NotFoundError, RefusedError
from wardgate.gateway.portal import PortalSettings, Rate, SessionView, portal_app

SETTINGS = PortalSettings(("10.9.0.1", "portal.example", "fd09::1"))


@pytest.fixture
def desk():
    return office()


@pytest.fixture
def alice(desk):
    return Visitor(portal_app(desk, SETTINGS), "10.9.0.2")


@pytest.fixture
def bob(desk):
    return Visitor(portal_app(desk, SETTINGS), "10.9.0.3")


def test_it_says_who_and_offers_a_login(alice: Visitor) -> None:
    page = alice.get("/")
    assert page.status_code == 200
    assert "You are <strong>alice</strong> on <strong>laptop</strong>" in page.text
    assert "You are not logged in" in page.text
    assert [form.action for form in forms_of(page.text)] == ["/login"]


@pytest.mark.parametrize("address", ["10.9.0.2", "fd09::2", "::ffff:10.9.0.2"])
def test_a_device_is_known_by_each_address(desk, address: str) -> None:
    visitor = Visitor(portal_app(desk, SETTINGS), address)
    assert "<strong>alice</strong>" in visitor.get("/").text


def test_a_login(desk, alice: Visitor) -> None:
    answer = alice.login("111 111")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert desk.logins == [("d1", "totp")]
    assert desk.challenges.asked == [("alice", "totp", "111111", "d1")]
    page = alice.get("/").text
    assert "You are logged in." in page
    assert "1 hour left" in page
    assert "after 10 minutes without traffic" in page
    assert "You are logged in." not in alice.get("/").text


def test_a_wrong_code_says_so_once(desk, alice: Visitor) -> None:
    answer = alice.login("999999")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?method=totp")
    assert "The code is wrong or was used before" in alice.get("/login").text
    assert "wrong" not in alice.get("/login").text
    assert desk.logins == []


def test_a_recovery_code(desk, alice: Visitor) -> None:
    assert "/login?method=recovery" in links_of(alice.get("/").text)
    assert alice.login("k1wq-7hfz", "recovery").headers["location"] == "/"
    assert desk.logins == [("d1", "recovery")]


def test_renewal_while_the_session_runs(desk, alice: Visitor) -> None:
    alice.login("111111")
    desk.sessions["d1"] = SessionView("authorised", 120, None, 3480, "totp")
    assert "/login" in links_of(alice.get("/").text)
    assert "another 2 minutes" in alice.get("/login").text
    alice.login("222222")
    assert desk.sessions["d1"].remaining_s == 3600
    assert len(desk.logins) == 2


def test_logout(desk, alice: Visitor) -> None:
    alice.login("111111")
    assert alice.submit("/", "/logout").headers["location"] == "/"
    assert desk.sessions["d1"].state == "none"
    assert "You are logged out." in alice.get("/").text


def test_logout_of_a_session_that_has_just_ended(
    desk, alice: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> None:
        raise NotFoundError("end session", "d1", "the device has none", "`sessions list` shows them")

    alice.login("111111")
    form = alice.form("/", "/logout")
    monkeypatch.setattr(desk, "logout", gone)
    assert alice.send(form).headers["location"] == "/"
    assert "You are logged out." in alice.get("/").text


@pytest.mark.parametrize(
    ("state", "says"), [("expired", "its time was over"), ("idle", "no traffic for too long")]
)
def test_why_a_session_ended(desk, alice: Visitor, state: str, says: str) -> None:
    desk.sessions["d1"] = SessionView(state, 0, None, 0, "")
    assert says in alice.get("/").text


def test_set_up_of_a_first_method(bob: Visitor) -> None:
    assert "/setup" in links_of(bob.get("/").text)
    assert bob.submit("/setup", "/setup/begin").headers["location"] == "/setup"
    page = bob.get("/setup").text
    assert "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" in page
    assert "<svg" in page
    wrong = bob.submit("/setup", "/setup/confirm", code="000000")
    assert wrong.headers["location"] == "/setup"
    assert "The code is wrong" in bob.get("/setup").text
    shown = bob.submit("/setup", "/setup/confirm", code="444444")
    assert shown.status_code == 200
    assert "k3wq-7hfz-m2x3" in shown.text
    assert "k3wq" not in bob.get("/setup").text + bob.get("/").text
    assert bob.login("555555").headers["location"] == "/"


def test_the_qr_code_is_of_the_uri() -> None:
    import numpy
    import segno
    from wardgate.gateway.portal.pages import qr

    uri = "otpauth://totp/Wardgate:bob?secret=JBSWY3DPEHPK3PXP&issuer=Wardgate"
    matrix = numpy.array(
        [[not dark for dark in row] for row in segno.make(uri, error="m", micro=False).matrix]
    )
    image = numpy.pad(
        numpy.kron(matrix * numpy.uint8(255), numpy.ones((4, 4), numpy.uint8)), 20, constant_values=255
    )
    assert [code.text for code in zxingcpp.read_barcodes(image)] == [uri]
    assert qr(uri).startswith("<svg")


def test_who_has_a_method_cannot_set_up_another(desk, alice: Visitor) -> None:
    refused = alice.get("/setup")
    assert refused.status_code == 403
    assert "ask your administrator to reset it" in refused.text
    form = replace(alice.form("/", "/login"), action="/setup/begin")
    assert alice.send(form, method="totp").status_code == 403
    assert desk.challenges.pending == {}


def test_an_unknown_method_is_refused(desk, alice: Visitor, bob: Visitor) -> None:
    assert alice.submit("/login", "/login", method="../totp", code="111111").status_code == 400
    assert bob.submit("/setup", "/setup/begin", method="nonsense").status_code == 400
    assert desk.challenges.asked == []


def test_a_method_without_a_page_of_its_own_asks_for_a_code(desk, alice: Visitor) -> None:
    desk.challenges.confirmed["alice"] = [Named("pam", "Password")]
    desk.challenges.codes["alice", "pam"] = ["secret"]
    assert "Password: code" in alice.get("/").text
    assert alice.login("secret", "pam").headers["location"] == "/"


def test_locked_logins_say_until_when(desk, alice: Visitor) -> None:
    until = int(time.time()) + 330
    desk.challenges.locked["alice"] = until
    page = alice.get("/").text
    assert "Logins are locked" in page
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)) in page
    assert "in 5 minutes" in page
    assert forms_of(page) == []


def test_locked_for_ever_names_no_date(desk, alice: Visitor) -> None:
    desk.challenges.locked["alice"] = 253_402_300_799
    assert "Your administrator can unlock them" in alice.get("/").text


def test_a_locked_device(desk) -> None:
    carol = Visitor(portal_app(desk, SETTINGS), "10.9.0.4")
    assert "This device is locked" in carol.get("/").text
    desk.devices["10.9.0.4"] = replace(desk.devices["10.9.0.4"], locked=False)
    form = carol.form("/", "/login")
    desk.devices["10.9.0.4"] = replace(desk.devices["10.9.0.4"], locked=True)
    carol.send(form, code="666666")
    assert desk.challenges.asked == []
    assert desk.logins == []


def test_a_refused_login_gives_the_reason(desk, alice: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise RefusedError("log in", "alice", "the user is locked", "ask your administrator")

    monkeypatch.setattr(desk, "login", refuse)
    alice.login("111111")
    assert "The user is locked; ask your administrator." in alice.get("/login").text


def test_a_proof_of_another_user_is_none(desk, alice: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal_desk import Shown

    async def wrong(*_: object, **__: object) -> Shown:
        return Shown("bob", "totp")

    monkeypatch.setattr(desk.challenges, "verify", wrong)
    alice.login("111111")
    assert desk.logins == []


def test_a_busy_gateway_says_so(desk, alice: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: object, **__: object) -> None:
        raise BusyError("log in", "alice", "too many at once")

    form = alice.form("/", "/login")
    monkeypatch.setattr(desk.challenges, "verify", busy)
    answer = alice.send(form, code="111111")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_fault_is_not_explained_to_the_user(
    desk, alice: Visitor, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret details")

    monkeypatch.setattr(desk, "session", broken)
    answer = alice.get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert "secret details" in caplog.text


def test_no_name_becomes_markup(desk) -> None:
    desk.devices["10.9.0.9"] = device("d9", HOSTILE, HOSTILE, "10.9.0.9")
    desk.challenges.confirmed[HOSTILE] = [Named(HOSTILE, HOSTILE)]
    desk.sessions["d9"] = SessionView("authorised", 60, None, 1, HOSTILE)
    visitor = Visitor(portal_app(desk, SETTINGS), "10.9.0.9")
    for path in ("/", "/login"):
        page = visitor.get(path).text
        assert "<img" not in page
        assert "<script>" not in page
        assert "&lt;script&gt;" in page


def test_unknown_pages_and_methods(alice: Visitor) -> None:
    assert alice.get("/nothing").status_code == 404
    assert alice.client.request("POST", "/", headers={"origin": "http://10.9.0.1"}).status_code == 405
    head = alice.client.request("HEAD", "/")
    assert (head.status_code, head.content) == (200, b"")
    assert "set-cookie" not in head.headers


def test_rates_of_a_device_and_of_others(desk) -> None:
    app = portal_app(desk, replace(SETTINGS, pages=Rate(5, 1), logins=Rate(2, 1)))
    alice, bob = Visitor(app, "10.9.0.2"), Visitor(app, "10.9.0.3")
    found = [alice.get("/").status_code for _ in range(6)]
    assert found == [200] * 5 + [429]
    refused = alice.get("/")
    assert int(refused.headers["retry-after"]) > 0
    assert "Too many requests" in refused.text
    # Its other address is the same device, and another device is not.
    assert Visitor(app, "fd09::2").get("/").status_code == 429
    assert bob.get("/").status_code == 200


def test_logins_have_a_rate_of_their_own(desk) -> None:
    app = portal_app(desk, replace(SETTINGS, logins=Rate(3, 1)))
    alice = Visitor(app, "10.9.0.2")
    assert [alice.login("999999").status_code for _ in range(4)] == [303, 303, 303, 429]
    assert len(desk.challenges.asked) == 3


def test_a_set_up_can_begin_again(desk, bob: Visitor) -> None:
    bob.submit("/setup", "/setup/begin")
    # As after too many wrong codes, which end it.
    desk.challenges.pending.clear()
    bob.submit("/setup", "/setup/confirm", code="444444")
    assert "No set-up is under way" in bob.get("/setup").text
    assert bob.submit("/setup", "/setup/begin").headers["location"] == "/setup"
    assert "k3wq-7hfz-m2x3" in bob.submit("/setup", "/setup/confirm", code="444444").text


def test_a_locked_device_sets_nothing_up(desk, bob: Visitor) -> None:
    form = bob.form("/setup", "/setup/begin")
    desk.devices["10.9.0.3"] = replace(desk.devices["10.9.0.3"], locked=True)
    assert bob.get("/setup").status_code == 403
    assert bob.send(form).status_code == 403
    assert desk.challenges.pending == {}
