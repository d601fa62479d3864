"""What others try with a portal: each fails as it should, and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from portal_desk import device, office
from portal_visitor import Form, Visitor
from wardgate.gateway.portal import PortalSettings, SessionView, portal_app
from wardgate.gateway.portal.settings import MOST_BODY

SETTINGS = PortalSettings(("10.9.0.1", "portal.example"))
EVIL = "http://evil.example"


@pytest.fixture
def desk():
    return office()


@pytest.fixture
def app(desk):
    return portal_app(desk, SETTINGS)


@pytest.fixture
def alice(app):
    return Visitor(app, "10.9.0.2")


@pytest.fixture
def bob(app):
    return Visitor(app, "10.9.0.3")


def logged_in(desk, *numbers: str) -> None:
    for number in numbers:
        desk.sessions[number] = SessionView("authorised", 600, None, 1, "totp")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": "http://portal.example"},
        {"origin": "http://10.9.0.1", "sec-fetch-site": "cross-site"},
        {"origin": "http://10.9.0.1", "sec-fetch-site": "same-site"},
    ],
)
def test_csrf_another_page_sends_the_form(desk, alice: Visitor, headers: dict[str, str]) -> None:
    logged_in(desk, "d1")
    form = alice.form("/", "/logout")
    answer = alice.send(form, headers)
    assert answer.status_code == 403
    assert desk.sessions["d1"].state == "authorised"
    # It did not even spend the form.
    assert alice.send(form).status_code == 303


def test_csrf_without_any_origin(desk, alice: Visitor) -> None:
    logged_in(desk, "d1")
    form = alice.form("/", "/logout")
    alice.origin = None
    assert alice.send(form).status_code == 403
    assert desk.sessions["d1"].state == "authorised"


@pytest.mark.parametrize("token", ["", "guessed", "0" * 32])
def test_csrf_without_the_forms_token(desk, alice: Visitor, token: str) -> None:
    logged_in(desk, "d1")
    alice.get("/")
    assert alice.send(Form("/logout", {"form": token})).status_code == 403
    assert alice.send(Form("/logout")).status_code in (400, 403)
    assert desk.sessions["d1"].state == "authorised"


def test_csrf_with_a_token_that_the_attacker_got_for_another_browser(desk, app, alice: Visitor) -> None:
    logged_in(desk, "d1")
    alice.get("/")
    other = Visitor(app, "10.9.0.2").form("/", "/logout")
    assert alice.send(other).status_code == 403
    assert desk.sessions["d1"].state == "authorised"


def test_a_token_of_another_form(desk, alice: Visitor) -> None:
    logged_in(desk, "d1")
    login = alice.form("/login", "/login")
    assert alice.send(replace(login, action="/logout")).status_code == 403
    assert desk.sessions["d1"].state == "authorised"


def test_a_replayed_form(desk, alice: Visitor) -> None:
    form = alice.form("/login", "/login")
    assert alice.send(form, code="999999").status_code == 303
    again = alice.send(form, code="111111")
    assert again.status_code == 403
    assert "sent already" in again.text
    assert [code for _, _, code, _ in desk.challenges.asked] == ["999999"]


def test_fixation_a_cookie_that_was_planted(app) -> None:
    victim = Visitor(app, "10.9.0.2")
    victim.client.cookies.set("wardgate", "planted-by-somebody-else", domain="10.9.0.1", path="/")
    answer = victim.get("/")
    assert "planted" not in answer.headers["set-cookie"]


def test_fixation_the_cookie_of_before_the_login(app, alice: Visitor) -> None:
    form = alice.form("/login", "/login")
    before = alice.cookie
    alice.send(form, code="111111")
    assert alice.cookie not in (None, before)
    stolen = Visitor(app, "10.9.0.2")
    stolen.client.cookies.set("wardgate", before or "", domain="10.9.0.1", path="/")
    fresh = stolen.get("/").headers["set-cookie"]
    assert (before or "-") not in fresh
    logout = alice.form("/", "/logout")
    after = alice.cookie
    alice.send(logout)
    assert alice.cookie != after


def test_another_peers_cookie(desk, alice: Visitor, bob: Visitor) -> None:
    logged_in(desk, "d1", "d2")
    form = alice.form("/", "/logout")
    bob.client.cookies = alice.client.cookies
    assert bob.send(form).status_code == 403
    assert "<strong>bob</strong>" in bob.get("/").text
    assert {desk.sessions[number].state for number in ("d1", "d2")} == {"authorised"}


def test_a_cookie_at_the_devices_other_address(desk, app, alice: Visitor) -> None:
    logged_in(desk, "d1")
    form = alice.form("/", "/logout")
    elsewhere = Visitor(app, "fd09::2")
    elsewhere.client.cookies = alice.client.cookies
    assert elsewhere.send(form).status_code == 403


def test_an_address_that_changed_hands(desk, alice: Visitor) -> None:
    form = alice.form("/login", "/login")
    desk.devices["10.9.0.2"] = device("d7", "dave", "desktop", "10.9.0.2")
    assert alice.send(form, code="111111").status_code == 403
    assert desk.challenges.asked == []


@pytest.mark.parametrize(
    "name", ["x-forwarded-for", "x-real-ip", "forwarded", "x-client-ip", "cf-connecting-ip", "true-client-ip"]
)
def test_a_spoofed_address(bob: Visitor, name: str) -> None:
    value = "for=10.9.0.2" if name == "forwarded" else "10.9.0.2"
    page = bob.get("/", headers={name: value}).text
    assert "<strong>bob</strong>" in page
    assert "alice" not in page


@pytest.mark.parametrize("address", ["203.0.113.5", "10.9.0.99", "fe80::1%wg0", "127.0.0.9"])
def test_no_device(app, address: str) -> None:
    stranger = Visitor(app, address)
    for path in ("/", "/login", "/setup", "/events"):
        answer = stranger.get(path)
        assert answer.status_code == 403
        assert "Unknown device" in answer.text
        assert "set-cookie" not in answer.headers
    assert stranger.send(Form("/login", {"form": "x", "code": "111111"})).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "10.9.0.2", "localhost", "portal.example.evil.example", "[fd09::9]"]
)
def test_dns_rebinding(alice: Visitor, host: str) -> None:
    answer = alice.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "alice" not in answer.text
    assert alice.get("/static/portal.css", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["", "a b", "portal.example@evil.example", "portal.example/evil", "portal.example:x"]
)
def test_hostile_host_names(alice: Visitor, host: str) -> None:
    assert alice.get("/", headers={"host": host}).status_code == 400


def test_two_hosts(alice: Visitor) -> None:
    assert alice.get("/", headers=[("host", "10.9.0.1"), ("host", "evil.example")]).status_code == 400


def test_other_hosts_of_ours_are_fine(alice: Visitor) -> None:
    for host in ("portal.example", "PORTAL.example.:80", "10.9.0.1:8080"):
        assert alice.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"]
)
def test_other_methods(desk, alice: Visitor, method: str) -> None:
    logged_in(desk, "d1")
    answer = alice.client.request(
        method, "/logout", headers={"origin": "http://10.9.0.1", "cookie": "secret=1"}
    )
    if method != "get":
        assert answer.status_code == 405
        assert "secret" not in answer.text
    assert desk.sessions["d1"].state == "authorised"


@pytest.mark.parametrize("name", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_method_override(desk, alice: Visitor, name: str) -> None:
    logged_in(desk, "d1")
    alice.get("/")
    assert alice.get("/logout", headers={name: "POST"}).status_code == 405
    assert alice.get("/logout?_method=POST").status_code == 405
    assert desk.sessions["d1"].state == "authorised"


@pytest.mark.parametrize("path", ["/logout", "/setup/begin", "/setup/confirm"])
def test_nothing_is_done_by_get(alice: Visitor, path: str) -> None:
    assert alice.get(path).status_code == 405


def test_oversized_bodies(desk, alice: Visitor) -> None:
    form = alice.form("/login", "/login")
    assert alice.send(form, code="1" * MOST_BODY).status_code == 413
    headers = {"origin": "http://10.9.0.1", "content-type": "application/x-www-form-urlencoded"}

    async def endless():
        for _ in range(100):
            yield b"a" * 1000

    assert alice.client.request("POST", "/login", content=endless(), headers=headers).status_code == 413
    assert desk.challenges.asked == []


@pytest.mark.parametrize(
    "body",
    [
        "form=a&form=b&code=1",
        "&".join(f"f{number}=1" for number in range(50)),
        "code=%FF%FE",
        "code",
        "code=1%00",
        "code=1%0d%0aset-cookie:%20a=b",
        urlencode({"code": "1" * 5000}),
    ],
)
def test_forms_that_no_page_sends(desk, alice: Visitor, body: str) -> None:
    alice.get("/")
    headers = {"origin": "http://10.9.0.1", "content-type": "application/x-www-form-urlencoded"}
    assert alice.client.request("POST", "/login", content=body, headers=headers).status_code == 400
    assert desk.challenges.asked == []


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "application/json", ""])
def test_other_types_of_bodies(alice: Visitor, kind: str) -> None:
    form = alice.form("/login", "/login")
    headers = {"origin": "http://10.9.0.1", "content-type": kind}
    assert (
        alice.client.request("POST", "/login", content=urlencode(form.fields), headers=headers).status_code
        == 400
    )


@pytest.mark.parametrize(
    "path",
    [
        "/static/../portal.py", "/static/%2e%2e/portal.py", "/static/..%2fportal.py",
        "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/%2e%2e%2fdesk.py", "/static/",
        "/static/portal.css%00.js", "/static/..%5cportal.py", "/static/portal.css/", "/static/enrol.js",
        "/static/PORTAL.CSS", "/static", "//static/portal.css",
    ],
)  # fmt: skip
def test_path_traversal(alice: Visitor, path: str) -> None:
    answer = alice.get(f"http://10.9.0.1{path}")
    assert answer.status_code == 404
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "method", ["totp\r\nset-cookie: a=b", "totp%0d%0aset-cookie: a=b", "http://evil.example"]
)
def test_header_injection_and_open_redirects(alice: Visitor, method: str) -> None:
    answer = alice.submit("/login", "/login", method=method, code="1")
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers


def test_headers_of_every_answer(alice: Visitor, app) -> None:
    stranger = Visitor(app, "203.0.113.5")
    answers = [
        alice.get("/"), alice.get("/nothing"), alice.get("/static/portal.css"), alice.login("1"),
        stranger.get("/"), alice.get("/", headers={"host": "evil.example"}),
        alice.client.request("TRACE", "/"),
    ]  # fmt: skip
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert answer.headers["cache-control"] == ("no-cache" if answer is answers[2] else "no-store")
        assert "strict-transport-security" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_no_page_has_scripts_or_styles_of_its_own(alice: Visitor, bob: Visitor) -> None:
    bob.submit("/setup", "/setup/begin")
    for page in (alice.get("/").text, alice.get("/login").text, bob.get("/setup").text):
        assert "<script>" not in page
        assert "style=" not in page
        assert "onclick" not in page


def test_cookies_have_their_flags(alice: Visitor) -> None:
    flags = alice.get("/").headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "samesite=strict", "path=/", "max-age=900"))
    assert "domain" not in flags


def test_with_tls_cookies_are_bound_to_it(desk) -> None:
    visitor = Visitor(portal_app(desk, replace(SETTINGS, tls=True)), "10.9.0.2", "https://10.9.0.1")
    answer = visitor.get("/")
    assert answer.headers["set-cookie"].startswith("__Host-wardgate=")
    assert "secure" in answer.headers["set-cookie"].lower()
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert visitor.login("111111").headers["location"] == "/"


def test_events_are_not_for_other_sites(desk, alice: Visitor) -> None:
    assert alice.get("/events", headers={"sec-fetch-site": "cross-site", "origin": EVIL}).status_code == 403
    assert alice.client.request("HEAD", "/events").content == b""
    assert desk.watchers == {}
