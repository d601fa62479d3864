"""Random packets in flight between devices and what a policy is about: well-formed, related and damaged.

`conversation` gives frames one after the other, of which the later ones reply to, quote, continue or
repeat earlier ones, so that flows and fragments matter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network

from random_policies import USERS, Address, RandomPolicy
from wardgate.compiler.explain import packets
from wardgate.compiler.explain.judgement import Device, Frame, KnownDevices
from wardgate.compiler.language.model import ICMP, ICMPV6, SCTP, TCP, UDP
from wardgate.runtime.layout.codes import LinkHeader

SECOND = 10**9
EXTENSIONS = (0, 43, 44, 60)
OPTIONS = (b"", b"", b"", b"\x01\x01", b"\x07\x04\x04\x00", b"\x83\x03\x04", b"\x44\x00")
"""None, padding, a recorded route, a source route, and one whose length is wrong."""


def some_devices(tunnel: tuple[str, ...]) -> KnownDevices:
    """A device for each user that random policies have, with addresses in the tunnel and outside."""
    found: dict[Address, Device] = {}
    prefixes = [ip_network(text) for text in tunnel]
    for number, user in enumerate((*USERS, "stranger"), 1):
        addresses: list[Address] = [
            IPv4Address("198.18.0.0") + number,
            IPv6Address("2001:db8:ffff::") + number,
        ]
        addresses += [prefix[number] for prefix in prefixes if prefix.num_addresses > number]
        for address in addresses:
            found[address] = Device(number, user)
    return KnownDevices(found)


def conversation(
    policy: RandomPolicy, devices: KnownDevices, seed: int, count: int, link: LinkHeader = LinkHeader.NONE
) -> Iterator[Frame]:
    """`count` frames, the same for the same seed."""
    chance = random.Random(seed)
    history: list[bytes] = []
    time = 10**18
    for _ in range(count):
        time += chance.choice((0, 10**6, SECOND, 2 * SECOND, 20 * SECOND, 40 * SECOND, 200 * SECOND))
        packet = _next(policy, devices, chance, history)
        history.append(packet)
        data = packet
        if chance.random() < 0.15:
            data = _damaged(packet, chance)
        if link is LinkHeader.ETHERNET:
            data = _framed(data, packet, chance)
        yield Frame(data, len(data), link, time)


def _next(policy: RandomPolicy, devices: KnownDevices, chance: random.Random, history: list[bytes]) -> bytes:
    kind = chance.random()
    if history and kind < 0.5:
        before = chance.choice(history[-6:])
        try:
            if kind < 0.2:
                return packets.reply(before, flags=chance.choice(("SA", "A", "R", "F", "", "S")))
            if kind < 0.3:
                about = packets.error_about(before, kind=chance.choice((None, 3, 11, 1, 2, 4, 5, 12)))
                return about if chance.random() < 0.8 else about[: len(about) - chance.randint(1, 30)]
            if kind < 0.4:
                return chance.choice(packets.fragments(before, chance.choice((8, 16, 24)), identification=7))
            return before
        except (packets.PacketError, IndexError, ValueError):
            return before
    return _fresh(policy, devices, chance)


def _fresh(policy: RandomPolicy, devices: KnownDevices, chance: random.Random) -> bytes:
    prefix = chance.choice(policy.prefixes)
    offset = chance.choice((0, prefix.num_addresses - 1, chance.randrange(prefix.num_addresses)))
    remote: Address = prefix[offset]
    mine = [address for address in devices.by_address if address.version == remote.version]
    device = chance.choice(mine)
    if chance.random() < 0.1:
        remote = chance.choice(mine)
    elif chance.random() < 0.05:
        device = chance.choice(mine) + 64
    ends = (device, remote) if chance.random() < 0.7 else (remote, device)
    protocol = chance.choice((TCP, TCP, UDP, UDP, SCTP, ICMP, ICMPV6, 47, *policy.protocols))
    ports = (40_000 + chance.randrange(3), chance.choice((*policy.ports, 53, 80)))
    if chance.random() < 0.2:
        ports = ports[::-1]
    body = _body(protocol, ports, chance)
    if remote.version == 4:
        options = chance.choice(
            (b"", b"", b"", b"\x01\x01", b"\x07\x04\x04\x00", b"\x83\x03\x04", b"\x44\x00")
        )
        flags, at = chance.choice(((0, 0), (0, 0), (0, 0), (2, 0), (1, 0), (0, 8), (1, 24)))
        return packets.ipv4(
            *ends, protocol, body, options=options, flags=flags, fragment_offset=at, identification=7,
            ttl=chance.choice((64, 255)),
        )  # fmt: skip
    if protocol in EXTENSIONS:
        protocol = 59
    extensions = []
    while chance.random() < 0.3:
        extensions.append(
            chance.choice(
                (
                    packets.options_header(packets.HOP_BY_HOP, bytes(chance.choice((0, 4, 60)))),
                    packets.options_header(),
                    packets.routing_header(segments_left=chance.choice((0, 0, 1))),
                    packets.fragment_header(7, chance.choice((0, 0, 8, 24)), more=chance.random() < 0.5),
                )
            )
        )
    return packets.ipv6(*ends, protocol, body, extensions=extensions, hop_limit=chance.choice((64, 255)))


def _body(protocol: int, ports: tuple[int, int], chance: random.Random) -> bytes:
    if protocol == TCP:
        return packets.tcp(*ports, chance.choice(("S", "S", "A", "SA", "R", "F", "PA")))
    if protocol == UDP:
        return packets.udp(*ports)
    if protocol == SCTP:
        return packets.sctp(*ports)
    if protocol == ICMP:
        kind = chance.choice((8, 8, 0, 13, 14, 3, 5, 11))
        return packets.icmp(kind, 0, bytes([0, chance.randrange(3), 0, 1]) + bytes(chance.choice((0, 8, 28))))
    if protocol == ICMPV6:
        kind = chance.choice((128, 128, 129, 1, 2, 135, 136, 137))
        return packets.icmpv6(kind, 0, bytes([0, chance.randrange(3), 0, 1]) + bytes(chance.choice((0, 16))))
    return bytes(chance.choice((0, 4, 16)))


def _damaged(packet: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.4:
        return packet[: chance.randrange(len(packet))]
    content = bytearray(packet)
    for _ in range(chance.randint(1, 3)):
        content[chance.randrange(min(len(content), 64))] = chance.choice((0, 1, 0x45, 0x60, 0xFF, 6, 17, 44))
    return bytes(content)


def _framed(data: bytes, packet: bytes, chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.05:
        return packets.ethernet(data or b"\0", packets.ETHERTYPE_ARP)
    if kind < 0.1:
        return packets.ethernet(data, packets.ETHERTYPE_IPV4, vlan=5)
    frame = packets.ethernet(data, packets.ETHERTYPE_IPV6 if packet[0] >> 4 == 6 else packets.ETHERTYPE_IPV4)
    return frame if kind > 0.13 else frame[: chance.randrange(len(frame))]
