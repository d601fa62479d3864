"""Packets as bytes: what a query means on the wire, and the pieces to build any other packet from.

Everything is pure. Bodies (`tcp`, `udp`, `sctp`, `icmp`, ...) come without those checksums that cover
addresses; `ipv4` and `ipv6` fill them in where the packet is whole and the field is still zero, so a
test that wants a wrong checksum sets one. Addresses are text or `ipaddress` objects.

Sources: RFC 791, 792, 768, 9293, 9260, 8200, 4443, 4302; checksums by RFC 1071 and, for SCTP, the
CRC32c of RFC 9260 appendix A.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from wardgate.compiler.language.model import ICMP, ICMPV6, SCTP, TCP, UDP, Address

HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION_OPTIONS = 0, 43, 44, 51, 60
NO_NEXT_HEADER = 59

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_VLAN, ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD

DONT_FRAGMENT, MORE_FRAGMENTS = 2, 1
"""IPv4 flags as `ipv4` takes them: the three bits before the fragment offset."""

ECHO_REPLY, UNREACHABLE, ECHO_REQUEST, TIME_EXCEEDED = 0, 3, 8, 11
UNREACHABLE_V6, PACKET_TOO_BIG_V6, TIME_EXCEEDED_V6, ECHO_REQUEST_V6, ECHO_REPLY_V6 = 1, 2, 3, 128, 129

_TCP_FLAGS: Final = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "C": 0x80}
_CHECKSUM_AT: Final = {TCP: 16, UDP: 6, ICMPV6: 2}
_FILLER: Final = b"wardgate"


class PacketError(ValueError):
    """The packet asked for cannot exist, or bytes given as a packet are not one."""


def checksum(data: bytes) -> int:
    """The Internet checksum of `data` (RFC 1071), 0 to 65535."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def crc32c(data: bytes) -> int:
    """CRC32c (Castagnoli) of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 0xFFFFFFFF


def tcp(
    source_port: int,
    destination_port: int,
    flags: str = "S",
    data: bytes = b"",
    *,
    sequence: int = 1,
    acknowledgement: int = 0,
    options: bytes = b"",
) -> bytes:
    """A TCP segment; `flags` are letters of FSRPAUEC, `options` a multiple of 4 bytes."""
    if len(options) % 4 or len(options) > 40:
        raise PacketError(f"TCP options are 0 to 40 bytes in steps of 4, not {len(options)}")
    bits = 0
    for letter in flags:
        bits |= _TCP_FLAGS[letter]
    offset = (5 + len(options) // 4) << 4
    header = struct.pack(
        "!HHIIBBHHH",
        source_port,
        destination_port,
        sequence,
        acknowledgement if "A" in flags else 0,
        offset,
        bits,
        64_240,
        0,
        0,
    )
    return header + options + data


def udp(source_port: int, destination_port: int, data: bytes = _FILLER) -> bytes:
    """A UDP datagram."""
    return struct.pack("!HHHH", source_port, destination_port, 8 + len(data), 0) + data


def sctp(source_port: int, destination_port: int, chunk: bytes | None = None, *, tag: int = 0) -> bytes:
    """An SCTP packet with its CRC32c; without `chunk` an INIT, which `tag` 0 belongs to."""
    if chunk is None:
        chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 106_496, 1, 1, 1)
    head = struct.pack("!HHI", source_port, destination_port, tag)
    # The CRC is sent in little-endian order (RFC 9260 appendix A).
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def icmp(kind: int, code: int, rest: bytes) -> bytes:
    """An ICMP message for IPv4, with its checksum; `rest` is what follows the checksum field."""
    return struct.pack("!BBH", kind, code, checksum(struct.pack("!BBH", kind, code, 0) + rest)) + rest


def icmpv6(kind: int, code: int, rest: bytes) -> bytes:
    """An ICMPv6 message; `ipv6` fills in its checksum."""
    return struct.pack("!BBH", kind, code, 0) + rest


def icmp_echo(identifier: int = 1, sequence: int = 1, data: bytes = _FILLER, *, reply: bool = False) -> bytes:
    """An ICMP echo request or reply for IPv4."""
    rest = struct.pack("!HH", identifier, sequence) + data
    return icmp(ECHO_REPLY if reply else ECHO_REQUEST, 0, rest)


def icmpv6_echo(
    identifier: int = 1, sequence: int = 1, data: bytes = _FILLER, *, reply: bool = False
) -> bytes:
    """An ICMPv6 echo request or reply."""
    rest = struct.pack("!HH", identifier, sequence) + data
    return icmpv6(ECHO_REPLY_V6 if reply else ECHO_REQUEST_V6, 0, rest)


def icmp_error(about: bytes, kind: int = UNREACHABLE, code: int = 1, *, quote: int = 548) -> bytes:
    """An ICMP error for IPv4 about the IP packet `about`, of which it quotes the first `quote` bytes."""
    return icmp(kind, code, bytes(4) + about[:quote])


def icmpv6_error(about: bytes, kind: int = UNREACHABLE_V6, code: int = 0, *, quote: int = 1232) -> bytes:
    """An ICMPv6 error about the IPv6 packet `about`, of which it quotes the first `quote` bytes."""
    return icmpv6(kind, code, bytes(4) + about[:quote])


def ipv4(
    source: Address | str,
    destination: Address | str,
    protocol: int,
    payload: bytes = b"",
    *,
    options: bytes = b"",
    identification: int = 0,
    flags: int = 0,
    fragment_offset: int = 0,
    ttl: int = 64,
    tos: int = 0,
) -> bytes:
    """An IPv4 packet. `options` are padded to 4 bytes; `fragment_offset` counts bytes, a multiple of 8."""
    options += bytes(-len(options) % 4)
    if len(options) > 40 or fragment_offset % 8:
        raise PacketError("IPv4 options are 40 bytes at most, fragment offsets multiples of 8")
    pair = _address(source, 4).packed + _address(destination, 4).packed
    if not fragment_offset and not flags & MORE_FRAGMENTS:
        payload = _with_checksum(pair + struct.pack("!xBH", protocol, len(payload)), protocol, payload)
    length = 20 + len(options) + len(payload)
    if length > 0xFFFF:
        raise PacketError(f"an IPv4 packet of {length} bytes")
    first = struct.pack(
        "!BBHHHBB",
        0x45 + len(options) // 4,
        tos,
        length,
        identification,
        flags << 13 | fragment_offset // 8,
        ttl,
        protocol,
    )
    return first + struct.pack("!H", checksum(first + pair + options)) + pair + options + payload


@dataclass(frozen=True, slots=True)
class Extension:
    """An IPv6 extension header: its number, and its bytes after the next-header field."""

    number: int
    body: bytes


def options_header(number: int = DESTINATION_OPTIONS, options: bytes = b"") -> Extension:
    """A hop-by-hop or destination options header, padded to a multiple of 8 bytes."""
    room = -(2 + len(options)) % 8
    padding = b"" if not room else b"\0" if room == 1 else struct.pack("!BB", 1, room - 2) + bytes(room - 2)
    return Extension(number, bytes([(2 + len(options) + room) // 8 - 1]) + options + padding)


def routing_header(kind: int = 4, segments_left: int = 0, data: bytes = bytes(4)) -> Extension:
    """A routing header; `data` are 4 bytes and then a multiple of 8."""
    if len(data) % 8 != 4:
        raise PacketError("a routing header's data are 4 bytes and then a multiple of 8")
    return Extension(ROUTING, bytes([(4 + len(data)) // 8 - 1, kind, segments_left]) + data)


def fragment_header(identification: int, offset: int = 0, *, more: bool = False) -> Extension:
    """A fragment header; `offset` counts bytes, a multiple of 8."""
    if offset % 8:
        raise PacketError(f"a fragment offset of {offset} is no multiple of 8")
    return Extension(FRAGMENT, struct.pack("!BHI", 0, offset | more, identification))


def authentication_header(spi: int = 256, sequence: int = 1, value: bytes = bytes(12)) -> Extension:
    """An authentication header; its length field counts 4-byte words less 2, unlike all others."""
    return Extension(
        AUTHENTICATION, struct.pack("!BHII", (12 + len(value)) // 4 - 2, 0, spi, sequence) + value
    )


def ipv6(
    source: Address | str,
    destination: Address | str,
    next_header: int,
    payload: bytes = b"",
    *,
    extensions: Sequence[Extension] = (),
    hop_limit: int = 64,
    traffic_class: int = 0,
    flow_label: int = 0,
) -> bytes:
    """An IPv6 packet; `next_header` is the protocol of `payload`, after all `extensions`."""
    pair = _address(source, 6).packed + _address(destination, 6).packed
    if not any(e.number == FRAGMENT and struct.unpack_from("!H", e.body, 1)[0] & 0xFFF9 for e in extensions):
        payload = _with_checksum(
            pair + struct.pack("!IxxxB", len(payload), next_header), next_header, payload
        )
    rest, number = payload, next_header
    for extension in reversed(extensions):
        rest, number = bytes([number]) + extension.body + rest, extension.number
    if len(rest) > 0xFFFF:
        raise PacketError(f"an IPv6 payload of {len(rest)} bytes")
    word = 6 << 28 | traffic_class << 20 | flow_label
    return struct.pack("!IHBB", word, len(rest), number, hop_limit) + pair + rest


def ip(source: Address | str, destination: Address | str, protocol: int, payload: bytes = b"") -> bytes:
    """An IP packet of the family of its addresses, which must be one family."""
    first = _address(source)
    if first.version == 4:
        return ipv4(first, destination, protocol, payload)
    return ipv6(first, destination, protocol, payload)


def ethernet(
    packet: bytes,
    ethertype: int | None = None,
    *,
    source: bytes = b"\x02\0\0\0\0\x01",
    destination: bytes = b"\x02\0\0\0\0\x02",
    vlan: int | None = None,
) -> bytes:
    """An Ethernet frame; without `ethertype` that of the IP packet's version."""
    if ethertype is None:
        ethertype = ETHERTYPE_IPV6 if version(packet) == 6 else ETHERTYPE_IPV4
    tag = b"" if vlan is None else struct.pack("!HH", ETHERTYPE_VLAN, vlan)
    return destination + source + tag + struct.pack("!H", ethertype) + packet


