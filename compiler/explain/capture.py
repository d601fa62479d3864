"""Captures of packets: pcap and pcapng files, read one packet at a time (docs/decisions/042-captures.md).

A file is not trusted: what a length field says is held against limits before anything is read for it,
and an error names the byte where the file stops to make sense.

Sources: draft-ietf-opsawg-pcap (pcap), draft-ietf-opsawg-pcapng (pcapng), and the list of link types at
tcpdump.org.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

_PCAP: Final = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
"""Magic numbers of pcap, and how many ns the unit of its fractions of seconds is."""
_SECTION, _INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_ORDER_MAGIC: Final = 0x1A2B3C4D
_TIME_RESOLUTION, _TIME_OFFSET, _END_OF_OPTIONS = 9, 14, 0
_MOST_CAPTURED: Final = 1 << 18
"""Bytes of a packet: what libpcap's MAXIMUM_SNAPLEN is."""
_MOST_BLOCK: Final = 1 << 24
"""Bytes of a pcapng block, of which libpcap takes no larger ones either."""
_MOST_INTERFACES: Final = 4096
_SECOND: Final = 10**9
_LATEST: Final = 1 << 62
"""The year 2116."""


class CaptureError(ValueError):
    """The file is no capture, or stops to be one; the text says where."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A packet of a capture. `length` are its bytes on the wire, of which `data` has the first; `time` is in
    ns since 1970, None: not known. `link` is a link type by its number."""

    number: int
    data: bytes
    length: int
    link: int
    time: int | None


def read_capture(stream: BinaryIO) -> Iterator[Captured]:
    """The packets in a pcap or pcapng file, numbered from 1. CaptureError where it is broken, which may be
    after packets that are fine."""
    reader = _Stream(stream)
    magic = reader.exactly(4, "its first four bytes")
    (number,) = struct.unpack("<I", magic)
    if number == _SECTION:
        yield from _Pcapng(reader).packets()
        return
    for order in "<>":
        (number,) = struct.unpack(f"{order}I", magic)
        if number in _PCAP:
            yield from _pcap(reader, order, _PCAP[number])
            return
    raise CaptureError("it is neither a pcap nor a pcapng file")


