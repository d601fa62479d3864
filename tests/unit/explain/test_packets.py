"""Packets have the lengths and checksums that a kernel would demand."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from wardgate.compiler.explain import packets
from wardgate.compiler.language.model import ICMP, ICMPV6, SCTP, TCP, UDP

V4 = ("10.9.0.2", "10.0.0.5")
V6 = ("fd09::2", "fd00:1::5")


def transport_sum(packet: bytes) -> int:
    source, destination = packets.addresses(packet)
    protocol, content = packets.body(packet)
    pseudo = source.packed + destination.packed + struct.pack("!II", len(content), protocol)
    return packets.checksum(pseudo + content)


def test_checksum_of_the_rfc() -> None:
    # RFC 1071 section 3: the sum of these bytes is ddf2.
    assert packets.checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


def test_crc32c_known_answer() -> None:
    # RFC 3720 appendix B.4: 32 bytes of zeroes; and the usual check value.
    assert packets.crc32c(bytes(32)) == 0x8A9136AA
    assert packets.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("pair", [V4, V6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_transport_checksums(pair: tuple[str, str], protocol: int) -> None:
    packet = packets.opening(*pair, protocol, 443)
    assert transport_sum(packet) == 0
    assert struct.unpack_from("!HH", packets.body(packet)[1]) == (40_000, 443)


def test_ipv4_header() -> None:
    packet = packets.ipv4(*V4, UDP, packets.udp(1, 2, b"odd"), options=b"\x94\x04\0", identification=7)
    assert packet[0] == 0x46
    assert packets.checksum(packet[:24]) == 0
    assert struct.unpack_from("!H", packet, 2)[0] == len(packet) == 24 + 8 + 3
    assert packets.addresses(packet) == (IPv4Address(V4[0]), IPv4Address(V4[1]))
    assert transport_sum(packet) == 0


def test_icmp_checksums() -> None:
    assert packets.checksum(packets.body(packets.opening(*V4, ICMP))[1]) == 0
    assert transport_sum(packets.opening(*V6, ICMPV6)) == 0


def test_a_checksum_that_is_set_stays() -> None:
    body = packets.udp(1, 2)[:6] + b"\xbe\xef" + packets.udp(1, 2)[8:]
    assert packets.ipv4(*V4, UDP, body).endswith(body)


def test_ipv6_extensions_chain() -> None:
    extensions = [
        packets.options_header(packets.HOP_BY_HOP),
        packets.routing_header(),
        packets.authentication_header(),
        packets.fragment_header(9),
        packets.options_header(options=b"\x1e\x00"),
    ]
    packet = packets.ipv6(*V6, TCP, packets.tcp(1, 2), extensions=extensions)
    number, offset, seen = packet[6], 40, []
    while number != TCP:
        seen.append(number)
        length = packet[offset + 1]
        size = (
            8
            if number == packets.FRAGMENT
            else (length + 2) * 4
            if number == packets.AUTHENTICATION
            else (length + 1) * 8
        )
        number, offset = packet[offset], offset + size
    assert seen == [0, 43, 51, 44, 60]
    assert len(packet) - offset == 20
    assert struct.unpack_from("!H", packet, 4)[0] == len(packet) - 40


@pytest.mark.parametrize("size", range(12))
def test_option_headers_are_whole_words(size: int) -> None:
    extension = packets.options_header(options=bytes(size))
    assert (1 + len(extension.body)) == (extension.body[0] + 1) * 8


@pytest.mark.parametrize("pair", [V4, V6])
def test_fragments_join_to_the_whole(pair: tuple[str, str]) -> None:
    whole = packets.ip(*pair, UDP, packets.udp(5, 6, bytes(range(100))))
    pieces = packets.fragments(whole, 40)
    assert len(pieces) == 3
    header = 20 if pair is V4 else 48
    assert b"".join(piece[header:] for piece in pieces) == packets.body(whole)[1]
    if pair is V4:
        fields = [struct.unpack_from("!H", piece, 6)[0] for piece in pieces]
        assert fields == [0x2000, 0x2005, 10]
    else:
        assert [struct.unpack_from("!H", piece, 42)[0] for piece in pieces] == [1, 41, 80]


@pytest.mark.parametrize(
    ("pair", "protocol"), [(V4, TCP), (V6, TCP), (V4, UDP), (V6, UDP), (V4, SCTP), (V4, ICMP), (V6, ICMPV6)]
)
def test_reply_swaps(pair: tuple[str, str], protocol: int) -> None:
    packet = packets.opening(*pair, protocol, 53)
    answer = packets.reply(packet)
    assert packets.addresses(answer) == tuple(reversed(packets.addresses(packet)))
    content = packets.body(answer)[1]
    if protocol in (ICMP, ICMPV6):
        assert content[0] in (packets.ECHO_REPLY, packets.ECHO_REPLY_V6)
        assert content[4:] == packets.body(packet)[1][4:]
    else:
        assert struct.unpack_from("!HH", content) == (53, 40_000)


@pytest.mark.parametrize("pair", [V4, V6])
def test_error_quotes_the_packet(pair: tuple[str, str]) -> None:
    packet = packets.opening(*pair, UDP, 53)
    error = packets.error_about(packet, source=None)
    assert packets.addresses(error) == tuple(reversed(packets.addresses(packet)))
    assert packets.body(error)[1][8:] == packet


def test_families_do_not_mix() -> None:
    with pytest.raises(packets.PacketError, match="no IPv4 address"):
        packets.opening(V4[0], V6[1], TCP, 1)


def test_ethernet_frames() -> None:
    packet = packets.opening(*V6, UDP, 1)
    assert packets.ethernet(packet)[12:] == b"\x86\xdd" + packet
    assert packets.ethernet(packet, vlan=5)[12:18] == b"\x81\x00\x00\x05\x86\xdd"
    assert len(list(packets.truncations(packet))) == len(packet)


def test_sctp_checksum() -> None:
    content = packets.body(packets.opening(*V4, SCTP, 9))[1]
    assert struct.unpack_from("<I", content, 8)[0] == packets.crc32c(content[:8] + bytes(4) + content[12:])
    assert IPv6Address(V6[0]) != IPv6Address(V6[1])
