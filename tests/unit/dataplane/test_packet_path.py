"""The packet path in the interpreter: no root, and parts of a packet outside the linear buffer."""

from __future__ import annotations

import flow_scenarios
import freshness_scenarios
import pytest
from packet_scenarios import A4, A6, INBOUND_SCENARIOS, POLICIES, SCENARIOS, tcp, udp
from planes import SECOND, VmPlane
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain import packets
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.vm.clock import SetClock
from wardgate.runtime.layout.codes import LinkHeader, Reason

LINKS = {"l3": LinkHeader.NONE, "ethernet": LinkHeader.ETHERNET}


@pytest.fixture(scope="module")
def artefacts() -> dict[str, bytes]:
    return {name: compile_parsed(parse_policy_text(text).policy).data for name, text in POLICIES.items()}


@pytest.fixture(scope="module")
def flow_artefact() -> bytes:
    return compile_parsed(parse_policy_text(flow_scenarios.POLICY).policy).data


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("hook", ["tc", "xdp"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(artefacts: dict[str, bytes], name: str, policy: str, hook: str, link: str) -> None:
    SCENARIOS[name](VmPlane(artefacts[policy], hook=hook, link=LINKS[link]))


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("name", INBOUND_SCENARIOS)
def test_inbound_scenario(artefacts: dict[str, bytes], name: str, link: str) -> None:
    INBOUND_SCENARIOS[name](VmPlane(artefacts["both"], link=LINKS[link]))


@pytest.mark.parametrize("name", flow_scenarios.SCENARIOS)
def test_flow_scenario(flow_artefact: bytes, name: str) -> None:
    flow_scenarios.SCENARIOS[name](VmPlane(flow_artefact))


@pytest.fixture(scope="module")
def fresh_artefact() -> bytes:
    return compile_parsed(parse_policy_text(freshness_scenarios.POLICY).policy).data


@pytest.mark.parametrize("hook", ["tc", "xdp"])
@pytest.mark.parametrize("name", freshness_scenarios.SCENARIOS)
def test_freshness_scenario(fresh_artefact: bytes, name: str, hook: str) -> None:
    freshness_scenarios.SCENARIOS[name](VmPlane(fresh_artefact, hook=hook))


@pytest.mark.parametrize("hook", ["tc", "xdp"])
def test_a_login_is_recent_to_the_last_moment(fresh_artefact: bytes, hook: str) -> None:
    # Also where the machine started after the login, or there was none since it did.
    for started in (5 * SECOND, 10**15):
        plane = VmPlane(fresh_artefact, hook=hook, clock=SetClock(started))
        slot = plane.device("alice", A4)
        for ago, reason in ((900 * SECOND, Reason.PASS), (900 * SECOND + 1, Reason.LOGIN_TOO_OLD)):
            freshness_scenarios.log_in(plane, slot, ago)
            assert plane.out(tcp(A4, freshness_scenarios.HOST, 4000, 22)).reason is reason
        plane.session(slot, deadline=started + SECOND)
        assert plane.out(tcp(A4, freshness_scenarios.HOST, 4000, 22)).reason is Reason.LOGIN_TOO_OLD
        assert plane.out(tcp(A4, freshness_scenarios.LOOSE, 4000, 22)).passed


@pytest.mark.parametrize("link", LINKS)
def test_headers_outside_the_linear_buffer(artefacts: dict[str, bytes], link: str) -> None:
    plane = VmPlane(artefacts["outbound"], link=LINKS[link])
    plane.device("alice", A4, A6)
    error = packets.error_about(tcp(A4, "10.0.0.5", 4000, 80), source="10.0.0.254")
    chain = [packets.options_header(), packets.options_header(packets.DESTINATION_OPTIONS, bytes(60))]
    long_chain = packets.ipv6(A6, "fd00::5", packets.TCP, packets.tcp(4000, 80), extensions=chain)
    for packet in (tcp(A4, "10.0.0.5", 4000, 80), udp(A6, "fd00::53", 4000, 53), long_chain):
        for linear in range(len(packet)):
            assert plane.out(packet, linear=linear).passed
    for linear in range(len(error)):
        assert plane.to(error, linear=linear).passed
    refused = tcp(A4, "10.0.0.5", 4000, 81)
    for linear in range(len(refused)):
        assert plane.out(refused, linear=linear).reason is Reason.NO_RULE


def test_what_a_link_needs_passes_on_ethernet_alone(artefacts: dict[str, bytes]) -> None:
    plane = VmPlane(artefacts["outbound"], link=LinkHeader.ETHERNET)
    arp = packets.ethernet(bytes(28), ethertype=0x0806)
    assert plane.raw(arp).passed
    assert plane.raw(arp, egress=True).passed
    solicitation = packets.icmpv6(135, 0, bytes(4) + bytes(16))
    passing = packets.ipv6("fe80::1", "ff02::1:ff00:1", packets.ICMPV6, solicitation, hop_limit=255)
    assert plane.out(passing).passed
    assert plane.to(passing).passed
    far = packets.ipv6("fe80::1", "ff02::1:ff00:1", packets.ICMPV6, solicitation, hop_limit=64)
    assert plane.out(far).reason is Reason.NO_DEVICE
    advertisement = packets.ipv6(
        "fe80::1", "ff02::1", packets.ICMPV6, packets.icmpv6(134, 0, bytes(12)), hop_limit=255
    )
    assert plane.out(advertisement).reason is Reason.NO_DEVICE
    assert not plane.raw(packets.ethernet(tcp(A4, "10.0.0.5", 4000, 80), ethertype=0x86DD)).passed
    assert not plane.raw(packets.ethernet(bytes(60), ethertype=0x88CC)).passed
    bare = VmPlane(artefacts["outbound"])
    assert bare.out(passing).reason is Reason.NO_DEVICE
    assert bare.raw(arp[14:]).reason is Reason.MALFORMED


def test_tagged_frames_are_dropped(artefacts: dict[str, bytes]) -> None:
    plane = VmPlane(artefacts["outbound"], link=LinkHeader.ETHERNET)
    plane.device("alice", A4)
    packet = tcp(A4, "10.0.0.5", 4000, 80)
    assert plane.out(packet).passed
    assert plane.raw(packets.ethernet(packet, vlan=5)).reason is Reason.MALFORMED
    result = plane.machine.run("gate_ingress", plane.frame(packet), {"vlan_present": 1})
    assert result.return_value == 2


def test_drops_are_told_within_a_limit(artefacts: dict[str, bytes]) -> None:
    clock = SetClock(10**12)
    plane = VmPlane(artefacts["outbound"], trace=0, clock=clock)
    plane.device("alice", A4)
    plane.device("bob", "10.9.0.3")
    told = [plane.out(tcp(A4, "10.0.0.5", 4000, 81)).event for _ in range(50)]
    assert [event is not None for event in told] == [True] * 20 + [False] * 30
    assert plane.out(tcp("10.9.0.3", "10.0.0.5", 4000, 81)).event is not None
    assert plane.out(tcp(A4, "10.0.0.5", 4000, 80)).event is None
    clock.run(10**8)
    event = plane.out(tcp(A4, "10.0.0.5", 4000, 81)).event
    assert event is not None
    assert event["suppressed"] == 30
    assert plane.out(tcp(A4, "10.0.0.5", 4000, 81)).event is None
    clock.run(10 * 10**9)
    assert [plane.out(tcp(A4, "10.0.0.5", 4000, 81)).event is not None for _ in range(25)] == [True] * 20 + [
        False
    ] * 5


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    ("rules", "version"),
    [
        ("policies: {}", 0),
        ('policies: {"*": {allow: [10.0.0.0/8]}}', 4),
        ('policies: {"*": {mfa: ["fd00::/16 80/tcp"]}}', 6),
        ('inbound: {"*": {allow: ["fd00::/16"]}}', 6),
    ],
)
def test_what_no_rule_speaks_of(rules: str, version: int, link: str) -> None:
    artefact = compile_parsed(parse_policy_text(f"version: 1\n{rules}\n").policy).data
    plane = VmPlane(artefact, link=LINKS[link])
    for family, device, remote in ((4, A4, "10.0.0.5"), (6, A6, "fd00::5")):
        packet = tcp(device, remote, 4000, 80)
        known = Reason.NO_DEVICE if family == version else Reason.NO_BUCKET
        assert plane.out(packet).reason is known
        towards = Reason.NO_DEVICE if family == version else Reason.NO_FLOW
        assert plane.to(tcp(remote, device, 80, 4000, "A")).reason is towards
    assert plane.out(b"\x50" * 60).reason is Reason.MALFORMED
