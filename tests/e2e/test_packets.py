"""Real packets through a gate: on a WireGuard device, and on an Ethernet one by TCX, clsact and XDP."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct

import pytest

pytestmark = pytest.mark.root

IP_RECVERR, IPV6_RECVERR = 11, 25
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2
ICMP_ORIGIN, ICMP6_ORIGIN = 2, 3
VERSIONS = pytest.mark.parametrize("version", [0, 1], ids=["ipv4", "ipv6"])
RIGS = {
    "wireguard": ("wireguard", ()),
    "veth-tcx": ("veth", ("--attach", "tcx")),
    "veth-clsact": ("veth", ("--attach", "clsact")),
    "veth-xdp": ("veth", ("--hook", "xdp")),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("wireguard", marks=pytest.mark.tool("wireguard-go")),
        *(name for name in RIGS if name != "wireguard"),
    ],
)
def bed(request, tmp_path_factory, e2e, artefact):
    joint, options = RIGS[request.param]
    with e2e.make_bed(joint, tmp_path_factory.mktemp("bed")) as made:
        made.start(artefact, *options)
        made.network.up(e2e.GATEWAY, [])
        made.rig = request.param
        yield made


def test_the_wanted_hooks_are_attached(bed):
    ways = {hook["hook"]: hook["way"] for hook in bed.run.attached["hooks"]}
    if bed.rig in ("veth-tcx", "veth-clsact"):
        way = bed.rig.partition("-")[2]
        assert ways == {"ingress": way, "egress": way}
    else:
        assert set(ways) == {"xdp" if bed.rig == "veth-xdp" else "ingress", "egress"}


@VERSIONS
def test_allowed_and_answered(bed, e2e, version):
    remote = e2e.ALLOWED[version]
    probes = [bed.probe("alice", remote, service) for service in ("80/tcp", "53/udp", "icmp")]
    assert bed.fates(*probes) == ["pass"] * 3


@VERSIONS
def test_dropped_for_want_of_a_rule_or_a_bucket(bed, e2e, version):
    fates = bed.fates(
        bed.probe("alice", e2e.ALLOWED[version], "81/tcp"),
        bed.probe("alice", e2e.ALLOWED[version], "54/udp"),
        bed.probe("alice", e2e.ELSEWHERE[version], "80/tcp"),
        bed.probe("bob", e2e.ELSEWHERE[version], "icmp"),
    )
    assert fates == ["no rule", "no rule", "no bucket", "no bucket"]


@VERSIONS
def test_mfa_passes_while_the_session_lasts(bed, e2e, version):
    remote, own = e2e.MFA[version], e2e.ADDRESSES["bob"][0]
    probes = [bed.probe("bob", remote, service) for service in ("22/tcp", "5000/udp", "icmp")]
    denied = bed.probe("carol", remote, "22/tcp")
    assert bed.fates(*probes, denied) == ["needs login"] * 3 + ["deny rule"]

    bed.command("session", "grant", own, "--for", "10m")
    bed.command("session", "grant", e2e.ADDRESSES["carol"][0], "--for", "10m")
    try:
        assert bed.fates(*probes, denied) == ["pass"] * 3 + ["deny rule"]
    finally:
        bed.command("session", "revoke", own)
        bed.command("session", "revoke", e2e.ADDRESSES["carol"][0])
    # A drop reported before would be taken for this one's: new sockets have new ports.
    assert bed.fates(*probes) == ["needs login"] * 3


@VERSIONS
def test_an_open_connection_stops_with_the_session(bed, e2e, version):
    """What an mfa rule had admitted is over when the session is, in both directions."""
    remote, own = e2e.MFA[version], e2e.ADDRESSES["bob"][version]
    client, servers = bed.network.clients["bob"], bed.network.servers
    family = socket.AF_INET6 if version else socket.AF_INET
    with contextlib.ExitStack() as stack:
        with servers.enter():
            listener = stack.enter_context(socket.socket(family))
        with client.enter():
            connection = stack.enter_context(socket.socket(family))
        listener.bind((remote, 7000))
        listener.listen()
        connection.bind((own, 0))
        bed.command("session", "grant", own, "--for", "10m")
        connection.settimeout(e2e.PATIENCE)
        connection.connect((remote, 7000))
        listener.settimeout(e2e.PATIENCE)
        accepted = stack.enter_context(listener.accept()[0])
        accepted.sendall(b"before")
        assert connection.recv(100) == b"before"
        bed.command("session", "revoke", own)
        accepted.sendall(b"after")
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        bed.command("session", "grant", own, "--for", "10m")
        connection.settimeout(e2e.PATIENCE)
        assert connection.recv(100) == b"after"
        bed.command("session", "revoke", own)


@VERSIONS
def test_unsolicited_towards_a_device(bed, e2e, version):
    remote = e2e.ALLOWED[version]
    fates = bed.fates(
        bed.probe("alice", remote, "8080/tcp", inbound=True),
        bed.probe("alice", remote, "53/udp", inbound=True),
        bed.probe("bob", remote, "icmp", inbound=True),
        bed.probe("bob", e2e.ELSEWHERE[version], "4000/udp", inbound=True),
    )
    assert fates == ["no rule", "no rule", "no flow", "no flow"]


@VERSIONS
def test_inbound_rules_admit_new_connections(bed, e2e, version):
    remote = e2e.ALLOWED[version]
    fates = bed.fates(
        bed.probe("alice", remote, "9100/tcp", inbound=True),
        bed.probe("alice", remote, "9100/udp", inbound=True),
        bed.probe("bob", remote, "9100/tcp", inbound=True),
    )
    assert fates == ["pass", "pass", "no flow"]


@VERSIONS
def test_a_server_reaches_the_asking_port_only(bed, e2e, udp, version):
    """A reply is one of its flow: the server may not use port 53 to reach every port of the device."""
    remote, own = e2e.ALLOWED[version], e2e.ADDRESSES["alice"][version]
    server = udp(bed.network.servers, remote, 53)
    asking, other = (udp(bed.network.clients["alice"], own) for _ in range(2))
    asking.sendto(b"question", (remote, 53))
    data, source = server.recvfrom(100)
    server.sendto(data, other.getsockname()[:2])
    server.sendto(data, source)
    assert asking.recv(100) == b"question"
    other.settimeout(0.3)
    with pytest.raises(TimeoutError):
        other.recv(100)


@VERSIONS
def test_fragmented_datagrams(bed, e2e, version):
    """More than the MTU, there and back."""
    remote = e2e.ALLOWED[version]
    fates = bed.fates(
        bed.probe("alice", remote, "4000/udp", size=6000),
        bed.probe("alice", remote, "53/udp", size=1800),
        bed.probe("alice", remote, "icmp", size=4000),
        bed.probe("alice", remote, "4001/udp", size=6000),
        bed.probe("bob", e2e.MFA[version], "4000/udp", size=6000),
    )
    assert fates == ["pass", "pass", "pass", "no rule", "needs login"]


def icmp_error(sock: socket.socket, timeout: float) -> tuple[int, int, int]:
    """Errno, ICMP type and code of the error that the kernel got about this socket's packets."""
    poll = select.poll()
    poll.register(sock, select.POLLERR)
    assert poll.poll(timeout * 1000), "no ICMP error came"
    _, control, _, _ = sock.recvmsg(2000, 1000, socket.MSG_ERRQUEUE)
    for _, _, data in control:
        number, origin, kind, code = struct.unpack_from("=IBBB", data)
        if origin in (ICMP_ORIGIN, ICMP6_ORIGIN):
            return number, kind, code
    raise AssertionError(f"no ICMP error in {control}")


