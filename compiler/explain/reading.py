"""What a packet's bytes say: the definition that programs' parsing (bpf_templates) is held against.

Written to be read, and with no more than a decision needs: addresses, ports, and how the packet may
relate to others. Sources: RFC 791, 792, 768, 9293, 9260, 8200, 4443, 4861; what is refused for safety
names its RFC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from wardgate.compiler.explain.packets import (
    DESTINATION_OPTIONS,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    FRAGMENT,
    HOP_BY_HOP,
    ROUTING,
)
from wardgate.compiler.language.model import ICMP, ICMPV6, SCTP, TCP, UDP, Address
from wardgate.runtime.layout.codes import LinkHeader

_EXTENSIONS: Final = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS)
_MOST_EXTENSIONS, _MOST_EXTENSION_BYTES, _MOST_OPTIONS = 6, 256, 10
_OPTION_END, _OPTION_NOP, _LOOSE_ROUTE, _STRICT_ROUTE = 0, 1, 131, 137
_IPV4_HEADER, _IPV6_HEADER, _ETHERNET_HEADER = 20, 40, 14
_SIZES: Final = {TCP: 20, SCTP: 12, UDP: 8}
_QUOTED: Final = 8
"""Bytes that an ICMP error has at least of the packet it is about, behind its IP header (RFC 792)."""
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_QUERIES: Final = {ICMP: (8, 13), ICMPV6: (128,)}
_ANSWERS: Final = {ICMP: (0, 14), ICMPV6: (129,)}
_ERRORS: Final = {ICMP: (3, 11, 12), ICMPV6: (1, 2, 3, 4)}
"""Messages that carry the packet that they are about. Redirects are none: they would change routes."""
_NEIGHBOUR_DISCOVERY: Final = (135, 136)


class Kind(Enum):
    """How a packet may relate to others, apart from what a policy says of it."""

    OTHER = "other"
    """Neither a reply nor to be replied to: some ICMP, or a segment that no connection would send."""
    SEGMENT = "segment"
    """Of a TCP connection that is open: it may be a reply, if the policy of the other direction says so."""
    DATAGRAM = "datagram"
    """It opens a flow, or replies in one."""
    QUERY = "query"
    ANSWER = "answer"
    """ICMP's, of one flow."""
    ERROR = "error"
    """An ICMP error about another packet."""
    UNKNOWN_SEGMENT = "fragment of a segment"
    UNKNOWN = "fragment"
    """A later fragment whose first has not been seen: nobody knows its ports."""


class Part(Enum):
    """Whether a packet is whole, or which fragment of one."""

    WHOLE = "whole"
    FIRST = "first"
    LATER = "later"


class MalformedError(Exception):
    """The bytes are not the packet that they say they are, or one that is refused whatever its policy."""


class CutError(Exception):
    """The packet goes on where the capture has no bytes of it."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Addresses and ports, which are 0 where there are none. An ICMP query has its identifier as
    `source_port`, its answer as `destination_port`, so that both name one flow."""

    source: Address
    destination: Address
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    kind: Kind = Kind.OTHER


@dataclass(frozen=True, slots=True)
class Reading:
    """A packet. `inner` is the one that an ICMP error is about. `link_local`: neighbour discovery, without
    which an Ethernet link does not work; `length` is from the IP header on."""

    outer: Transport
    version: int
    length: int
    part: Part
    identification: int
    inner: Transport | None = None
    link_local: bool = False


class _Bytes:
    """A packet from its IP header on: `total` bytes, of which `data` may have only the first."""

    def __init__(self, data: bytes, total: int) -> None:
        self.data, self.total = data, total

    def need(self, offset: int, size: int) -> None:
        """MalformedError where the packet ends before, CutError where the capture does."""
        if offset + size > self.total:
            raise MalformedError(f"it ends after {self.total} bytes, inside a header")
        if offset + size > len(self.data):
            raise CutError(
                f"the capture has {len(self.data)} of {self.total} bytes, which is too few to tell"
            )

    def number(self, offset: int, size: int) -> int:
        """An integer in network order."""
        self.need(offset, size)
        return int.from_bytes(self.data[offset : offset + size], "big")


def is_arp(data: bytes, link: LinkHeader) -> bool:
    """Whether it is a frame of ARP, which a gate lets pass: without it an Ethernet link does not work."""
    return link is LinkHeader.ETHERNET and data[12:14] == ETHERTYPE_ARP.to_bytes(2, "big")


