"""Parts of the gate that need no kernel: names, addresses, what devices may be, sessions by the clock."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.runtime import clock
from wardgate.runtime.addresses import (
    DeviceError,
    address_of,
    key_of,
    number_of,
    number_of_key,
    number_range,
    parse_address,
)
from wardgate.runtime.attach import LADDERS, AttachError, Hook, Refusal, Rung, rungs_for
from wardgate.runtime.codec import RecordValue
from wardgate.runtime.devices import Device, DeviceSpec, check_devices
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.pins import About, PinError, check_name
from wardgate.runtime.sessions import SessionState, session_of, state_of

TUNNEL = ("10.9.0.0/16", "fd09::/64")


@given(st.ip_addresses())
def test_addresses_survive_the_way_through_numbers_and_keys(address) -> None:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return
    key = key_of(number_of(address))
    assert len(key) == 16
    assert address_of(number_of_key(key)) == address


def test_an_ipv4_address_has_the_key_of_its_mapped_form() -> None:
    mapped = ipaddress.ip_address("::ffff:10.9.0.2")
    assert key_of(number_of(ipaddress.ip_address("10.9.0.2"))) == mapped.packed


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_prefix_is_a_range_of_numbers(address, length) -> None:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return
    length = min(length, address.max_prefixlen)
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    numbers = number_range(str(network))
    assert numbers[0] == number_of(network[0])
    assert numbers[-1] == number_of(network[-1])
    assert number_of(address) in numbers


@pytest.mark.parametrize("text", ["", "10.9.0", "10.9.0.2/32", "::ffff:10.9.0.2", "fe80::1%wg0", "alice"])
def test_what_is_no_plain_address_is_refused(text) -> None:
    with pytest.raises(DeviceError):
        parse_address(text)


@pytest.mark.parametrize("name", ["wg0", "eth0-1", "A_b@c:d+e", "0", "x" * 64])
def test_names_that_a_gate_can_have(name) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "eth0.100", "..", "a/b", "-x", "x" * 65, "ä", "a b", "a\n"])
def test_names_that_a_gate_cannot_have(name) -> None:
    with pytest.raises(PinError, match="--name"):
        check_name(name)


def test_devices_are_checked_against_the_tunnel_and_each_other() -> None:
    good = [DeviceSpec.of("alice", "10.9.0.2", "fd09::2"), DeviceSpec.of("alice", "10.9.255.255")]
    check_devices(good, TUNNEL, 3)
    with pytest.raises(DeviceError, match="room for 1"):
        check_devices(good, TUNNEL, 2)
    with pytest.raises(DeviceError, match=r"10\.10\.0\.1 of bob.*tunnel"):
        check_devices([DeviceSpec.of("bob", "10.10.0.1")], TUNNEL, 9)
    with pytest.raises(DeviceError, match="twice"):
        check_devices([DeviceSpec.of("bob", "10.9.0.1", "10.9.0.1")], TUNNEL, 9)


def record(**values: int) -> RecordValue:
    blank = {"subject": 1, "flags": 0, "deadline": 0, "idle_limit": 0, "last_active": 0, "login": 0}
    return RecordValue({**blank, **values})


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, SessionState.NONE),
        ({"deadline": 101}, SessionState.AUTHORISED),
        ({"deadline": 100}, SessionState.EXPIRED),
        ({"deadline": 200, "idle_limit": 10, "last_active": 90}, SessionState.AUTHORISED),
        ({"deadline": 200, "idle_limit": 10, "last_active": 89}, SessionState.IDLE),
        ({"deadline": 100, "idle_limit": 10, "last_active": 0}, SessionState.EXPIRED),
        ({"deadline": 200, "flags": 1}, SessionState.LOCKED),
        ({"flags": 1}, SessionState.LOCKED),
    ],
)
def test_states_of_a_session_at_100_ns(values, state) -> None:
    assert state_of(record(**values), 100) is state


def test_a_session_in_seconds() -> None:
    device = Device(1, "alice", (), record(deadline=5 * clock.NS_PER_SECOND, idle_limit=clock.NS_PER_SECOND))
    session = session_of(device, 2 * clock.NS_PER_SECOND)
    assert (session.remaining, session.idle_limit) == (3.0, 1.0)
    assert session_of(device, 9 * clock.NS_PER_SECOND).remaining == 0
    assert session.login_age is None
    device = Device(1, "alice", (), record(login=clock.NS_PER_SECOND))
    assert session_of(device, 3 * clock.NS_PER_SECOND).login_age == 2.0
    # Another CPU may have noted a later time.
    assert session_of(device, 0).login_age == 0


def test_the_clock_is_that_of_the_programs() -> None:
    moment = clock.now()
    assert clock.now() >= moment
    assert abs((clock.wall(moment) - datetime.now(UTC)).total_seconds()) < 60
    assert clock.nanoseconds(1.5) == 1_500_000_000
    assert clock.nanoseconds(1e-12) == 1


def test_ladders_and_forced_rungs() -> None:
    assert rungs_for(Hook.INGRESS, None) == LADDERS[Hook.INGRESS]
    # The order is that of the ladder, not of what was asked for.
    wanted = [Rung.XDP_NETLINK_GENERIC, Rung.XDP_GENERIC]
    assert rungs_for(Hook.XDP, wanted) == (Rung.XDP_GENERIC, Rung.XDP_NETLINK_GENERIC)
    assert rungs_for(Hook.EGRESS, wanted) == LADDERS[Hook.EGRESS]


def test_an_attach_error_names_every_rung_and_cause() -> None:
    refusals = [Refusal(Rung.TCX, "Invalid argument (EINVAL)"), Refusal(Rung.CLSACT, "no such thing")]
    error = AttachError(Hook.INGRESS, "wg0", refusals, "do this")
    assert str(error) == (
        "attach wg0 (ingress): tcx: Invalid argument (EINVAL); clsact: no such thing; do this"
    )


def test_what_a_gate_is_survives_as_json() -> None:
    about = About(
        "wg0",
        4026531840,
        LinkHeader.NONE,
        "xdp",
        {Hook.XDP: Rung.XDP_GENERIC, Hook.EGRESS: Rung.TCX},
        {Hook.XDP: (Refusal(Rung.XDP_DRIVER, "not supported"),), Hook.EGRESS: ()},
    )
    assert About.from_json(about.to_json()) == about


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"device": "wg0"}', b"null"])
def test_what_another_release_wrote_of_a_gate_is_refused(data) -> None:
    with pytest.raises(PinError, match="another release"):
        About.from_json(data)
