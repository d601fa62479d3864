"""AllowedIPs: exactly what the policy reaches, in few prefixes, and never the tunnel's own packets."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.errors import InvalidError
from wardgate.gateway.identity.routes import routes

four = st.builds(
    lambda first, length: str(ipaddress.ip_network((0x0A00_0000 + first, length), strict=False)),
    st.integers(0, 255),
    st.integers(24, 32),
)
six = st.builds(
    lambda first, length: str(ipaddress.ip_network(((0xFD00 << 112) + first, length), strict=False)),
    st.integers(0, 255),
    st.integers(120, 128),
)


def members(prefixes: tuple[str, ...] | list[str]) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    return {address for prefix in prefixes for address in ipaddress.ip_network(prefix)}


@given(
    st.lists(four | six, max_size=6),
    st.lists(four | six, max_size=2),
    st.sampled_from([(4,), (6,), (4, 6)]),
    st.none() | st.integers(0, 255).map(lambda last: ipaddress.ip_address(f"10.0.0.{last}")),
)
def test_they_cover_what_is_wanted_and_nothing_else(
    reachable: list[str], always: list[str], versions: tuple[int, ...], outside: ipaddress.IPv4Address | None
) -> None:
    found = routes(reachable, always, versions, outside)
    wanted = {address for address in members(reachable + always) if address.version in versions}
    assert members(found) == wanted - {outside}
    networks = [ipaddress.ip_network(prefix) for prefix in found]
    assert sum(network.num_addresses for network in networks) == len(members(found))
    # No two are halves of one.
    parents = [network.supernet() for network in networks if network.prefixlen]
    assert len(set(parents)) == len(parents)
    assert [network.version for network in networks] == sorted(network.version for network in networks)


def test_a_default_route_stays_whole() -> None:
    endpoint = ipaddress.ip_address("203.0.113.7")
    assert routes(["0.0.0.0/0", "::/0"], ["10.9.0.1"], (4, 6), endpoint) == ("0.0.0.0/0", "::/0")
    assert routes(["203.0.113.6/31"], ["10.9.0.1", "fd09::1"], (4, 6), endpoint) == (
        "10.9.0.1/32",
        "203.0.113.6/32",
        "fd09::1/128",
    )


@pytest.mark.parametrize("prefix", ["x", "10.0.0.1/8", "fd00::1%\nPostUp = id", "10.0.0.0/8\n", ""])
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(InvalidError) as caught:
        routes([prefix], [], (4, 6), None)
    assert str(caught.value).isprintable()