def read_packet(data: bytes, length: int, link: LinkHeader) -> Reading:
    """What a packet or frame of `length` bytes says, of which `data` has the first. No ARP.

    MalformedError, CutError.
    """
    whole = _Bytes(data, length)
    if link is LinkHeader.ETHERNET:
        ethertype = whole.number(12, 2)
        whole = _Bytes(data[_ETHERNET_HEADER:], length - _ETHERNET_HEADER)
        expected = ETHERTYPE_IPV4 if whole.number(0, 1) >> 4 == 4 else ETHERTYPE_IPV6
        if ethertype != expected:
            raise MalformedError(f"its EtherType is {ethertype:#06x}, which its content is not")
    version = whole.number(0, 1) >> 4
    if version == 4:
        reading, offset = _read4(whole)
    elif version == 6:
        reading, offset = _read6(whole, link)
    else:
        raise MalformedError(f"its IP version is {version}")
    if reading.link_local or reading.part is Part.LATER:
        return reading
    whole.total = reading.length
    outer = _transport(whole, offset, reading.outer, version, quoted=False)
    if outer.kind is not Kind.ERROR:
        return replace(reading, outer=outer)
    try:
        inner = _inner(whole, offset + 8, version)
    except MalformedError:
        # About something unreadable, it is a message like others.
        return replace(reading, outer=replace(outer, kind=Kind.OTHER))
    return replace(reading, outer=outer, inner=inner)


def version_of(data: bytes, link: LinkHeader) -> int | None:
    """The IP version in the first byte behind the link header, 4 or 6; None: another, or none to be seen."""
    first = data[link : link + 1]
    version = first[0] >> 4 if first else None
    return version if version in (4, 6) else None


def _read4(whole: _Bytes) -> tuple[Reading, int]:
    whole.need(0, _IPV4_HEADER)
    data = whole.data
    size, length = (data[0] & 15) * 4, whole.number(2, 2)
    if size < _IPV4_HEADER or not size <= length <= whole.total:
        raise MalformedError(f"it has a header of {size} and a length of {length} in {whole.total} bytes")
    protocol, fragment = data[9], whole.number(6, 2)
    offset = (fragment & 0x1FFF) * 8
    part = Part.LATER if offset else Part.FIRST if fragment & 0x2000 else Part.WHOLE
    if offset:
        _check_fragment(protocol, offset)
    _check_options(whole, size)
    outer = Transport(IPv4Address(data[12:16]), IPv4Address(data[16:20]), protocol)
    return Reading(outer, 4, length, part, whole.number(4, 2)), size


def _check_options(whole: _Bytes, size: int) -> None:
    offset, count = _IPV4_HEADER, 0
    while offset < size:
        count += 1
        if count > _MOST_OPTIONS:
            raise MalformedError(f"it has more than {_MOST_OPTIONS} IP options")
        kind = whole.number(offset, 1)
        if kind == _OPTION_END:
            return
        if kind == _OPTION_NOP:
            offset += 1
            continue
        if kind in (_LOOSE_ROUTE, _STRICT_ROUTE):
            # It names destinations that the policy would not be asked about (RFC 7126 section 4.3).
            raise MalformedError("it has a source route")
        step = whole.number(offset + 1, 1) if offset + 1 < size else 0
        if not 2 <= step <= size - offset:
            raise MalformedError("its IP options do not fit into its header")
        offset += step


def _check_fragment(protocol: int, offset: int) -> None:
    if protocol == TCP and offset < _SIZES[TCP]:
        # It could rewrite the ports that the first was judged by (RFC 1858, RFC 3128).
        raise MalformedError("it is a fragment that begins inside the TCP header")


def _read6(whole: _Bytes, link: LinkHeader) -> tuple[Reading, int]:
    whole.need(0, _IPV6_HEADER)
    data = whole.data
    length = _IPV6_HEADER + whole.number(4, 2)
    if length > whole.total:
        raise MalformedError(f"it has a length of {length} in {whole.total} bytes")
    whole = _Bytes(data, length)
    outer = Transport(IPv6Address(data[8:24]), IPv6Address(data[24:40]), data[6])
    reading = Reading(outer, 6, length, Part.WHOLE, 0)
    if link is LinkHeader.ETHERNET and data[6] == ICMPV6:
        whole.need(_IPV6_HEADER, 8)
        # The hop limit shows that it comes from this link (RFC 4861 section 7.1).
        if data[7] == 255 and data[40] in _NEIGHBOUR_DISCOVERY and data[41] == 0:
            return replace(reading, link_local=True), 0
    return _extensions(whole, reading)


