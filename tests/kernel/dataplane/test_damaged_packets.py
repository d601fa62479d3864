"""Damaged packets, one after the other: interpreter and kernel make the same of each, by every hook."""

from __future__ import annotations

import random

import pytest
from packet_scenarios import A4, A6, POLICIES, tcp, udp
from planes import SECOND, KernelPlane, VmPlane
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain import packets
from wardgate.compiler.language import parse_policy_text
from wardgate.runtime.layout.codes import LinkHeader

pytestmark = pytest.mark.root

PACKETS = 1_500


def whole_packets() -> list[bytes]:
    """Packets of every kind that the parser knows, from and to devices."""
    chain = [packets.options_header(packets.HOP_BY_HOP), packets.routing_header(), packets.options_header()]
    alert = bytes([148, 4, 0, 0, 1, 1, 7, 7, 4]) + bytes(4)
    found = [
        tcp(A4, "10.0.0.5", 4000, 80),
        tcp("10.0.0.5", A4, 80, 4000, "SA"),
        tcp(A6, "fd00::5", 4000, 80),
        udp(A4, "10.0.0.53", 4000, 53),
        udp("10.0.0.53", A4, 53, 4000),
        udp(A6, "fd00::53", 4000, 53),
        udp("fd00::53", A6, 53, 4000),
        packets.ipv4(A4, "10.0.0.9", packets.ICMP, packets.icmp_echo(7)),
        packets.ipv4("10.0.0.9", A4, packets.ICMP, packets.icmp_echo(7, reply=True)),
        packets.ipv6(A6, "fd00::9", packets.ICMPV6, packets.icmpv6_echo(7)),
        packets.opening(A4, "10.0.0.132", packets.SCTP, 9),
        packets.ipv4(A4, "10.0.0.47", 47, bytes(12)),
        packets.ipv4(A4, "10.0.0.5", packets.TCP, packets.tcp(4000, 80), options=alert),
        packets.ipv6(A6, "fd00::5", packets.TCP, packets.tcp(4000, 80), extensions=chain),
        udp("10.0.0.90", A4, 5000, 9100),
    ]
    found += [packets.error_about(packet, source="10.0.0.254") for packet in found[:2]]
    found += [packets.error_about(found[5], source="fd00::ff")]
    for packet in (found[3], found[5]):
        large = packets.ip(*packets.addresses(packet), packets.UDP, packets.udp(4000, 53, bytes(200)))
        found += packets.fragments(large, 64)
    return found


def damaged(draw: random.Random, packet: bytes) -> bytes:
    content = bytearray(packet)
    for _ in range(draw.choice([0, 1, 1, 1, 2, 3])):
        at = draw.randrange(min(len(content), 72))
        content[at] = draw.choice([content[at] ^ 1 << draw.randrange(8), draw.randrange(256), 0, 255])
    if draw.random() < 0.2:
        del content[draw.randrange(len(content)) :]
    if draw.random() < 0.1:
        content += draw.randbytes(draw.randrange(1, 40))
    return bytes(content)


@pytest.mark.parametrize("link", [LinkHeader.NONE, LinkHeader.ETHERNET], ids=["l3", "ethernet"])
@pytest.mark.parametrize("hook", ["tc", "xdp"])
@pytest.mark.parametrize("policy", POLICIES)
def test_both_make_the_same_of_each(policy: str, hook: str, link: LinkHeader) -> None:
    artefact = compile_parsed(parse_policy_text(POLICIES[policy]).policy).data
    draw = random.Random(f"{policy} {hook} {link}")
    whole = whole_packets()
    vm, kernel = (plane(artefact, hook=hook, link=link) for plane in (VmPlane, KernelPlane))
    outcomes = set()
    try:
        for plane in (vm, kernel):
            plane.session(plane.device("alice", A4, A6), deadline=plane.now() + 600 * SECOND)
        for number in range(PACKETS):
            packet = damaged(draw, draw.choice(whole))
            egress = draw.random() < 0.5
            frame = vm.frame(packet) if packet else b""
            if len(packet) < (40 if link else 14):
                continue  # a test run refuses them; the interpreter's tests have them
            ours, theirs = vm.raw(frame, egress=egress), kernel.raw(frame, egress=egress)
            assert (ours.passed, ours.reason) == (theirs.passed, theirs.reason), (number, egress, frame.hex())
            outcomes.add(ours.reason)
            if ours.event and theirs.event:
                ours.event.pop("time")
                theirs.event.pop("time")
                assert ours.event == theirs.event, (number, egress, frame.hex())
        assert len(outcomes) >= 6
        assert sorted(key for key, _ in vm.items("flows")) == sorted(key for key, _ in kernel.items("flows"))
    finally:
        kernel.close()