def opening(
    source: Address | str,
    destination: Address | str,
    protocol: int,
    port: int | None = None,
    *,
    source_port: int = 40_000,
) -> bytes:
    """The packet by which `source` starts to use a service of `destination`.

    A SYN, a datagram, an INIT, an echo request of the addresses' family, and for any other protocol
    a packet with 16 bytes of payload.
    """
    wide = _address(destination).version == 6
    if protocol in (TCP, UDP, SCTP):
        if port is None:
            raise PacketError(f"protocol {protocol} needs a port")
        if protocol == TCP:
            content = tcp(source_port, port)
        else:
            content = udp(source_port, port) if protocol == UDP else sctp(source_port, port)
    elif protocol == (ICMPV6 if wide else ICMP):
        content = icmpv6_echo() if wide else icmp_echo()
    else:
        content = bytes(16)
    return ip(source, destination, protocol, content)


def version(packet: bytes) -> int:
    """4 or 6; PacketError where the bytes are neither."""
    if packet and packet[0] >> 4 == 4 and len(packet) >= 20:
        return 4
    if packet and packet[0] >> 4 == 6 and len(packet) >= 40:
        return 6
    raise PacketError("not an IP packet")


def addresses(packet: bytes) -> tuple[Address, Address]:
    """Source and destination of an IP packet."""
    if version(packet) == 4:
        return IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    return IPv6Address(packet[8:24]), IPv6Address(packet[24:40])