def erring(udp, bed, e2e, version, user="alice"):
    """A socket of the user's device that keeps ICMP errors."""
    made = udp(bed.network.clients[user], e2e.ADDRESSES[user][version])
    made.setsockopt(*((socket.IPPROTO_IPV6, IPV6_RECVERR) if version else (socket.IPPROTO_IP, IP_RECVERR)), 1)
    return made


@VERSIONS
def test_port_unreachable_comes_back(bed, e2e, udp, version):
    asking = erring(udp, bed, e2e, version)
    asking.sendto(b"x", (e2e.ALLOWED[version], 1234))
    assert icmp_error(asking, e2e.PATIENCE) == (errno.ECONNREFUSED, *((1, 4) if version else (3, 3)))


@VERSIONS
def test_time_exceeded_comes_back(bed, e2e, udp, version):
    asking = erring(udp, bed, e2e, version)
    limit = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if version else (socket.IPPROTO_IP, socket.IP_TTL)
    asking.setsockopt(*limit, 1)
    asking.sendto(b"x", (e2e.ALLOWED[version], 1234))
    assert icmp_error(asking, e2e.PATIENCE) == (errno.EHOSTUNREACH, *((3, 0) if version else (11, 0)))


@VERSIONS
def test_too_big_comes_back(bed, e2e, udp, version):
    asking = erring(udp, bed, e2e, version)
    discover = (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) if version else (socket.IPPROTO_IP, IP_MTU_DISCOVER)
    asking.setsockopt(*discover, PMTUDISC_DO)
    narrow = e2e.Links(bed.network.gateway)
    with narrow:
        narrow.up("lan", 1300)
        try:
            asking.sendto(bytes(1350), (e2e.ALLOWED[version], 1234))
            assert icmp_error(asking, e2e.PATIENCE) == (errno.EMSGSIZE, *((2, 0) if version else (3, 4)))
        finally:
            narrow.up("lan", e2e.MTU)


def test_an_address_that_is_nobodys_is_dropped(bed, e2e, udp):
    client, stranger = bed.network.clients["alice"], "10.9.0.77"
    with e2e.Links(client) as links:
        device = next(name for name in links.names() if name.endswith("-1"))
        links.address(device, f"{stranger}/32")
    before = len(bed.run.drops)
    sending, server = udp(client, stranger), udp(bed.network.servers, e2e.ALLOWED[0], 4000)
    sending.sendto(b"x", (e2e.ALLOWED[0], 4000))
    server.settimeout(0.3)
    with pytest.raises(TimeoutError):
        server.recv(100)
    if bed.rig.startswith("veth"):
        # A WireGuard device drops it before the gate: it belongs to no peer.
        assert e2e.wait_until(lambda: any(d["source"] == stranger for d in bed.run.drops[before:]))
        (drop,) = [d for d in bed.run.drops[before:] if d["source"] == stranger]
        assert (drop["reason"], drop["user"]) == ("no device", None)
