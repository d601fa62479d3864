"""From what a capture or a person gives to a packet that can be judged.

A gate judges packets from the IP header on, or Ethernet frames. Other link headers are taken off, and the
packet behind them is judged as one without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from wardgate.compiler.explain.capture import Captured
from wardgate.compiler.explain.judgement import LONGEST, Frame
from wardgate.compiler.explain.packets import ETHERTYPE_IPV4, ETHERTYPE_IPV6
from wardgate.runtime.layout.codes import LinkHeader

_NULL, _ETHERNET, _LOOP, _SLL, _IPV4, _IPV6, _SLL2 = 0, 1, 108, 113, 228, 229, 276
_RAW: Final = (12, 14, 101, _IPV4, _IPV6)
"""LINKTYPE_RAW, and the numbers that it has in files that some systems write."""
_NULL_FAMILIES: Final = (2, 10, 24, 28, 30)
"""AF_INET, and AF_INET6 of Linux and the BSDs: in which byte order, depends on who wrote the file."""
_NAMES: Final = "RAW, EN10MB, NULL, LOOP, LINUX_SLL, LINUX_SLL2, IPV4, IPV6"
_MOST_HEX: Final = 2 * LONGEST


class FrameError(ValueError):
    """It is no packet that a gate would judge, or not clear which; the text says why."""


def frame_of(captured: Captured) -> Frame:
    """The packet to judge; FrameError where there is none: another link type, or no IP behind its header."""
    data, length, time = captured.data, captured.length, captured.time
    if captured.link == _ETHERNET:
        return Frame(data, min(length, LONGEST), LinkHeader.ETHERNET, time)
    if captured.link not in _RAW:
        strip = _STRIP.get(captured.link)
        if strip is None:
            raise FrameError(f"its link type is {captured.link}; known are {_NAMES}")
        header = strip(data)
        data, length = data[header:], length - header
    return Frame(data, min(length, LONGEST), LinkHeader.NONE, time)


def _strip_family(data: bytes) -> int:
    if len(data) < 4:
        raise FrameError(f"it has {len(data)} bytes, less than its link header")
    if not {int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")} & set(_NULL_FAMILIES):
        raise FrameError("its link header says that it is no IP packet")
    return 4


def _strip_cooked(size: int, at: int) -> Callable[[bytes], int]:
    def strip(data: bytes) -> int:
        if len(data) < size:
            raise FrameError(f"it has {len(data)} bytes, less than its link header")
        ethertype = int.from_bytes(data[at : at + 2], "big")
        if ethertype not in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
            raise FrameError(f"its link header says that it is no IP packet (EtherType {ethertype:#06x})")
        return size

    return strip


_STRIP: Final[Mapping[int, Callable[[bytes], int]]] = {
    _NULL: _strip_family,
    _LOOP: _strip_family,
    _SLL: _strip_cooked(16, 14),
    _SLL2: _strip_cooked(20, 0),
}


def parse_hex(text: str, link: LinkHeader | None = None) -> Frame:
    """The packet in hexadecimal digits, which spaces, colons and line ends may part.

    `link` None: an IP packet or an Ethernet frame, whichever the bytes are. They are an IP packet if the IP
    version and lengths of its header are right, a frame if that holds behind 14 bytes whose EtherType is
    the right one. FrameError where both are, or neither.
    """
    digits = "".join(text.split()).replace(":", "").removeprefix("0x")
    if len(digits) > _MOST_HEX:
        raise FrameError(f"that is more than the {LONGEST} bytes that a packet can have")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise FrameError("a packet is written in hexadecimal digits, two a byte") from None
    if not data:
        raise FrameError("there are no bytes")
    if link is None:
        link = _detected(data)
    return Frame(data, len(data), link)


def _detected(data: bytes) -> LinkHeader:
    ethertype = int.from_bytes(data[12:14], "big")
    version = _whole_ip(data[LinkHeader.ETHERNET :])
    framed = version is not None and ethertype == (ETHERTYPE_IPV4 if version == 4 else ETHERTYPE_IPV6)
    plain = _whole_ip(data) is not None
    if framed == plain:
        what = "either" if plain else "neither"
        raise FrameError(
            f"of an IP packet and an Ethernet frame it could be {what}: say by --link ip or --link ethernet"
        )
    return LinkHeader.ETHERNET if framed else LinkHeader.NONE


def _whole_ip(data: bytes) -> int | None:
    """The IP version, if `data` begins with a header of it that is right about its length."""
    if len(data) >= 20 and data[0] >> 4 == 4 and data[0] & 15 >= 5:
        return 4 if 20 <= int.from_bytes(data[2:4], "big") <= len(data) else None
    if len(data) >= 40 and data[0] >> 4 == 6:
        return 6 if 40 + int.from_bytes(data[4:6], "big") <= len(data) else None
    return None