def body(packet: bytes) -> tuple[int, bytes]:
    """Protocol and body of a whole IP packet; of IPv6 without extension headers."""
    if version(packet) == 4:
        return packet[9], packet[(packet[0] & 15) * 4 :]
    return packet[6], packet[40:]


def reply(packet: bytes, *, flags: str = "SA", data: bytes | None = None) -> bytes:
    """The answer to `packet`: addresses and ports swapped, an echo request turned into its reply.

    A TCP answer has `flags`; `data` replaces the payload of a segment or datagram.
    """
    source, destination = addresses(packet)
    protocol, content = body(packet)
    if protocol in (TCP, UDP, SCTP):
        near, far = struct.unpack_from("!HH", content)
        if protocol == TCP:
            answer = tcp(far, near, flags, data or b"", acknowledgement=2)
        elif protocol == UDP:
            answer = udp(far, near, content[8:] if data is None else data)
        else:
            answer = sctp(far, near, struct.pack("!BBHI", 11, 0, 8, 1), tag=1)
    elif protocol == ICMP and content[0] == ECHO_REQUEST:
        answer = icmp(ECHO_REPLY, content[1], content[4:])
    elif protocol == ICMPV6 and content[0] == ECHO_REQUEST_V6:
        answer = icmpv6(ECHO_REPLY_V6, content[1], content[4:])
    else:
        answer = content
    return ip(destination, source, protocol, answer)


