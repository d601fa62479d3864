"""Endpoints are addresses with ports, and never names."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.wireguard import Endpoint, EndpointFormatError

ADDRESSES = st.ip_addresses()
PORTS = st.integers(1, 65535)


@given(ADDRESSES, PORTS)
def test_what_is_written_can_be_read(address, port):
    endpoint = Endpoint(address, port)
    assert Endpoint.parse(str(endpoint)) == endpoint


def test_a_scope_is_part_of_the_address():
    endpoint = Endpoint.parse("[fe80::1%eth0]:7")
    assert endpoint == Endpoint(ip_address("fe80::1%eth0"), 7)
    assert str(endpoint) == "[fe80::1%eth0]:7"
    assert endpoint != Endpoint.parse("[fe80::1%eth1]:7")


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:1234567", "1.2.3:1", "::1:5", "[::1]",
     "[1.2.3.4]:5", "[::1]:x", "host:5", "1.2.3.4:5 ", "1.2.3.4:\u0665", "1.2.3.4:-5", "[fe80::1%]:5"],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(EndpointFormatError) as caught:
        Endpoint.parse(text)
    assert caught.value.remedy
