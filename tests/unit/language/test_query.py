"""The words of a question."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler.language import (
    QueryError,
    parse_query_address,
    parse_query_service,
    parse_query_user,
    service_label,
)
from wardgate.compiler.language.model import PORT_PROTOCOLS


@pytest.mark.parametrize(
    ("text", "version", "service"),
    [
        ("22/tcp", 4, (6, 22)),
        ("53/udp", 6, (17, 53)),
        ("65535/sctp", 4, (132, 65535)),
        ("icmp", 4, (1, None)),
        ("icmp", 6, (58, None)),
        ("proto/47", 4, (47, None)),
        ("proto/1", 6, (1, None)),
        ("proto/0", 6, (0, None)),
    ],
)
def test_concrete_services(text: str, version: int, service: tuple[int, int | None]) -> None:
    assert parse_query_service(text, version) == service
    assert service_label(*service, version) == text


@pytest.mark.parametrize(
    "text", ["", "22", "tcp", "1-2/tcp", "53/any", "proto/6", "proto/256", "web", "0/tcp", "22/tcp ", "any"]
)
def test_other_services_are_refused(text: str) -> None:
    with pytest.raises(QueryError, match=r".; ."):
        parse_query_service(text, 4)


@given(st.integers(0, 255), st.integers(1, 65_535), st.sampled_from([4, 6]))
def test_labels_are_read_back(protocol: int, port: int, version: int) -> None:
    service = (protocol, port if protocol in PORT_PROTOCOLS else None)
    assert parse_query_service(service_label(*service, version), version) == service


def test_addresses() -> None:
    assert str(parse_query_address("10.0.0.1")) == "10.0.0.1"
    assert str(parse_query_address("FD00:0::1")) == "fd00::1"
    for text in (
        "",
        "10.0.0.0/32",
        "::ffff:10.0.0.1",
        "fe80::1%0",
        "wiki",
        "10.0.0",
        "10.0.0.01",
        "1.2.3.4\n",
    ):
        with pytest.raises(QueryError, match=r".; ."):
            parse_query_address(text)


def test_users() -> None:
    assert parse_query_user("alice@example.org") == "alice@example.org"
    for text in ("", "*", "group:a", "a b", "-a", "a" * 64, "\u00e9", "a\n"):
        with pytest.raises(QueryError, match=r".; ."):
            parse_query_user(text)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_query_address, parse_query_user, lambda t: parse_query_service(t, 4)):
        with contextlib.suppress(QueryError):
            parse(text)
