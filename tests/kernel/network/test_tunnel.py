"""The tunnel's interface gets its addresses and routes, others keep theirs, and nothing passes too early."""

from __future__ import annotations

import json
from ipaddress import ip_interface, ip_network

import pytest
from wardgate.gateway.network.errors import NetworkError, NoInterfaceError
from wardgate.gateway.network.links import (
    Link,
    add_link,
    bring_down,
    bring_up,
    find_link,
    links,
    remove_link,
)
from wardgate.gateway.network.routes import OUR_PROTOCOL, addresses, routes, set_addresses, set_routes
from wardgate.gateway.network.tunnel import TunnelNetwork

pytestmark = pytest.mark.usefixtures("alone")

OWN = (ip_interface("10.80.0.1/24"), ip_interface("fd80::1/64"))
PREFIXES = (ip_network("10.80.0.0/16"), ip_network("10.80.0.0/25"), ip_network("fd80::/56"))
TUNNEL = TunnelNetwork("wg0", OWN, PREFIXES, 1380)


@pytest.fixture(autouse=True)
def _device(alone, system):
    with alone.gateway.enter():
        # Of a kind without link-layer addresses, as WireGuard's.
        system.run("ip", "tuntap", "add", "dev", "wg0", "mode", "tun")


def of(name: str) -> set:
    """The addresses of an interface."""
    return {one.address for one in addresses() if one.interface == name}


def to(name: str) -> dict:
    """The routes to an interface: prefix to protocol."""
    return {str(one.prefix): one.protocol for one in routes() if one.interface == name}


def test_nothing_is_up_before_it_is_activated():
    TUNNEL.prepare()
    assert find_link("wg0") == Link("wg0", find_link("wg0").index, "tun", 1380, False)
    assert of("wg0") == set(OWN)
    assert to("wg0") == {}
    TUNNEL.activate()
    assert find_link("wg0").up
    assert of("wg0") == set(OWN), "and no address that the kernel made up"
    assert to("wg0") == {
        "10.80.0.0/24": 2, "10.80.0.0/16": OUR_PROTOCOL, "fd80::/64": 2, "fd80::/56": OUR_PROTOCOL,
    }  # fmt: skip


def test_again_and_changed(system):
    TUNNEL.prepare()
    TUNNEL.activate()
    system.run("ip", "route", "add", "10.99.0.0/16", "dev", "wg0")
    before = system.run("ip", "address", "show", "dev", "wg0"), system.run("ip", "route")
    TUNNEL.prepare()
    TUNNEL.activate()
    assert (system.run("ip", "address", "show", "dev", "wg0"), system.run("ip", "route")) == before

    changed = TunnelNetwork("wg0", (ip_interface("10.80.0.9/16"), OWN[1]), PREFIXES[:2], 1400)
    changed.prepare()
    assert find_link("wg0").up, "a tunnel that is adopted goes on"
    changed.activate()
    assert find_link("wg0").mtu == 1400
    assert of("wg0") == set(changed.addresses)
    assert to("wg0") == {"10.80.0.0/16": 2, "fd80::/64": 2, "10.99.0.0/16": 3}, "others' routes stay"


def test_a_machine_without_ipv6_on_new_interfaces(system):
    system.write("ipv6/conf/wg0/disable_ipv6", "1")
    set_addresses("wg0", OWN[:1])
    with pytest.raises(NetworkError) as caught:
        set_addresses("wg0", OWN)
    assert "disable_ipv6" in caught.value.remedy
    TUNNEL.prepare()
    assert of("wg0") == set(OWN)


def test_addresses_that_go_with_another_come_back():
    """Of several addresses of one network the first takes the others along when it goes."""
    many = [ip_interface(f"10.80.0.{number}/24") for number in range(1, 5)]
    set_addresses("wg0", many)
    set_addresses("wg0", many[1:])
    assert of("wg0") == set(many[1:])
    set_addresses("wg0", ())
    assert of("wg0") == set()


def test_a_route_of_somebody_else_is_not_replaced(system):
    system.run("ip", "route", "add", "10.80.0.0/16", "via", "192.0.2.2")
    system.run("ip", "-6", "route", "add", "fd80::/56", "via", "2001:db8::2")
    before = system.run("ip", "route")
    TUNNEL.prepare()
    bring_up("wg0")
    for prefix in (PREFIXES[0], PREFIXES[2]):
        with pytest.raises(NetworkError, match=f"add route to interface wg0 .{prefix}"):
            set_routes("wg0", [prefix], ())
    bring_down("wg0")
    assert system.run("ip", "route") == before


def test_what_goes_wrong_is_told():
    for use in (bring_up, lambda name: set_addresses(name, OWN), lambda name: set_routes(name, PREFIXES, ())):
        with pytest.raises(NoInterfaceError, match="nowhere") as caught:
            use("nowhere")
        assert caught.value.remedy
    with pytest.raises(NetworkError) as caught:
        set_routes("wg0", PREFIXES, ())
    assert "10.80" in str(caught.value) or "fd80" in str(caught.value)
    assert find_link("nowhere") is None
    assert not remove_link("nowhere")
    with pytest.raises(NetworkError, match="make no-such-kind interface x0"):
        add_link("x0", "no-such-kind")


@pytest.mark.parametrize("mtu", [0, 576, 1279, 65_456])
def test_a_tunnel_of_no_use(mtu):
    with pytest.raises(NetworkError, match=str(mtu)):
        TunnelNetwork("wg0", OWN, PREFIXES, mtu)


def test_interfaces_are_those_that_ip_shows(system):
    shown = json.loads(system.run("ip", "-json", "-details", "link"))
    assert {one.name: (one.index, one.mtu, one.up) for one in links()} == {
        one["ifname"]: (one["ifindex"], one["mtu"], "UP" in one["flags"]) for one in shown
    }
    assert {one.name: one.kind for one in links()} == {
        one["ifname"]: one.get("linkinfo", {}).get("info_kind", "") for one in shown
    }
