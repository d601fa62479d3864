"""Addresses that devices may have: none that has another meaning, none outside, each once."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.errors import InvalidError
from wardgate.gateway.identity import Pools
from wardgate.gateway.identity.pools import address_text


def all_of(pools: Pools, version: int) -> list[str]:
    """The addresses one after the other."""
    found, number = [], pools.after(version, -1)
    while number is not None:
        found.append(address_text(number))
        number = pools.after(version, number)
    return found


@pytest.mark.parametrize(
    ("prefixes", "reserved", "four", "six"),
    [
        (["10.9.0.0/29"], ["10.9.0.1"], [f"10.9.0.{last}" for last in range(2, 7)], []),
        (["10.9.0.4/30", "10.9.0.0/30"], [], ["10.9.0.1", "10.9.0.2", "10.9.0.5", "10.9.0.6"], []),
        (["10.9.0.2/31"], [], ["10.9.0.2", "10.9.0.3"], []),
        (["10.9.0.2/32"], [], ["10.9.0.2"], []),
        (["10.9.0.2/32"], ["10.9.0.2"], [], []),
        (["fd09::/126"], ["fd09::2"], [], ["fd09::1", "fd09::3"]),
        (["fd09::/127", "fd09::8/128"], [], [], ["fd09::", "fd09::1", "fd09::8"]),
        # One within the other: its own address stays out.
        (["10.9.0.0/29", "10.9.0.4/30"], [], [f"10.9.0.{last}" for last in (1, 2, 3, 5, 6)], []),
        ([], [], [], []),
    ],
)
def test_what_is_given(prefixes: list[str], reserved: list[str], four: list[str], six: list[str]) -> None:
    pools = Pools.of(prefixes, reserved)
    assert (all_of(pools, 4), all_of(pools, 6)) == (four, six)
    assert pools.versions == tuple(version for version, found in ((4, prefixes), (6, prefixes)) if any(
        ipaddress.ip_network(prefix).version == version for prefix in found
    ))  # fmt: skip


prefixes = st.builds(
    lambda first, length: str(ipaddress.ip_network((0x0A09_0000 + first, length), strict=False)),
    st.integers(0, 64),
    st.integers(26, 32),
) | st.builds(
    lambda first, length: str(ipaddress.ip_network(((0xFD09 << 112) + first, length), strict=False)),
    st.integers(0, 64),
    st.integers(122, 128),
)


@given(st.lists(prefixes, max_size=4), st.lists(st.integers(0, 64), max_size=4))
def test_against_a_plain_list(texts: list[str], reserved: list[int]) -> None:
    own = [f"10.9.0.{last}" for last in reserved]
    networks = [ipaddress.ip_network(text) for text in texts]
    pools = Pools.of(texts, own)
    for version in (4, 6):
        ours = [network for network in networks if network.version == version]
        every = {address for network in ours for address in network}
        for network in ours:
            if network.num_addresses > 2:
                every.discard(network.network_address)
                if version == 4:
                    every.discard(network.broadcast_address)
        wanted = [str(address) for address in sorted(every, key=int) if str(address) not in own]
        assert all_of(pools, version) == wanted
        for address in {address for network in ours for address in network}:
            assert pools.holds(address) == (str(address) in wanted)


@pytest.mark.parametrize(
    ("address", "cause"),
    [("10.9.0.1", "gateway's"), ("10.9.0.0", "names a prefix"), ("10.9.0.7", "all of its"),
     ("10.9.0.8", "not in"), ("::", "not in"), ("fd09::", "names a prefix")],
)  # fmt: skip
def test_an_address_that_no_device_gets(address: str, cause: str) -> None:
    pools = Pools.of(["10.9.0.0/29", "fd09::/64"], ["10.9.0.1"])
    with pytest.raises(InvalidError, match=cause):
        pools.check(ipaddress.ip_address(address))


@pytest.mark.parametrize("prefix", ["10.9.0.1/16", "x", "10.9.0.0/33", "fe80::%a/64"])
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(InvalidError):
        Pools.of([prefix])
