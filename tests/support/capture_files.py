"""Capture files for tests, written apart from what reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

Record = tuple[bytes, int, int]
"""Captured bytes, length on the wire, and time in ns."""


def pcap(link: int, records: Sequence[Record], *, order: str = "<", unit: int = 1000) -> bytes:
    """A pcap file; times in units of so many ns (1000 or 1)."""
    magic = 0xA1B2C3D4 if unit == 1000 else 0xA1B23C4D
    out = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262_144, link)
    for data, length, time in records:
        seconds, rest = divmod(time, 10**9)
        out += struct.pack(f"{order}IIII", seconds, rest // unit, len(data), length) + data
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack(f"{order}II", kind, size) + body + struct.pack(f"{order}I", size)


def section(order: str = "<") -> bytes:
    """A section header block."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int, order: str = "<", *, resolution: int | None = None, snap: int = 0) -> bytes:
    """An interface description block; `resolution` as its option has it."""
    options = b""
    if resolution is not None:
        options = struct.pack(f"{order}HHBxxxHH", 9, 1, resolution, 0, 0)
    return block(1, struct.pack(f"{order}HHI", link, 0, snap) + options, order)


def enhanced(which: int, record: Record, order: str = "<", *, units: int = 10**6) -> bytes:
    """An enhanced packet block of interface `which`, whose times are in so many units a second."""
    data, length, time = record
    count = time * units // 10**9
    head = struct.pack(f"{order}IIIII", which, count >> 32, count & 0xFFFF_FFFF, len(data), length)
    return block(6, head + data, order)


def simple(data: bytes, order: str = "<") -> bytes:
    """A simple packet block."""
    return block(3, struct.pack(f"{order}I", len(data)) + data, order)
