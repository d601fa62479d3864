"""The public enrolment page and its API: what a token gets, and what anything else gets."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from dataclasses import replace
from ipaddress import ip_network

import pytest
from portal_desk import GATEWAY_KEY, HOSTILE, office
from portal_visitor import Form, Visitor
from wardgate.gateway.errors import BusyError, InvalidError
from wardgate.gateway.portal import EnrolmentSettings, Rate, enrolment_app
from wardgate.gateway.portal.enrolment import BAD_TOKEN

PUBLIC = "https://vpn.example.com"
SETTINGS = EnrolmentSettings(("vpn.example.com",))
GOOD = {"token": "wg_good_token", "name": "laptop", "public_key": GATEWAY_KEY}


def key(number: int) -> str:
    """A public key, as far as its form goes."""
    return b64encode(bytes([number] * 32)).decode()


@pytest.fixture
def desk():
    return office()


@pytest.fixture
def visitor(desk):
    return Visitor(enrolment_app(desk, SETTINGS), "198.51.100.7", PUBLIC)


def call(visitor: Visitor, document: object = GOOD, **headers: str):
    """The API's answer."""
    return visitor.client.request("POST", "/enrol/api", json=document, headers=headers)


def test_the_api(desk, visitor: Visitor) -> None:
    answer = call(visitor)
    assert answer.status_code == 200
    document = answer.json()
    assert set(document) == {"device", "addresses", "file_name", "configuration"}
    assert (document["device"], document["addresses"]) == ("alice/laptop", ["10.9.1.0"])
    assert "Address = 10.9.1.0/32" in document["configuration"]
    assert "\nPrivateKey" not in document["configuration"]
    assert desk.enrolment.made[0].public_key == GATEWAY_KEY
    assert answer.headers["cache-control"] == "no-store"


def test_the_form_gives_a_page(visitor: Visitor) -> None:
    answer = visitor.submit("/enrol", "/enrol", **GOOD)
    assert answer.status_code == 200
    assert "alice/laptop" in answer.text
    assert "/etc/wireguard/wg-laptop.conf" in answer.text
    assert "Endpoint = vpn.example.com:51820" in answer.text


def test_the_form_gives_a_file(visitor: Visitor) -> None:
    answer = visitor.submit("/enrol", "/enrol", **GOOD, **{"as": "file"})
    assert answer.headers["content-disposition"] == 'attachment; filename="wg-laptop.conf"'
    assert answer.text.startswith("# WireGuard configuration of alice/laptop.")


def test_a_file_name_is_no_header(desk, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal_desk import Configuration

    for name in ('a"; filename="b', "a\r\nset-cookie: a=b", "../../x", ".hidden", ""):
        monkeypatch.setattr(Configuration, "file_name", name)
        desk.enrolment.tokens["wg_more"] = ("alice", 1)
        fields = {**GOOD, "token": "wg_more", "public_key": key(len(desk.enrolment.made)), "as": "file"}
        answer = visitor.submit("/enrol", "/enrol", **fields)
        assert answer.headers["content-disposition"] == 'attachment; filename="wardgate.conf"'


@pytest.mark.parametrize("token", ["wg_wrong", "wg_good_token ", "x", "", "a" * 257, "wg_\u00e9", HOSTILE])
def test_one_text_for_all_bad_tokens(desk, visitor: Visitor, token: str) -> None:
    desk.enrolment.tokens["wg_good_token"] = ("alice", 0)
    answer = call(visitor, {**GOOD, "token": token})
    assert (answer.status_code, answer.json()) == (403, {"error": BAD_TOKEN})
    page = visitor.submit("/enrol", "/enrol", **{**GOOD, "token": token})
    assert page.status_code == 403
    assert BAD_TOKEN in page.text
    assert desk.enrolment.made == []


def test_a_token_is_spent_once(visitor: Visitor) -> None:
    assert call(visitor).status_code == 200
    again = call(visitor, {**GOOD, "name": "other", "public_key": key(1)})
    assert (again.status_code, again.json()["error"]) == (403, BAD_TOKEN)


def test_a_token_is_not_spent_by_what_fails(desk, visitor: Visitor) -> None:
    for wrong in ({"public_key": "short"}, {"name": ""}, {"name": "a\x00b"}, {"name": "n" * 65}):
        assert call(visitor, {**GOOD, **wrong}).status_code == 400
    assert desk.enrolment.asked == 0
    assert call(visitor).status_code == 200


def test_a_key_that_is_taken(visitor: Visitor) -> None:
    call(visitor)
    answer = call(visitor, {**GOOD, "token": "wg_twice"})
    assert answer.status_code == 409
    assert "another device has this key" in answer.json()["error"].lower()


def test_what_the_gateway_says_of_a_name(desk, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def invalid(*_: object) -> None:
        raise InvalidError("name device", HOSTILE, f"it is no name {HOSTILE}", "use letters")

    monkeypatch.setattr(desk.enrolment, "enrol", invalid)
    page = visitor.submit("/enrol", "/enrol", **{**GOOD, "name": HOSTILE[:40]})
    assert page.status_code == 400
    assert "<img" not in page.text
    assert "It is no name" in page.text


def test_a_busy_gateway(desk, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: object) -> None:
        raise BusyError("enrol", "", "too many at once")

    monkeypatch.setattr(desk.enrolment, "enrol", busy)
    answer = call(visitor)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    "public_key", ["", "A" * 43, "A" * 44, GATEWAY_KEY[:-2] + "F=", GATEWAY_KEY + "\n\n=", "*" * 44]
)
def test_texts_that_are_no_keys(desk, visitor: Visitor, public_key: str) -> None:
    assert call(visitor, {**GOOD, "public_key": public_key}).status_code == 400
    assert desk.enrolment.asked == 0


@pytest.mark.parametrize(
    "document",
    [[], "text", 1, {}, {**GOOD, "token": 1}, {**GOOD, "name": None}, {**GOOD, "public_key": ["a"]}],
)
def test_documents_that_are_none(visitor: Visitor, document: object) -> None:
    answer = call(visitor, document)
    assert answer.status_code == 400
    assert "error" in answer.json()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 4000, b"null", b'{"a":NaN'])
