"""Captures: what is in them, and that a broken one is said to be so, at its place."""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path

import capture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.compiler.explain import packets
from wardgate.compiler.explain.capture import Captured, CaptureError, read_capture
from wardgate.compiler.explain.frames import FrameError, frame_of, parse_hex
from wardgate.runtime.layout.codes import LinkHeader

TIME = 1_700_000_000_123_456_000
PACKET = packets.opening("10.9.0.2", "10.0.0.5", 6, 443)
RECORDS = [(PACKET, len(PACKET), TIME), (PACKET[:24], len(PACKET), TIME + 10**9), (b"", 0, TIME)]


def read(data: bytes) -> list[Captured]:
    return list(read_capture(io.BytesIO(data)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("unit", [1000, 1])
def test_pcap(order: str, unit: int) -> None:
    found = read(files.pcap(101, RECORDS, order=order, unit=unit))
    assert [(one.data, one.length, one.time) for one in found] == RECORDS
    assert [one.number for one in found] == [1, 2, 3]
    assert {one.link for one in found} == {101}


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    """Several interfaces, resolutions and sections, blocks that nobody knows, and packets without a time."""
    data = (
        files.section(order)
        + files.interface(101, order)
        + files.block(0x0BAD, b"what is this", order)
        + files.interface(1, order, resolution=9)
        + files.enhanced(0, RECORDS[0], order)
        + files.enhanced(1, RECORDS[1], order, units=10**9)
        + files.section("<")
        + files.interface(113, "<", resolution=0x80 | 20, snap=20)
        + files.simple(PACKET[:20], "<")
        + files.enhanced(0, (PACKET, 99, 7 * 10**9), units=1 << 20)
    )
    found = [(one.link, one.data, one.length, one.time) for one in read(data)]
    assert found == [
        (101, PACKET, len(PACKET), TIME),
        (1, PACKET[:24], len(PACKET), TIME + 10**9),
        (113, PACKET[:20], 20, None),
        (113, PACKET, 99, 7 * 10**9),
    ]


@pytest.mark.tool("tcpdump")
def test_tcpdump_reads_the_same(tmp_path: Path) -> None:
    """The files of these tests are what others take for captures."""
    enhanced = b"".join(files.enhanced(0, record) for record in RECORDS[:2])
    for name, data in {
        "a.pcap": files.pcap(101, RECORDS[:2]),
        "b.pcapng": files.section() + files.interface(101) + enhanced,
    }.items():
        path, copy = tmp_path / name, tmp_path / "copy.pcap"
        path.write_bytes(data)
        subprocess.run(["tcpdump", "-r", path, "-w", copy], check=True, capture_output=True)
        theirs = [(one.data, one.length, one.time) for one in read(copy.read_bytes())]
        assert theirs == [(one.data, one.length, one.time) for one in read(data)] == RECORDS[:2]


BROKEN = {
    "empty": (b"", "ends at byte 0"),
    "text": (b"hello, I am no capture", "neither a pcap nor a pcapng"),
    "a header cut off": (files.pcap(101, [])[:20], "ends at byte 20"),
    "a version": (files.pcap(101, [])[:4] + b"\x09" + files.pcap(101, [])[5:], "version 9"),
    "a record cut off": (files.pcap(101, RECORDS)[:30], "ends at byte 30, inside the header of packet 1"),
    "a packet cut off": (files.pcap(101, RECORDS[:1])[:-1], "inside packet 1"),
    "a huge packet": (files.pcap(101, []) + b"\0" * 8 + b"\xff" * 8, "at byte 24, has 4294967295"),
    "more captured than there was": (files.pcap(101, [(PACKET, 3, TIME)]), "has 40 of 3 bytes"),
    "a section without order": (b"\x0a\x0d\x0d\x0a" + bytes(24), "no byte order"),
    "a block too large": (files.section() + b"\x06\0\0\0\xf0\xff\xff\xff", "claims 4294967280 bytes"),
    "a block too small": (files.section() + b"\x06\0\0\0\x04\0\0\0", "claims 4 bytes"),
    "a block of two sizes": (files.section()[:-4] + b"\x20\0\0\0", "and 32 at its end"),
    "no such interface": (files.section() + files.enhanced(0, RECORDS[0]), "interface that the file has not"),
    "a packet beyond its block": (
        files.section() + files.interface(1) + files.block(6, bytes(12) + b"\x40\0\0\0" * 2),
        "fit into its block",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str) -> None:
    data, message = BROKEN[name]
    with pytest.raises(CaptureError, match=message):
        read(data)


@settings(max_examples=200)
@given(st.data())
def test_hostile_files_end_in_an_error(data: st.DataObject) -> None:
    good = data.draw(
        st.sampled_from(
            [
                files.pcap(101, RECORDS),
                files.section() + files.interface(1) + files.enhanced(0, RECORDS[0]) + files.simple(PACKET),
            ]
        )
    )
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    with contextlib.suppress(CaptureError):
        for captured in read_capture(io.BytesIO(bytes(content))):
            assert len(captured.data) <= captured.length
            with contextlib.suppress(FrameError):
                frame_of(captured)


def captured(link: int, data: bytes) -> Captured:
    return Captured(1, data, len(data), link, TIME)


@pytest.mark.parametrize(
    ("link", "header"),
    [
        (0, b"\x02\0\0\0"), (0, b"\0\0\0\x02"), (108, b"\0\0\0\x02"), (12, b""), (101, b""), (228, b""),
        (113, bytes(14) + b"\x08\0"), (276, b"\x08\0" + bytes(18)),
    ],
)  # fmt: skip
def test_link_types_without_ethernet(link: int, header: bytes) -> None:
    frame = frame_of(captured(link, header + PACKET))
    assert (frame.data, frame.length, frame.link, frame.time) == (PACKET, len(PACKET), LinkHeader.NONE, TIME)


def test_ethernet() -> None:
    frame = frame_of(captured(1, packets.ethernet(PACKET)))
    assert (frame.data, frame.link) == (packets.ethernet(PACKET), LinkHeader.ETHERNET)


@pytest.mark.parametrize(
    ("link", "data", "message"),
    [
        (105, PACKET, "its link type is 105"),
        (113, bytes(14) + b"\x08\x06" + PACKET, "EtherType 0x0806"),
        (113, bytes(5), "less than its link header"),
        (0, b"\0\0\0\x07" + PACKET, "no IP packet"),
        (0, b"\0", "less than its link header"),
    ],
)
def test_what_is_no_packet(link: int, data: bytes, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        frame_of(captured(link, data))


SIX = packets.opening("fd09::2", "fd00::5", 6, 443)


@pytest.mark.parametrize("packet", [PACKET, SIX, packets.ipv4("10.9.0.2", "10.0.0.5", 47, options=b"\1\1")])
def test_hex_is_detected(packet: bytes) -> None:
    assert parse_hex(packet.hex()).link is LinkHeader.NONE
    assert parse_hex(packets.ethernet(packet).hex(" ")).link is LinkHeader.ETHERNET
    assert parse_hex(f"0x{packet.hex()}").data == packet
    assert parse_hex(packet.hex(":")).data == packet


def test_hex_that_could_be_both() -> None:
    """An IP packet to 8:0, whose bytes from 14 on are an IP packet too."""
    inner = packets.ipv4("10.0.0.1", "10.0.0.2", 47, bytes(4))
    both = bytearray(packets.ipv4("8.0.69.0", "0.24.0.0", 47))[:14] + inner
    both[2:4] = len(both).to_bytes(2, "big")
    with pytest.raises(FrameError, match="either"):
        parse_hex(bytes(both).hex())
    assert parse_hex(bytes(both).hex(), LinkHeader.ETHERNET).link is LinkHeader.ETHERNET


@pytest.mark.parametrize("text", ["", "xyz", "450", "45" * 70_000, "4500", "0x"])
def test_hex_that_is_none(text: str) -> None:
    with pytest.raises(FrameError):
        parse_hex(text)
