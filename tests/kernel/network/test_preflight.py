"""Each check finds what is wrong, says it with a remedy, and changes nothing."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from wardgate.gateway.network import preflight as checks
from wardgate.gateway.network.links import links
from wardgate.gateway.network.preflight import Wanted, preflight
from wardgate.gateway.network.tunnel import TunnelNetwork
from wardgate.gateway.wireguard import Kind, PrivateKey, open_device
from wardgate.runtime.privileges import read_privileges

pytestmark = pytest.mark.usefixtures("alone")

ANY = "0.0.0.0"  # noqa: S104 - in a namespace of the test's own
NAME = f"p{os.getpid()}"
WANTED = Wanted(
    NAME,
    51820,
    (ip_interface("10.80.0.1/24"), ip_interface("fd80::1/64")),
    (ip_network("10.80.0.0/16"), ip_network("fd80::/64")),
    ((ip_address("10.80.0.1"), 443), (ip_address("fd80::1"), 443), (ip_address("192.0.2.1"), 8443)),
    forward=True,
    masquerade=True,
)


def found(wanted: Wanted = WANTED) -> dict:
    """What is wrong."""
    return {one.name: one for one in preflight(wanted) if not one.ok}


@pytest.fixture
def listening(request):
    def listen(kind: socket.SocketKind, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, kind)
        request.addfinalizer(made.close)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
        if kind is socket.SOCK_STREAM:
            made.listen()

    return listen


@pytest.mark.tool("nft")
def test_a_machine_that_is_fine(system):
    before = {one.name for one in links()}, system.run("ip", "route")
    assert found() == {}
    names = [one.name for one in preflight(WANTED)]
    assert len(names) == len(set(names)) == 10
    assert all(one.message for one in preflight(WANTED))
    assert ({one.name for one in links()}, system.run("ip", "route")) == before


def test_every_complaint_has_a_remedy(system, listening, monkeypatch):
    system.run("ip", "link", "add", NAME, "type", "bridge")
    system.run("ip", "address", "add", "10.80.3.3/24", "dev", "eth")
    listening(socket.SOCK_DGRAM, ANY, 51820)
    listening(socket.SOCK_STREAM, "192.0.2.1", 8443)
    monkeypatch.setattr(checks, "find_nft", lambda: None)
    wrong = found(replace(WANTED, forward=False))
    assert set(wrong) == {
        "interface", "WireGuard port", "tunnel prefixes", "forwarding", "masquerading",
        "listen on 192.0.2.1 port 8443",
    }  # fmt: skip
    assert all(one.message and one.remedy for one in wrong.values())
    assert "that of a bridge interface" in wrong["interface"].message


@pytest.mark.parametrize("address", [ANY, "::", "192.0.2.1"])
def test_a_port_that_another_program_has(listening, address):
    listening(socket.SOCK_DGRAM, address, 51820)
    (wrong,) = found().values()
    assert wrong.name == "WireGuard port"
    assert ("IPv6" if address == "::" else "IPv4") in wrong.message
    assert "51820" in wrong.remedy
    assert not found(replace(WANTED, listen_port=0))


@pytest.mark.parametrize("address", [ANY, "10.80.0.1", "::", "fd80::1"])
def test_a_listener_in_the_way(system, listening, address):
    system.run("ip", "address", "add", "10.80.0.1/32", "dev", "lo")
    system.run("ip", "address", "add", "fd80::1/128", "dev", "lo")
    listening(socket.SOCK_STREAM, address, 443)
    which = "fd80::1" if ":" in address else "10.80.0.1"
    assert f"listen on {which} port 443" in found()
    assert f"listen on {'10.80.0.1' if ':' in address else 'fd80::1'} port 443" not in found()


def test_an_address_that_is_none_for_a_listener():
    wrong = found(
        replace(WANTED, listeners=((ip_address("ff02::1%lo"), 443), (ip_address("224.0.0.1"), 443)))
    )
    assert all(one.remedy for one in wrong.values())


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (["address add 10.80.9.1/24 dev eth"], "eth has the address 10.80.9.1, which is in 10.80.0.0/16"),
        (["address add fd80::9/128 dev eth nodad"], "eth has the address fd80::9"),
        (["route add 10.80.7.0/24 via 192.0.2.2"], "10.80.7.0/24 has a route to eth, and is in 10.80.0.0/16"),
        (["route add 10.80.0.0/16 via 192.0.2.2"], "is in 10.80.0.0/16"),
        (["route add 10.0.0.0/8 dev eth"], "10.0.0.0/8 has a route to eth, and contains 10.80.0.0/16"),
        (["address add 10.0.0.9/8 dev eth"], "contains 10.80.0.0/16"),
        (["route add fd80::/64 via 2001:db8::2"], "is in fd80::/64"),
        (["route add 10.80.7.0/24 nexthop via 192.0.2.2 nexthop via 10.9.0.2"], "is in 10.80.0.0/16"),
    ],
)
def test_prefixes_that_others_use(system, commands, message):
    for command in commands:
        system.run("ip", *(["-6"] if "fd80" in command else []), *command.split())
    (wrong,) = found().values()
    assert wrong.name == "tunnel prefixes"
    assert message in wrong.message


@pytest.mark.parametrize(
    "command",
    [
        "route add default via 192.0.2.2",
        "route add 0.0.0.0/1 dev eth",
        "route add 10.0.0.0/8 via 192.0.2.2",
        "route add unreachable 10.80.0.0/12",
        "route add 10.81.0.0/16 dev eth",
        "address add 10.81.0.1/16 dev eth",
        "route add 10.80.5.0/24 dev eth table 77",
    ],
)
def test_prefixes_that_are_nobody_s(system, command):
    system.run("ip", *command.split())
    assert found() == {}


def test_own_addresses_outside_the_prefixes_count_too(system):
    system.run("ip", "address", "add", "10.90.0.7/24", "dev", "eth")
    wanted = replace(WANTED, addresses=(ip_interface("10.90.0.1/24"),), prefixes=WANTED.prefixes[:1])
    assert "10.90.0.7" in found(wanted)["tunnel prefixes"].message


@pytest.mark.tool("wireguard-go")
def test_our_own_device_is_not_in_the_way():
    device = open_device(NAME, Kind.USERSPACE)
    try:
        device.configure(PrivateKey.generate(), 51820)
        tunnel = TunnelNetwork(NAME, WANTED.addresses, WANTED.prefixes)
        tunnel.prepare()
        tunnel.activate()
        assert found() == {}
        messages = {one.name: one.message for one in preflight(WANTED)}
        assert "adopted" in messages["interface"]
        assert f"that of {NAME} already" in messages["WireGuard port"]
    finally:
        device.destroy()


def test_forwarding(system):
    off = found(replace(WANTED, forward=False))["forwarding"]
    assert "net.ipv4.ip_forward, net.ipv6.conf.all.forwarding" in off.message
    assert "sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1" in off.remedy
    system.write("ipv4/ip_forward", "1")
    assert "ip_forward" not in found(replace(WANTED, forward=False))["forwarding"].message
    only_four = replace(WANTED, forward=False, prefixes=WANTED.prefixes[:1])
    assert "forwarding" not in found(only_four)


def test_the_trap_of_advertised_routes_is_told(system):
    system.run("ip", "route", "add", "default", "via", "2001:db8::2", "dev", "eth", "proto", "ra")
    system.write("ipv6/conf/eth/accept_ra", "1")
    off = found(replace(WANTED, forward=False))["forwarding"]
    assert "eth will lose the default route of IPv6" in off.message
    assert "net.ipv6.conf.eth.accept_ra=2 net.ipv4" in off.remedy


def test_strict_filtering_is_told_and_no_fault(system):
    system.write("ipv4/conf/eth/rp_filter", "1")
    (one,) = [one for one in preflight(WANTED) if one.name == "forwarding"]
    assert one.ok
    assert "rp_filter is strict on" in one.message


def test_privileges_that_are_missing():
    facts = replace(read_privileges(), missing=("CAP_NET_ADMIN",))
    check = checks.check_privileges(facts)
    assert not check.ok
    assert "CAP_NET_ADMIN" in check.message
    assert check.remedy
    assert not checks.check_privileges(replace(facts, missing=(), own_user_namespace=True)).ok


def test_a_folder_that_is_no_bpffs(tmp_path):
    check = checks.check_bpffs(tmp_path)
    assert not check.ok
    assert "mount -t bpf" in check.remedy


def test_sockets_of_the_checks_are_closed():
    before = len(list(Path("/proc/self/fd").iterdir()))
    preflight(WANTED)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