class _Stream:
    """A file that is read in order; `place` is how many bytes were."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.place = 0

    def exactly(self, size: int, what: str) -> bytes:
        """So many bytes; CaptureError where the file ends before."""
        found = self.at_most(size)
        if len(found) < size:
            raise CaptureError(f"it ends at byte {self.place}, inside {what}")
        return found

    def at_most(self, size: int) -> bytes:
        """As many bytes as there are, at most `size`."""
        found = b""
        # A pipe gives what it has.
        while len(found) < size and (more := self._stream.read(size - len(found))):
            found += more
        self.place += len(found)
        return found


def _pcap(reader: _Stream, order: str, unit: int) -> Iterator[Captured]:
    head = reader.exactly(20, "the file's header")
    major, _minor, _zone, _accuracy, _snap, link = struct.unpack(f"{order}HHiIII", head)
    if major != 2:
        raise CaptureError(f"it is pcap of version {major}, of which nobody has heard")
    number = 0
    while record := reader.at_most(16):
        number += 1
        place = reader.place - len(record)
        if len(record) < 16:
            raise CaptureError(f"it ends at byte {reader.place}, inside the header of packet {number}")
        seconds, fraction, captured, length = struct.unpack(f"{order}IIII", record)
        _check_sizes(captured, length, number, place)
        data = reader.exactly(captured, f"packet {number}")
        # The upper bits tell of a frame check sequence.
        yield Captured(number, data, length, link & 0xFFFF, _time(seconds * _SECOND + fraction * unit))


def _check_sizes(captured: int, length: int, number: int, place: int) -> None:
    if captured > _MOST_CAPTURED or captured > length:
        raise CaptureError(
            f"packet {number}, at byte {place}, has {captured} of {length} bytes: the file is broken"
        )


def _time(ns: int) -> int | None:
    """A time that clocks can have, None for another."""
    return ns if 0 <= ns <= _LATEST else None


@dataclass(frozen=True, slots=True)
class _Interface:
    link: int
    snap: int
    units: int
    """Of its times, in a second."""
    offset: int
    """Seconds to add to its times."""


@dataclass(slots=True)
class _Pcapng:
    reader: _Stream
    order: str = "<"
    interfaces: list[_Interface] = field(default_factory=list)

    def packets(self) -> Iterator[Captured]:
        """The packets of all sections; the first four bytes are read."""
        number = 0
        self._section(self.reader.place - 4)
        while head := self.reader.at_most(4):
            place = self.reader.place - len(head)
            if len(head) < 4:
                raise CaptureError(f"it ends at byte {self.reader.place}, inside a block")
            (kind,) = struct.unpack(f"{self.order}I", head)
            if kind == _SECTION:
                self._section(place)
                continue
            body = self._body(place)
            if kind == _INTERFACE:
                self._interface(body, place)
            elif kind in (_PACKET, _SIMPLE, _ENHANCED):
                number += 1
                yield self._captured(kind, body, number, place)

    def _section(self, place: int) -> None:
        """A section's head, which says in which order its numbers have their bytes."""
        rest = self.reader.exactly(8, "a section's header")
        orders = [o for o in "<>" if struct.unpack_from(f"{o}I", rest, 4) == (_ORDER_MAGIC,)]
        if not orders:
            raise CaptureError(f"the section at byte {place} has no byte order")
        self.order = orders[0]
        (size,) = struct.unpack_from(f"{self.order}I", rest)
        self._rest(size, 12, place)
        self.interfaces = []

    def _body(self, place: int) -> bytes:
        (size,) = struct.unpack(f"{self.order}I", self.reader.exactly(4, "a block"))
        return self._rest(size, 8, place)

    def _rest(self, size: int, read: int, place: int) -> bytes:
        """What a block has between its first `read` bytes and the size at its end."""
        if not read + 4 <= size <= _MOST_BLOCK or size % 4:
            raise CaptureError(f"the block at byte {place} claims {size} bytes: the file is broken")
        body = self.reader.exactly(size - read - 4, "a block")
        (again,) = struct.unpack(f"{self.order}I", self.reader.exactly(4, "a block"))
        if again != size:
            raise CaptureError(f"the block at byte {place} claims {size} bytes, and {again} at its end")
        return body

    def _interface(self, body: bytes, place: int) -> None:
        if len(body) < 8 or len(self.interfaces) == _MOST_INTERFACES:
            raise CaptureError(f"the interface at byte {place} is broken, or one too many")
        link, _reserved, snap = struct.unpack_from(f"{self.order}HHI", body)
        units, offset = 10**6, 0
        for code, value in self._options(body[8:]):
            if code == _TIME_RESOLUTION and len(value) == 1:
                exponent = value[0] & 0x7F
                units = 1 << exponent if value[0] & 0x80 else 10**exponent
            elif code == _TIME_OFFSET and len(value) == 8:
                (offset,) = struct.unpack(f"{self.order}q", value)
        self.interfaces.append(_Interface(link, snap, units, offset))

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        place = 0
        while place + 4 <= len(data):
            code, size = struct.unpack_from(f"{self.order}HH", data, place)
            if code == _END_OF_OPTIONS:
                return
            yield code, data[place + 4 : place + 4 + size]
            place += 4 + (size + 3) // 4 * 4

    def _captured(self, kind: int, body: bytes, number: int, place: int) -> Captured:
        if len(body) < (4 if kind == _SIMPLE else 20):
            raise CaptureError(f"packet {number}, at byte {place}, is too short for its header")
        if kind == _SIMPLE:
            (length,) = struct.unpack_from(f"{self.order}I", body)
            interface = self._interface_of(0, number, place)
            captured = min(length, interface.snap or length)
            start, time = 4, None
        else:
            form = f"{self.order}IIIII" if kind == _ENHANCED else f"{self.order}HxxIIII"
            which, high, low, captured, length = struct.unpack_from(form, body)
            interface = self._interface_of(which, number, place)
            ns = (high << 32 | low) * _SECOND // interface.units + interface.offset * _SECOND
            start, time = 20, _time(ns)
        _check_sizes(captured, length, number, place)
        if start + captured > len(body):
            raise CaptureError(f"packet {number}, at byte {place}, does not fit into its block")
        return Captured(number, body[start : start + captured], length, interface.link, time)

    def _interface_of(self, which: int, number: int, place: int) -> _Interface:
        if which >= len(self.interfaces):
            raise CaptureError(f"packet {number}, at byte {place}, is of an interface that the file has not")
        return self.interfaces[which]