def _extensions(whole: _Bytes, reading: Reading) -> tuple[Reading, int]:
    protocol, offset, count = reading.outer.protocol, _IPV6_HEADER, 0
    while protocol in _EXTENSIONS:
        count += 1
        if count > _MOST_EXTENSIONS:
            raise MalformedError(f"it has more than {_MOST_EXTENSIONS} extension headers")
        whole.need(offset, 8)
        following, size = whole.data[offset], 8
        if protocol == FRAGMENT:
            if reading.part is not Part.WHOLE:
                raise MalformedError("it is fragmented twice")
            field = whole.number(offset + 2, 2)
            reading = replace(reading, identification=whole.number(offset + 4, 4))
            # An atomic fragment is a whole packet (RFC 6946).
            if field & 1:
                reading = replace(reading, part=Part.FIRST)
            if field & 0xFFF8:
                _check_fragment(following, field & 0xFFF8)
                outer = replace(reading.outer, protocol=following)
                return replace(reading, part=Part.LATER, outer=outer), offset
        else:
            if protocol == ROUTING and whole.data[offset + 3]:
                raise MalformedError("it has a routing header with segments left")
            size += whole.data[offset + 1] * 8
        protocol, offset = following, offset + size
        if offset > _IPV6_HEADER + _MOST_EXTENSION_BYTES:
            raise MalformedError(f"its extension headers are longer than {_MOST_EXTENSION_BYTES} bytes")
    return replace(reading, outer=replace(reading.outer, protocol=protocol)), offset


def _transport(whole: _Bytes, offset: int, found: Transport, version: int, *, quoted: bool) -> Transport:
    """`found` with its ports; of a packet that an ICMP error quotes there are eight bytes at least."""
    icmp = ICMP if version == 4 else ICMPV6
    size = 8 if found.protocol == icmp else _SIZES.get(found.protocol, 0)
    if quoted:
        size = min(size, _QUOTED)
    if offset + size > whole.total:
        raise MalformedError(f"it ends after {whole.total} bytes, inside a header")
    if not size:
        return replace(found, kind=Kind.DATAGRAM)
    whole.need(offset, size)
    if found.protocol == icmp:
        kind, identifier = whole.data[offset], whole.number(offset + 4, 2)
        if kind in _QUERIES[icmp]:
            return replace(found, kind=Kind.QUERY, source_port=identifier)
        if kind in _ANSWERS[icmp]:
            return replace(found, kind=Kind.ANSWER, destination_port=identifier)
        return replace(found, kind=Kind.ERROR if kind in _ERRORS[icmp] else Kind.OTHER)
    found = replace(found, source_port=whole.number(offset, 2), destination_port=whole.number(offset + 2, 2))
    if found.protocol != TCP:
        return replace(found, kind=Kind.DATAGRAM)
    flags = _ACK
    if not quoted:
        if whole.data[offset + 12] >> 4 < _SIZES[TCP] // 4:
            raise MalformedError("its TCP header is shorter than a TCP header")
        flags = whole.data[offset + 13]
    opening = flags & (_SYN | _ACK) == _SYN
    return replace(found, kind=Kind.SEGMENT if not opening and flags & (_ACK | _RST) else Kind.OTHER)


def _inner(whole: _Bytes, offset: int, version: int) -> Transport:
    """The packet inside an ICMP error."""
    if version == 4:
        whole.need(offset, _IPV4_HEADER)
        data = whole.data[offset:]
        size = (data[0] & 15) * 4
        if data[0] >> 4 != 4 or size < _IPV4_HEADER or whole.number(offset + 6, 2) & 0x1FFF:
            raise MalformedError("the packet in it has no IPv4 header")
        found = Transport(IPv4Address(data[12:16]), IPv4Address(data[16:20]), data[9])
    else:
        whole.need(offset, _IPV6_HEADER)
        data, size = whole.data[offset:], _IPV6_HEADER
        if data[0] >> 4 != 6:
            raise MalformedError("the packet in it has no IPv6 header")
        found = Transport(IPv6Address(data[8:24]), IPv6Address(data[24:40]), data[6])
        if data[6] == FRAGMENT:
            whole.need(offset + _IPV6_HEADER, 8)
            if whole.number(offset + _IPV6_HEADER + 2, 2) & 0xFFF8:
                raise MalformedError("the packet in it is a later fragment")
            found, size = replace(found, protocol=data[_IPV6_HEADER]), size + 8
    return _transport(whole, offset + size, found, version, quoted=True)