def test_bodies_that_are_no_json(visitor: Visitor, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    assert visitor.client.request("POST", "/enrol/api", content=body, headers=headers).status_code == 400


def test_an_oversized_body(desk, visitor: Visitor) -> None:
    assert call(visitor, {**GOOD, "more": "a" * 10_000}).status_code == 413
    assert desk.enrolment.asked == 0


def test_other_sites_cannot_enrol(desk, visitor: Visitor) -> None:
    headers = {"content-type": "text/plain"}
    simple = visitor.client.request("POST", "/enrol/api", content=json.dumps(GOOD), headers=headers)
    assert simple.status_code == 415
    assert call(visitor, **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert (
        visitor.client.request(
            "OPTIONS", "/enrol/api", headers={"origin": "https://evil.example"}
        ).status_code
        == 405
    )
    for origin in ("https://evil.example", "null", "http://vpn.example.com"):
        assert visitor.send(Form("/enrol", GOOD), {"origin": origin}).status_code == 403
    assert desk.enrolment.asked == 0


def test_the_token_is_in_no_address_and_no_log(visitor: Visitor, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    page = visitor.get("/enrol?token=wg_good_token")
    assert "wg_good_token" not in page.text
    visitor.submit("/enrol", "/enrol", **{**GOOD, "token": "wg_secretly_wrong"})
    call(visitor)
    ours = [record for record in caplog.records if record.name.startswith("wardgate")]
    assert ours
    assert not any("wg_" in str(record.__dict__) for record in ours)


def test_the_front_leads_to_the_page(visitor: Visitor) -> None:
    answer = visitor.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/enrol")
    assert visitor.get("/nothing").status_code == 404
    assert visitor.get("/enrol/api").status_code == 405
    assert visitor.get("/enrol", headers={"host": "evil.example"}).status_code == 421
    assert "set-cookie" not in visitor.get("/enrol").headers


def test_portals_pages_are_not_here(visitor: Visitor) -> None:
    for path in ("/login", "/setup", "/events", "/enrol/static/portal.js", "/enrol/static/../desk.py"):
        assert visitor.get(path).status_code == 404


TIGHT = replace(SETTINGS, attempts=Rate(3, 1), trusted_proxies=(ip_network("192.0.2.0/24"),))


def attempts(desk, settings: EnrolmentSettings, *sources: tuple[str, str | None]) -> list[int]:
    """Status codes of bad attempts, each from a peer with an X-Forwarded-For."""
    app, found = enrolment_app(desk, settings), []
    for peer, forwarded in sources:
        headers = {"x-forwarded-for": forwarded} if forwarded is not None else {}
        found.append(call(Visitor(app, peer, PUBLIC), {**GOOD, "token": "wg_x"}, **headers).status_code)
    return found


def test_attempts_of_an_address_are_few(desk) -> None:
    assert attempts(desk, TIGHT, *[("198.51.100.7", None)] * 4, ("198.51.100.8", None)) == [
        403,
        403,
        403,
        429,
        403,
    ]
    assert desk.enrolment.asked == 4


def test_a_spoofed_source_is_not_believed(desk) -> None:
    spoofed = [("198.51.100.7", f"203.0.113.{number}") for number in range(4)]
    assert attempts(desk, TIGHT, *spoofed) == [403, 403, 403, 429]


def test_a_proxy_of_ours_is_believed_for_what_it_adds(desk) -> None:
    spoofed = [("192.0.2.1", f"1.2.3.{number}, 203.0.113.5") for number in range(4)]
    assert attempts(desk, TIGHT, *spoofed, ("192.0.2.1", "203.0.113.6")) == [403, 403, 403, 429, 403]


def test_a_network_of_ipv6_is_one_source(desk) -> None:
    same = [(f"2001:db8::{number}", None) for number in range(1, 5)]
    assert attempts(desk, TIGHT, *same, ("2001:db8:0:1::1", None)) == [403, 403, 403, 429, 403]


def test_all_together_have_a_rate_too(desk) -> None:
    settings = replace(SETTINGS, attempts=Rate(3, 1), all_attempts=Rate(5, 1))
    sources = [(f"198.51.100.{number}", None) for number in range(7)]
    assert attempts(desk, settings, *sources) == [403] * 5 + [429] * 2


def test_pages_have_a_rate(desk) -> None:
    visitor = Visitor(enrolment_app(desk, replace(SETTINGS, pages=Rate(2, 1))), "198.51.100.7", PUBLIC)
    assert [visitor.get("/enrol").status_code for _ in range(3)] == [200, 200, 429]


def test_the_form_behind_a_proxy_with_tls(desk) -> None:
    settings = replace(TIGHT, tls=False)
    proxied = {"origin": PUBLIC, "x-forwarded-for": "203.0.113.5", "x-forwarded-proto": "https"}
    stranger = Visitor(enrolment_app(desk, settings), "198.51.100.7", "http://vpn.example.com")
    assert stranger.send(Form("/enrol", GOOD), proxied).status_code == 403
    proxy = Visitor(enrolment_app(desk, settings), "192.0.2.1", "http://vpn.example.com")
    assert (
        proxy.send(Form("/enrol", GOOD), {**proxied, "origin": "http://vpn.example.com"}).status_code == 403
    )
    assert proxy.send(Form("/enrol", GOOD), proxied).status_code == 200
