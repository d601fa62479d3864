"""What the packet path must do beyond a query's one packet, as scenarios that any plane can run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from planes import SECOND, TICK, Plane, before
from wardgate.compiler.explain import packets
from wardgate.runtime.layout.codes import DEVICE_LOCKED, NOBODY_CLASS, REASON_SLOTS, Reason

RULES = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
policies:
  "*":
    allow:
      - "10.0.0.5 80/tcp"
      - "10.0.0.53 53/udp"
      - "10.0.0.9 icmp"
      - "10.0.0.10"
      - "10.0.0.47 proto/47"
      - "10.0.0.132 9/sctp"
      - "10.0.0.6 icmp 80/tcp"
      - "fd00::5 80/tcp"
      - "fd00::53 53/udp"
      - "fd00::9 icmp"
      - "fd00::10"
      - "fd00::132 9/sctp"
    mfa: ["10.1.0.0/16", "fd00:1::/48"]
    deny: ["10.0.0.10 23/tcp", "10.2.0.0/16"]
"""
INBOUND = """\
inbound:
  "*":
    allow: ["10.0.0.90 9100/tcp 9100/udp icmp", "fd00::90 9100/tcp 9100/udp icmp"]
    mfa: ["10.0.0.91 9100/udp"]
    deny: ["10.0.0.92"]
"""
POLICIES = {"outbound": RULES, "both": RULES + INBOUND}

A4, A6, B4 = "10.9.0.2", "fd09::2", "10.9.0.3"
Scenario = Callable[[Plane], None]
SCENARIOS: dict[str, Scenario] = {}
INBOUND_SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def inbound_scenario(function: Scenario) -> Scenario:
    INBOUND_SCENARIOS[function.__name__] = function
    return function


def tcp(source: str, destination: str, sport: int, dport: int, flags: str = "S") -> bytes:
    return packets.ip(source, destination, packets.TCP, packets.tcp(sport, dport, flags))


def udp(source: str, destination: str, sport: int, dport: int, data: bytes = b"x" * 8) -> bytes:
    return packets.ip(source, destination, packets.UDP, packets.udp(sport, dport, data))


PAIRS = [
    pytest.param(A4, "10.0.0.5", "10.0.0.53", id="v4"),
    pytest.param(A6, "fd00::5", "fd00::53", id="v6"),
]
SERVERS = [
    (A4, "10.0.0.5", "10.0.0.53", "10.0.0.9", "10.0.0.10"),
    (A6, "fd00::5", "fd00::53", "fd00::9", "fd00::10"),
]