def error_about(
    packet: bytes, *, source: Address | str | None = None, kind: int | None = None, code: int = 0
) -> bytes:
    """The ICMP or ICMPv6 error that `source` (default: the destination) sends back about `packet`."""
    sender, target = addresses(packet)
    if version(packet) == 4:
        message = icmp_error(packet, UNREACHABLE if kind is None else kind, code)
        return ipv4(source or target, sender, ICMP, message)
    message = icmpv6_error(packet, UNREACHABLE_V6 if kind is None else kind, code)
    return ipv6(source or target, sender, ICMPV6, message)


def fragments(packet: bytes, size: int, *, identification: int = 0x1234) -> list[bytes]:
    """`packet` (whole, IPv6 without extension headers) cut into fragments of `size` payload bytes.

    `size` is a multiple of 8. Checksums are those of the whole packet, so that it reassembles.
    """
    if size % 8 or size <= 0:
        raise PacketError(f"fragments of {size} bytes: not a multiple of 8")
    source, destination = addresses(packet)
    protocol, content = body(packet)
    pieces = []
    for offset in range(0, len(content), size):
        piece, more = content[offset : offset + size], offset + size < len(content)
        if isinstance(source, IPv4Address):
            pieces.append(
                ipv4(
                    source,
                    destination,
                    protocol,
                    piece,
                    identification=identification,
                    flags=MORE_FRAGMENTS if more else 0,
                    fragment_offset=offset,
                )
            )
        else:
            header = fragment_header(identification, offset, more=more)
            pieces.append(ipv6(source, destination, protocol, piece, extensions=[header]))
    return pieces


def truncations(packet: bytes) -> Iterable[bytes]:
    """Every proper prefix of `packet`, the empty one too."""
    return (packet[:length] for length in range(len(packet)))


def _address(value: Address | str, version: int | None = None) -> Address:
    address = ip_address(value) if isinstance(value, str) else value
    if version not in (None, address.version):
        raise PacketError(f"{address} is no IPv{version} address, which both of a packet must be")
    return address


def _with_checksum(pseudo_header: bytes, protocol: int, payload: bytes) -> bytes:
    at = _CHECKSUM_AT.get(protocol)
    if at is None or len(payload) < at + 2 or payload[at : at + 2] != b"\0\0":
        return payload
    value = checksum(pseudo_header + payload)
    if protocol == UDP and value == 0:
        value = 0xFFFF  # 0 would mean "no checksum" (RFC 768)
    return payload[:at] + struct.pack("!H", value) + payload[at + 2 :]
