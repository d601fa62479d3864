"""Generic netlink: against the kernel's own controller, and against answers that it gives rarely."""

from __future__ import annotations

import errno
import struct

import pytest
from wardgate.gateway.wireguard.generic_netlink import (
    GenericNetlink,
    InterruptedDumpError,
    RefusalError,
    attribute,
    attributes,
    nested,
)

CONTROLLER = 16
GET_FAMILY = 3
NEW, ERROR, DONE = 16, 2, 3
MULTI, INTERRUPTED, CAPPED, WORDS = 0x2, 0x10, 0x100, 0x200


def test_families_by_name():
    with GenericNetlink() as channel:
        assert channel.family("nlctrl") == CONTROLLER
        with pytest.raises(RefusalError) as caught:
            channel.family("no-such-family")
        assert caught.value.errno == errno.ENOENT
        # The socket is of use after a refusal.
        assert channel.family("nlctrl") == CONTROLLER


def test_a_dump_of_the_kernel():
    with GenericNetlink() as channel:
        names = [dict(attributes(body))[2] for body in channel.dump(CONTROLLER, GET_FAMILY, b"")]
    assert b"nlctrl\0" in names
    assert len(names) == len(set(names))


def test_a_command_that_is_none():
    with GenericNetlink() as channel, pytest.raises(RefusalError) as caught:
        channel.request(CONTROLLER, 200, b"")
    assert caught.value.errno == errno.EOPNOTSUPP


def test_attributes_are_what_they_were():
    data = attribute(1, b"abc") + nested(2, attribute(3, b"")) + attribute(4, b"12345678")
    assert len(data) % 4 == 0
    found = attributes(data)
    assert found == [(1, b"abc"), (2, attribute(3, b"")), (4, b"12345678")]
    assert attributes(found[1][1]) == [(3, b"")]


@pytest.mark.parametrize("data", [b"", b"\0", b"\3\0\1\0", bytes(4)])
def test_damaged_attributes_end(data):
    assert attributes(data) == []


class Answers:
    """A socket that answers with what a test says, in the sequence that it was asked in."""

    def __init__(self, *packets: list[tuple[int, int, bytes]]) -> None:
        self._packets = list(packets)
        self._sequence = 0

    def send(self, data: bytes) -> None:
        (self._sequence,) = struct.unpack_from("=I", data, 8)

    def recv(self, _size: int) -> bytes:
        return b"".join(
            struct.pack("=IHHII", 16 + len(body), kind, flags & 0xFFFF, self._sequence + (flags >> 16), 0)
            + body
            for kind, flags, body in self._packets.pop(0)
        )

    def close(self) -> None:
        """Nothing is open."""


def asked(*packets: list[tuple[int, int, bytes]]) -> list[bytes]:
    """A dump that is answered so."""
    channel = GenericNetlink()
    channel.close()
    channel._socket = Answers(*packets)
    return channel.dump(CONTROLLER, GET_FAMILY, b"")


def message(body: bytes) -> bytes:
    """A generic netlink message's content."""
    return bytes(4) + body


def test_a_dump_in_several_packets():
    first = [(NEW, MULTI, message(b"1234")), (NEW, MULTI, message(b"5678"))]
    assert asked(first, [(NEW, MULTI, message(b"9abc"))], [(DONE, MULTI, bytes(4))]) == [
        b"1234", b"5678", b"9abc",
    ]  # fmt: skip


def test_what_is_left_of_an_earlier_dump_is_left_out():
    earlier = 0xFFFF << 16
    assert asked(
        [(NEW, MULTI | earlier, message(b"old.")), (DONE, MULTI | earlier, bytes(4))],
        [(NEW, MULTI, message(b"new.")), (DONE, MULTI, bytes(4))],
    ) == [b"new."]


@pytest.mark.parametrize("place", range(3))
def test_an_interrupted_dump_is_none(place):
    flags = [MULTI | (INTERRUPTED if place == number else 0) for number in range(3)]
    with pytest.raises(InterruptedDumpError):
        asked(
            [(NEW, flags[0], message(b"1234")), (NEW, flags[1], message(b"5678")), (DONE, flags[2], bytes(4))]
        )


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_a_dump_that_fails_at_its_end(kind):
    with pytest.raises(RefusalError) as caught:
        asked([(NEW, MULTI, message(b"1234"))], [(kind, MULTI, struct.pack("=i", -errno.ENODEV) + bytes(16))])
    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize("capped", [True, False])
def test_the_words_of_the_kernel(capped):
    echoed = struct.pack("=IHHII", 24, CONTROLLER, 0, 1, 0) + (b"" if capped else b"12345678")
    body = struct.pack("=i", -errno.EINVAL) + echoed + attribute(1, b"no such thing\0")
    with pytest.raises(RefusalError, match="no such thing") as caught:
        asked([(ERROR, WORDS | (CAPPED if capped else 0), body)])
    assert caught.value.errno == errno.EINVAL
