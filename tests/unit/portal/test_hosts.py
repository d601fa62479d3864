"""Who is addressed, who asks, and whose page: by what cannot be forged."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.portal.hosts import (
    Host,
    host_of,
    is_cross_site,
    is_encrypted,
    is_same_origin,
    neighbourhood,
    peer_of,
    source_of,
)
from wardgate.gateway.portal.settings import PortalSettings

PROXIES = (ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/48"))


def scope(client: str | None = "198.51.100.7", *headers: tuple[str, str]) -> dict[str, object]:
    """Of a request."""
    found = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"client": (client, 1234) if client else None, "headers": found}


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("portal.example", Host("portal.example", None)),
        ("Portal.EXAMPLE.:8443", Host("portal.example", 8443)),
        ("10.9.0.1", Host("10.9.0.1", None)),
        ("[FD09:0::1]:80", Host("fd09::1", 80)),
        ("[fd09::1]", Host("fd09::1", None)),
    ],
)
def test_a_host(text: str, host: Host) -> None:
    assert host_of(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a..b", "-a", "a-", "a b", "a\tb", "a/b", "a@b", "user@10.9.0.1", "a:b", "a:", "a:99999",
        "a:1:2", "fd09::1", "[fd09::1", "[fd09::1]x", "[10.9.0.1]", "[fe80::1%eth0]", "10.9.0.1.2",
        "010.9.0.1", "999", "0", "pörtal", "a" * 64, ".".join(["a" * 63] * 5), "a,b", "a\x00",
    ],
)  # fmt: skip
def test_no_host(text: str) -> None:
    assert host_of(text) is None


@given(st.text(max_size=30))
def test_any_text_is_a_host_or_none(text: str) -> None:
    host = host_of(text)
    assert host is None or host_of(f"[{host.name}]" if ":" in host.name else host.name) == Host(
        host.name, None
    )


@pytest.mark.parametrize("names", [(), ("",), ("a b",), ("portal.example:80",), ("10.9.0.1", "a/b")])
def test_settings_need_names(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not a host name or an address"):
        PortalSettings(names)


def test_settings_take_addresses_without_brackets() -> None:
    assert PortalSettings(("Portal.Example", "fd09::0001")).hosts == {"portal.example", "fd09::1"}


def test_a_peer_is_the_connection() -> None:
    assert peer_of(scope("10.9.0.2", ("x-forwarded-for", "10.9.0.3"))) == ip_address("10.9.0.2")
    assert peer_of(scope("::ffff:10.9.0.2")) == ip_address("10.9.0.2")
    assert peer_of(scope("fe80::1%wg0")) is None
    assert peer_of(scope(None)) is None
    assert peer_of(scope("testclient")) is None


@pytest.mark.parametrize(
    ("client", "forwarded", "source"),
    [
        ("198.51.100.7", ["10.0.0.1"], "198.51.100.7"),
        ("198.51.100.7", ["192.0.2.1"], "198.51.100.7"),
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["203.0.113.9, 192.0.2.2"], "203.0.113.9"),
        ("192.0.2.1", ["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["1.2.3.4, 203.0.113.9, 192.0.2.7"], "203.0.113.9"),
        ("192.0.2.1", ["1.2.3.4, nonsense"], "192.0.2.1"),
        ("192.0.2.1", ["1.2.3.4, nonsense, 192.0.2.7"], "192.0.2.7"),
        ("192.0.2.1", [""], "192.0.2.1"),
        ("192.0.2.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1::5", ["2001:db8:2::9"], "2001:db8:2::9"),
        ("::ffff:192.0.2.1", ["203.0.113.9"], "203.0.113.9"),
    ],
)
def test_only_proxies_of_ours_are_believed(client: str, forwarded: list[str], source: str) -> None:
    headers = [("x-forwarded-for", value) for value in forwarded]
    assert source_of(scope(client, *headers), PROXIES) == ip_address(source)
    assert source_of(scope(client, *headers), ()) == peer_of(scope(client))


def test_a_neighbourhood_is_what_one_customer_has() -> None:
    assert neighbourhood(ip_address("203.0.113.9")) == "203.0.113.9"
    assert neighbourhood(ip_address("2001:db8::1:2:3:4")) == neighbourhood(ip_address("2001:db8::9"))
    assert neighbourhood(ip_address("2001:db8::1")) != neighbourhood(ip_address("2001:db8:0:1::1"))


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ([("origin", "http://portal.example")], True),
        ([("origin", "http://portal.example:80")], True),
        ([("origin", "http://PORTAL.example.")], True),
        ([("referer", "http://portal.example/login?a=b")], True),
        ([("sec-fetch-site", "same-origin")], True),
        ([("origin", "http://portal.example"), ("sec-fetch-site", "same-origin")], True),
        ([], False),
        ([("origin", "null")], False),
        ([("origin", "http://evil.example")], False),
        ([("origin", "https://portal.example")], False),
        ([("origin", "http://portal.example:8080")], False),
        ([("origin", "http://portal.example.evil.example")], False),
        ([("origin", "http://portal.example@evil.example")], False),
        ([("origin", "http://[broken")], False),
        ([("origin", "http://portal.example"), ("sec-fetch-site", "cross-site")], False),
        ([("origin", "http://portal.example"), ("sec-fetch-site", "same-site")], False),
        ([("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")], False),
        ([("origin", "http://evil.example"), ("referer", "http://portal.example/")], False),
        ([("origin", "http://portal.example"), ("origin", "http://evil.example")], False),
        ([("sec-fetch-site", "none")], False),
    ],
)
def test_a_form_of_ours(headers: list[tuple[str, str]], same: bool) -> None:
    assert is_same_origin(scope("10.9.0.2", ("host", "portal.example"), *headers), tls=False) is same


def test_with_tls_the_origin_has_it_too() -> None:
    found = scope("10.9.0.2", ("host", "portal.example"), ("origin", "https://portal.example"))
    assert is_same_origin(found, tls=True)
    assert not is_same_origin(found, tls=False)


def test_without_one_host_nothing_is_ours() -> None:
    origin = ("origin", "http://portal.example")
    assert not is_same_origin(scope("10.9.0.2", origin), tls=False)
    twice = [("host", "portal.example")] * 2
    assert not is_same_origin(scope("10.9.0.2", *twice, origin), tls=False)


def test_what_reads_may_be_asked_for_by_the_user() -> None:
    assert not is_cross_site(scope())
    assert not is_cross_site(scope("10.9.0.2", ("sec-fetch-site", "none")))
    assert is_cross_site(scope("10.9.0.2", ("sec-fetch-site", "same-site")))


@pytest.mark.parametrize(
    ("client", "says", "encrypted"),
    [
        ("192.0.2.1", ["https"], True),
        ("192.0.2.1", ["http"], False),
        ("192.0.2.1", ["http", "https"], False),
        ("192.0.2.1", ["https, http"], False),
        ("192.0.2.1", [], False),
        ("198.51.100.7", ["https"], False),
        ("::ffff:192.0.2.1", ["https"], True),
    ],
)
def test_a_proxy_of_ours_may_say_that_it_was_https(client: str, says: list[str], encrypted: bool) -> None:
    found = scope(client, *[("x-forwarded-proto", value) for value in says])
    assert is_encrypted(found, PROXIES, tls=False) is encrypted
    assert is_encrypted(found, PROXIES, tls=True)