@scenario
def tcp_replies_need_no_flow(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    for device, web, *_ in SERVERS:
        assert plane.out(tcp(device, web, 4000, 80)).passed
        assert plane.to(tcp(web, device, 80, 4000, "SA")).passed
        assert plane.to(tcp(web, device, 80, 4000, "A")).passed
        assert plane.to(tcp(web, device, 80, 4000, "R")).passed
        assert plane.to(tcp(web, device, 80, 4000, "S")).reason is Reason.NO_FLOW
        assert plane.to(tcp(web, device, 80, 4000, "SE")).reason is Reason.NO_FLOW
        assert plane.to(tcp(web, device, 80, 4000, "F")).reason is Reason.NO_FLOW
        assert plane.to(tcp(web, device, 80, 4000, "")).reason is Reason.NO_FLOW
        assert not plane.to(tcp(web, device, 81, 4000, "A")).passed
    assert plane.items("flows") == []


@scenario
def datagrams_need_their_own_flow(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    plane.device("bob", B4)
    for device, _, dns, *_ in SERVERS:
        answer = udp(dns, device, 53, 4000)
        assert plane.to(answer).reason is Reason.NO_FLOW
        assert plane.out(udp(device, dns, 4000, 53)).passed
        assert plane.to(answer).passed
        assert plane.to(udp(dns, device, 53, 4001)).reason is Reason.NO_FLOW
        assert plane.to(udp(dns, device, 54, 4000)).reason is Reason.NO_FLOW
    assert plane.to(udp("10.0.0.53", B4, 53, 4000)).reason is Reason.NO_FLOW


@scenario
def a_refused_datagram_opens_no_flow(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    assert plane.out(udp(A4, "10.0.0.53", 4000, 54)).reason is Reason.NO_RULE
    assert plane.out(udp(A4, "10.1.0.1", 4000, 53)).reason is Reason.NEEDS_LOGIN
    assert plane.items("flows") == []
    assert not plane.to(udp("10.1.0.1", A4, 53, 4000)).passed


@scenario
def flows_end_and_are_kept_alive(plane: Plane) -> None:
    plane.device("alice", A4)
    assert plane.out(udp(A4, "10.0.0.53", 4000, 53)).passed
    plane.age_flows(170 * SECOND)
    assert plane.to(udp("10.0.0.53", A4, 53, 4000)).passed
    plane.age_flows(170 * SECOND)
    assert plane.out(udp(A4, "10.0.0.53", 4000, 53)).passed
    plane.age_flows(181 * SECOND)
    assert plane.to(udp("10.0.0.53", A4, 53, 4000)).reason is Reason.NO_FLOW
    assert plane.out(udp(A4, "10.0.0.53", 4000, 53)).passed
    assert plane.to(udp("10.0.0.53", A4, 53, 4000)).passed


@scenario
def echo_and_its_reply(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    pairs = [
        (A4, "10.0.0.9", packets.ICMP, packets.icmp_echo),
        (A6, "fd00::9", packets.ICMPV6, packets.icmpv6_echo),
    ]
    for device, host, protocol, echo in pairs:
        request = packets.ip(device, host, protocol, echo(77))
        reply = packets.ip(host, device, protocol, echo(77, reply=True))
        assert plane.to(reply).reason is Reason.NO_FLOW
        assert plane.out(request).passed
        assert plane.to(reply).passed
        assert plane.to(packets.ip(host, device, protocol, echo(78, reply=True))).reason is Reason.NO_FLOW
        # An unsolicited request is not an answer, whatever its identifier.
        assert plane.to(packets.ip(host, device, protocol, echo(77))).reason is Reason.NO_FLOW
        plane.age_flows(31 * SECOND)
        assert plane.to(reply).reason is Reason.NO_FLOW


@scenario
def protocols_without_ports(plane: Plane) -> None:
    plane.device("alice", A4)
    gre = packets.ipv4(A4, "10.0.0.47", 47, bytes(20))
    back = packets.ipv4("10.0.0.47", A4, 47, bytes(20))
    assert plane.to(back).reason is Reason.NO_FLOW
    assert plane.out(gre).passed
    assert plane.to(back).passed
    assert plane.out(packets.ipv4(A4, "10.0.0.47", 46, bytes(20))).reason is Reason.NO_RULE
    for device, host in ((A4, "10.0.0.132"),):
        init = packets.opening(device, host, packets.SCTP, 9)
        assert plane.to(packets.reply(init)).reason is Reason.NO_FLOW
        assert plane.out(init).passed
        assert plane.to(packets.reply(init)).passed
        assert plane.out(packets.opening(device, host, packets.SCTP, 10)).reason is Reason.NO_RULE


@scenario
def sessions_gate_both_directions(plane: Plane) -> None:
    slot = plane.device("alice", A4, A6)
    for device, host in ((A4, "10.1.2.3"), (A6, "fd00:1::3")):
        plane.session(slot)
        assert plane.out(udp(device, host, 4000, 53)).reason is Reason.NEEDS_LOGIN
        plane.session(slot, deadline=plane.now() + 600 * SECOND)
        assert plane.out(udp(device, host, 4000, 53)).passed
        assert plane.to(udp(host, device, 53, 4000)).passed
        assert plane.out(tcp(device, host, 4000, 22)).passed
        assert plane.to(tcp(host, device, 22, 4000, "SA")).passed
        plane.session(slot)
        assert plane.to(udp(host, device, 53, 4000)).reason is Reason.NEEDS_LOGIN
        assert plane.to(tcp(host, device, 22, 4000, "A")).reason is Reason.NEEDS_LOGIN
        plane.session(slot, deadline=plane.now() - TICK)
        assert plane.out(tcp(device, host, 4000, 22, "A")).reason is Reason.SESSION_EXPIRED
        assert plane.to(udp(host, device, 53, 4000)).reason is Reason.SESSION_EXPIRED


@scenario
def sessions_end_on_time(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    packet = tcp(A4, "10.1.2.3", 4000, 22)
    plane.session(slot, deadline=plane.now() + 600 * SECOND)
    assert plane.out(packet).passed
    soon = plane.now() + 3 * TICK
    plane.session(slot, deadline=soon)
    plane.sleep(4 * TICK)
    assert plane.now() >= soon + TICK
    assert plane.out(packet).reason is Reason.SESSION_EXPIRED
    plane.session(slot, deadline=plane.now() + 600 * SECOND, last_active=plane.now(), idle_limit=2 * TICK)
    plane.sleep(4 * TICK)
    assert plane.out(packet).reason is Reason.IDLE


@scenario
def idle_sessions_stay_ended(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    now = plane.now()
    fields = {"deadline": now + 600 * SECOND, "idle_limit": 60 * SECOND}
    packet = tcp(A4, "10.1.2.3", 4000, 22, "A")
    plane.session(slot, **fields, last_active=before(now, 50 * SECOND))
    assert plane.out(packet).passed
    assert plane.device_record(slot)["last_active"] >= now - TICK
    plane.session(slot, **fields, last_active=before(now, 50 * SECOND))
    assert plane.to(tcp("10.1.2.3", A4, 22, 4000, "A")).passed
    assert plane.device_record(slot)["last_active"] == before(now, 50 * SECOND)
    plane.session(slot, **fields, last_active=before(now, 61 * SECOND))
    for _ in range(2):
        assert plane.out(packet).reason is Reason.IDLE
    assert plane.out(tcp(A4, "10.0.0.5", 4000, 80)).passed
    assert plane.out(packet).reason is Reason.IDLE
    plane.session(slot, deadline=now + 600 * SECOND, last_active=0)
    assert plane.out(packet).passed


@scenario
def a_locked_device_keeps_what_needs_no_session(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    plane.session(slot, deadline=plane.now() + 600 * SECOND, flags=DEVICE_LOCKED)
    assert plane.out(tcp(A4, "10.1.2.3", 4000, 22)).reason is Reason.LOCKED
    assert plane.to(tcp("10.1.2.3", A4, 22, 4000, "A")).reason is Reason.LOCKED
    assert plane.out(tcp(A4, "10.0.0.5", 4000, 80)).passed


@scenario
def unknown_devices(plane: Plane) -> None:
    plane.device("alice", A4)
    for device, remote in ((B4, "10.0.0.5"), ("10.8.0.1", "10.0.0.5"), ("fd09::9", "fd00::5")):
        assert plane.out(tcp(device, remote, 4000, 80)).reason is Reason.NO_DEVICE
        assert plane.to(tcp(remote, device, 80, 4000, "A")).reason is Reason.NO_DEVICE
    # No slot, no subject, one that the maps have no room for, and one that the policy has no class for.
    slot, nobody, far = plane.device("bob", B4), 0, 2**32 - 1
    packet = tcp(B4, "10.0.0.5", 4000, 80)
    assert plane.out(packet).passed
    for owner in ((0, slot), (0, nobody), (slot, nobody), (slot, far)):
        plane.own(B4, *owner)
        assert plane.out(packet).reason is Reason.NO_DEVICE
    plane.own(B4, slot, slot)
    assert plane.out(packet).passed
    plane.classify(slot, NOBODY_CLASS)
    assert plane.out(packet).reason is Reason.NO_DEVICE


@scenario
def a_slot_without_a_record_has_no_session(plane: Plane) -> None:
    plane.device("alice", A4)
    plane.own(A4, 2**32 - 1, 1)
    assert plane.out(tcp(A4, "10.0.0.5", 4000, 80)).passed
    assert plane.out(tcp(A4, "10.1.2.3", 4000, 22)).reason is Reason.NO_DEVICE


@scenario
def devices_outside_the_index(plane: Plane) -> None:
    plane.device("alice", "10.200.0.1")
    assert plane.out(tcp("10.200.0.1", "10.0.0.5", 4000, 80)).passed
    assert plane.out(tcp("10.200.0.2", "10.0.0.5", 4000, 80)).reason is Reason.NO_DEVICE


@scenario
def icmp_errors_about_known_flows(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    plane.device("bob", B4)
    for device, web, dns, ping, _ in SERVERS:
        wide = ":" in device
        router = "fd00::ff" if wide else "10.0.0.254"
        protocol, echo = (packets.ICMPV6, packets.icmpv6_echo) if wide else (packets.ICMP, packets.icmp_echo)
        sent = [
            udp(device, dns, 4000, 53),
            packets.ip(device, ping, protocol, echo(9)),
            tcp(device, web, 4000, 80, "A"),
        ]
        for packet in sent[:2]:
            assert plane.to(packets.error_about(packet, source=router)).reason is Reason.NO_FLOW
        for packet in sent:
            assert plane.out(packet).passed
            for kind in (1, 2, 3, 4) if wide else (3, 11, 12):
                assert plane.to(packets.error_about(packet, source=router, kind=kind)).passed, (packet, kind)
            assert plane.to(packets.error_about(packet)).passed
        # About what would not have passed, to another device, about another's packet, or no error at all.
        for packet in (udp(device, dns, 4001, 53), tcp(device, web, 4000, 81), tcp(device, ping, 4000, 80)):
            assert not plane.to(packets.error_about(packet, source=router)).passed
        redirect = packets.error_about(sent[0], source=router, kind=137 if wide else 5)
        assert plane.to(redirect).reason is Reason.NO_FLOW
    about = udp(A4, "10.0.0.53", 4000, 53)
    stray = packets.ipv4("10.0.0.254", B4, packets.ICMP, packets.icmp_error(about))
    assert plane.to(stray).reason is Reason.NO_FLOW


@scenario
def errors_that_a_device_sends(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    for device, _, dns, *_ in SERVERS:
        answer = udp(dns, device, 53, 4000)
        complaint = packets.error_about(answer)
        assert not plane.out(complaint).passed
        assert plane.out(udp(device, dns, 4000, 53)).passed
        assert plane.out(complaint).passed
    # By policy: ICMP to this host is allowed, whatever it is about.
    other = packets.error_about(udp("10.0.0.9", A4, 53, 4000))
    assert plane.out(other).passed


@scenario
def errors_stop_with_the_session(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    plane.session(slot, deadline=plane.now() + 600 * SECOND)
    sent = udp(A4, "10.1.0.1", 4000, 53)
    assert plane.out(sent).passed
    error = packets.error_about(sent, source="10.0.0.254")
    assert plane.to(error).passed
    plane.session(slot)
    assert plane.to(error).reason is Reason.NEEDS_LOGIN


@scenario
def errors_about_little(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    for device, _, dns, *_ in SERVERS:
        sent = udp(device, dns, 4000, 53)
        assert plane.out(sent).passed
        header = 40 if ":" in device else 20
        make = packets.icmpv6_error if ":" in device else packets.icmp_error
        number = packets.ICMPV6 if ":" in device else packets.ICMP
        for quote in (0, 1, header - 1, header, header + 7):
            seen = plane.to(packets.ip(dns, device, number, make(sent, quote=quote)))
            assert seen.reason is Reason.NO_FLOW, quote
        assert plane.to(packets.ip(dns, device, number, make(sent, quote=header + 8))).passed


@scenario
def ipv4_options(plane: Plane) -> None:
    plane.device("alice", A4)

    def with_options(options: bytes) -> bytes:
        return packets.ipv4(A4, "10.0.0.5", packets.TCP, packets.tcp(4000, 80), options=options)

    record_route = bytes([7, 39, 4]) + bytes(36)
    router_alert = bytes([148, 4, 0, 0])
    for options in (
        router_alert,
        bytes([1, 1, 1, 0]),
        record_route + b"\0",
        bytes([1] * 8),
        bytes([68, 8, 5, 0]) + bytes(4),
    ):
        assert plane.out(with_options(options)).passed, options
    # The route's addresses may hold any byte, also those that open a source route.
    assert plane.out(with_options(bytes([7, 11, 12, 131, 137, 131, 137, 131, 137, 131, 137]) + b"\0")).passed
    for options in (
        bytes([131, 7, 4, 10, 2, 0, 1]),
        bytes([137, 7, 4, 10, 2, 0, 1]),
        bytes([1, 1, 131, 7, 4, 10, 2, 0]) + b"\1",
        bytes([148, 4, 0, 0, 137, 7, 4, 10, 2, 0, 1]),
        bytes([7, 0, 4, 0]),
        bytes([7, 1, 4, 0]),
        bytes([7, 40, 4, 0]),
        bytes([148, 5, 0, 0]),
        bytes([1, 1, 1, 148]),
        bytes([1] * 12),
    ):
        assert plane.out(with_options(options)).reason is Reason.MALFORMED, options
    # What stands behind the end of the options is padding.
    assert plane.out(with_options(bytes([0, 131, 7, 4]))).passed


@scenario
def ipv6_extension_headers(plane: Plane) -> None:
    plane.device("alice", A6)

    def chained(*extensions: packets.Extension, port: int = 80) -> bytes:
        body = packets.tcp(4000, port)
        return packets.ipv6(A6, "fd00::5", packets.TCP, body, extensions=list(extensions))

    hop = packets.options_header(packets.HOP_BY_HOP)
    destination = packets.options_header()
    routing = packets.routing_header()
    atomic = packets.fragment_header(5)
    for chain in (
        [hop],
        [destination],
        [hop, routing, destination],
        [hop, atomic],
        [hop, destination, routing, destination],
    ):
        assert plane.out(chained(*chain)).passed, chain
        assert plane.out(chained(*chain, port=81)).reason is Reason.NO_RULE
    assert plane.out(chained(packets.routing_header(segments_left=1))).reason is Reason.MALFORMED
    assert plane.out(chained(*[destination] * 7)).reason is Reason.MALFORMED
    assert (
        plane.out(chained(packets.options_header(packets.DESTINATION_OPTIONS, bytes(400)))).reason
        is Reason.MALFORMED
    )
    assert plane.out(chained(atomic, atomic)).passed
    assert plane.out(chained(packets.fragment_header(5, more=True), atomic)).reason is Reason.MALFORMED
    # Authentication headers are a protocol of their own here, and no rule names it.
    assert plane.out(chained(packets.authentication_header())).reason is Reason.NO_RULE


@scenario
def fragments_follow_their_first(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    for device, _, dns, *_ in SERVERS:
        first, *later = packets.fragments(udp(device, dns, 4000, 53, bytes(3000)), 1200, identification=1)
        for piece in later:
            assert plane.out(piece).reason is Reason.FRAGMENT
        assert plane.out(first).passed
        for piece in later:
            assert plane.out(piece).passed
        plane.age_fragments(31 * SECOND)
        assert plane.out(later[0]).reason is Reason.FRAGMENT
        refused = packets.fragments(udp(device, dns, 4000, 54, bytes(3000)), 1200, identification=2)
        assert plane.out(refused[0]).reason is Reason.NO_RULE
        assert plane.out(refused[1]).reason is Reason.FRAGMENT
        # The answer, in pieces too.
        first, *later = packets.fragments(udp(dns, device, 53, 4000, bytes(3000)), 1200, identification=3)
        assert plane.to(later[0]).reason is Reason.FRAGMENT
        assert plane.to(first).passed
        assert all(plane.to(piece).passed for piece in later)
        # A fragment's record is of one direction.
        assert not plane.out(later[0]).passed


@scenario
def fragments_of_uniform_buckets(plane: Plane) -> None:
    slot = plane.device("alice", A4, A6)
    for device, host in ((A4, "10.1.0.1"), (A6, "fd00:1::1")):
        later = packets.fragments(udp(device, host, 4000, 53, bytes(3000)), 1200)[1]
        plane.session(slot)
        assert plane.out(later).reason is Reason.NEEDS_LOGIN
        plane.session(slot, deadline=plane.now() + 600 * SECOND)
        assert plane.out(later).passed
    denied = packets.fragments(udp(A4, "10.2.0.1", 4000, 53, bytes(3000)), 1200)[1]
    assert plane.out(denied).reason is Reason.DENY_RULE
    mixed = packets.fragments(udp(A4, "10.0.0.10", 4000, 53, bytes(3000)), 1200)[1]
    assert plane.out(mixed).reason is Reason.FRAGMENT
    nowhere = packets.fragments(udp(A4, "10.99.0.1", 4000, 53, bytes(3000)), 1200)[1]
    assert plane.out(nowhere).reason is Reason.NO_BUCKET


@scenario
def fragments_stop_with_the_session(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    plane.session(slot, deadline=plane.now() + 600 * SECOND)
    first, later, *_ = packets.fragments(udp(A4, "10.1.0.1", 4000, 53, bytes(3000)), 1200)
    assert plane.out(first).passed
    assert plane.out(later).passed
    plane.session(slot)
    assert plane.out(later).reason is Reason.NEEDS_LOGIN


@scenario
def fragments_that_cut_headers(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    for device, web, dns, *_ in SERVERS:
        tiny = packets.fragments(tcp(device, web, 4000, 80), 8)
        assert plane.out(tiny[0]).reason is Reason.MALFORMED
        assert plane.out(tiny[1]).reason is Reason.MALFORMED
        assert plane.out(tiny[2]).reason is Reason.MALFORMED
        pieces = packets.fragments(udp(device, dns, 4000, 53, bytes(30)), 8)
        assert all(plane.out(piece).passed for piece in pieces)


@scenario
def malformed_packets(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    whole = tcp(A4, "10.0.0.5", 4000, 80)
    for length in range(plane.shortest(20), len(whole)):
        assert plane.out(whole[:length]).reason is Reason.MALFORMED, length
        assert plane.to(whole[:length]).reason is Reason.MALFORMED, length
    wide = tcp(A6, "fd00::5", 4000, 80)
    for length in range(plane.shortest(40), len(wide)):
        assert plane.out(wide[:length]).reason is Reason.MALFORMED, length

    def changed(packet: bytes, at: int, value: int) -> bytes:
        return packet[:at] + bytes([value]) + packet[at + 1 :]

    for broken in (
        changed(whole, 0, 0x44),
        changed(whole, 0, 0x40),
        changed(whole, 0, 0x4F),
        changed(whole, 0, 0x55),
        changed(whole, 0, 0x05),
        changed(whole, 3, 10),
        changed(whole, 3, 255),
        changed(whole, 32, 0x40),
        changed(wide, 5, 10),
        changed(wide, 5, 255),
        changed(wide, 52, 0x10),
        bytes(40),
        b"\xff" * 60,
    ):
        assert plane.out(broken).reason is Reason.MALFORMED, broken.hex()
    # Bytes behind the end of the packet, as Ethernet pads them, are not of it.
    assert plane.out(whole + bytes(26)).passed
    assert plane.out(wide + bytes(26)).passed


@scenario
def broken_transport(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    for device, host in ((A4, "10.0.0.10"), (A6, "fd00::10")):
        icmp = packets.ICMPV6 if ":" in device else packets.ICMP
        for number, least in ((packets.TCP, 20), (packets.UDP, 8), (packets.SCTP, 12), (icmp, 8)):
            for size in (0, 1, least - 1):
                seen = plane.out(packets.ip(device, host, number, bytes(size)))
                assert seen.reason is Reason.MALFORMED, (number, size)
    assert plane.out(packets.ip(A4, "10.0.0.10", 50, b"")).passed


@scenario
def events_say_what_happened(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    packet = tcp(A4, "10.0.0.10", 4000, 23)
    event = plane.out(packet).event
    assert event is not None
    assert (event["slot"], event["generation"], event["version"], event["protocol"]) == (
        slot,
        7,
        4,
        packets.TCP,
    )
    assert (event["source_port"], event["destination_port"], event["length"]) == (4000, 23, len(packet))
    assert event["source"] == bytes(10) + b"\xff\xff" + bytes([10, 9, 0, 2])
    assert event["destination"] == bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 10])
    rule = plane.manifest.rule(event["rule"])
    assert rule is not None
    assert rule.text == "10.0.0.10 23/tcp"
    bucket = plane.manifest.bucket(event["bucket"])
    assert bucket is not None
    assert bucket.prefix == "10.0.0.10/32"
    ping = plane.out(packets.ipv4(A4, "10.99.0.1", packets.ICMP, packets.icmp_echo(0x1234))).event
    assert ping is not None
    assert (ping["source_port"], ping["destination_port"], ping["icmp_type"]) == (0x1234, 0, 8)


@scenario
def decisions_are_counted(plane: Plane) -> None:
    plane.device("alice", A4)
    packet, refused = tcp(A4, "10.0.0.5", 4000, 80), tcp(A4, "10.0.0.5", 4000, 81)
    for _ in range(3):
        plane.out(packet)
    plane.out(refused)
    plane.to(tcp("10.0.0.5", A4, 80, 4000, "SA"))
    plane.to(tcp("10.0.0.5", B4, 80, 4000, "SA"))
    size = len(packet)
    assert plane.reasons() == {
        Reason.PASS: (3, 3 * size),
        Reason.NO_RULE: (1, size),
        REASON_SLOTS + Reason.PASS: (1, size),
        REASON_SLOTS + Reason.NO_DEVICE: (1, size),
    }
    assert plane.rule_hits() == {0: (1, size), 1: (4, 4 * size)}


@inbound_scenario
def inbound_rules_open_towards_devices(plane: Plane) -> None:
    plane.device("alice", A4, A6)
    for device, host in ((A4, "10.0.0.90"), (A6, "fd00::90")):
        assert plane.to(tcp(host, device, 5000, 9100)).passed
        assert plane.out(tcp(device, host, 9100, 5000, "SA")).passed
        assert plane.out(tcp(device, host, 9100, 5000, "S")).reason is Reason.NO_BUCKET
        assert plane.to(tcp(host, device, 5000, 9101)).reason is Reason.NO_RULE
        assert plane.out(tcp(device, host, 9101, 5000, "SA")).reason is Reason.NO_BUCKET
        assert plane.out(udp(device, host, 9100, 5000)).reason is Reason.NO_BUCKET
        assert plane.to(udp(host, device, 5000, 9100)).passed
        assert plane.out(udp(device, host, 9100, 5000)).passed
        assert plane.out(udp(device, host, 9100, 5001)).reason is Reason.NO_BUCKET
    assert plane.to(tcp("10.0.0.92", A4, 5000, 9100)).reason is Reason.DENY_RULE
    assert plane.to(tcp("10.0.0.93", A4, 5000, 9100)).reason is Reason.NO_FLOW


@inbound_scenario
def inbound_echo_and_errors(plane: Plane) -> None:
    plane.device("alice", A4)
    request = packets.ipv4("10.0.0.90", A4, packets.ICMP, packets.icmp_echo(5))
    answer = packets.ipv4(A4, "10.0.0.90", packets.ICMP, packets.icmp_echo(5, reply=True))
    assert plane.out(answer).reason is Reason.NO_BUCKET
    assert plane.to(request).passed
    assert plane.out(answer).passed
    asked = udp("10.0.0.90", A4, 5000, 9100)
    complaint = packets.error_about(asked)
    assert not plane.out(complaint).passed
    assert plane.to(asked).passed
    assert plane.out(complaint).passed
    # And the other way: the remote's router complains about the device's answer.
    told = udp(A4, "10.0.0.90", 9100, 5000)
    assert plane.out(told).passed
    assert plane.to(packets.error_about(told, source="10.0.0.254")).passed


@inbound_scenario
def inbound_sessions(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    packet = udp("10.0.0.91", A4, 5000, 9100)
    assert plane.to(packet).reason is Reason.NEEDS_LOGIN
    plane.session(slot, deadline=plane.now() + 600 * SECOND)
    assert plane.to(packet).passed
    assert plane.out(udp(A4, "10.0.0.91", 9100, 5000)).passed
    plane.session(slot)
    assert plane.to(packet).reason is Reason.NEEDS_LOGIN
    assert not plane.out(udp(A4, "10.0.0.91", 9100, 5000)).passed


@inbound_scenario
def outbound_replies_still_come_back(plane: Plane) -> None:
    plane.device("alice", A4)
    assert plane.out(udp(A4, "10.0.0.53", 4000, 53)).passed
    assert plane.to(udp("10.0.0.53", A4, 53, 4000)).passed
    assert plane.to(tcp("10.0.0.5", A4, 80, 4000, "SA")).passed
