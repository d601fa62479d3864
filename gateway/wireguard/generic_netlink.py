"""Generic netlink over a plain socket: requests, dumps, and attributes (docs/decisions/051-wireguard.md).

Formats: include/uapi/linux/{netlink,genetlink}.h. A socket belongs to the network namespace that the thread
is in when it is opened.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Final, Self

_GENERIC: Final = 16
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_DUMP_INTERRUPTED, _CAPPED, _ACK_TLVS = 0x10, 0x100, 0x200
_ERROR, _DONE = 2, 3
_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_HEADER: Final = struct.Struct("=IHHII")
_GENERIC_HEADER: Final = struct.Struct("=BBxx")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_RECEIVE_BYTES: Final = 1 << 17
_LONGEST_WAIT: Final = 60.0
"""Seconds; the kernel answers at once, and one that doesn't must not hold a thread for ever."""


class RefusalError(OSError):
    """The kernel refused a request: `errno`, and its words where it had any."""


class InterruptedDumpError(Exception):
    """What was dumped changed meanwhile: parts may be missing, or there twice."""


class GenericNetlink:
    """A socket; use it as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _GENERIC)
        try:
            self._socket.settimeout(_LONGEST_WAIT)
            for option in (_CAP_ACK, _EXT_ACK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
        except BaseException:
            self._socket.close()
            raise
        self._sequence = 0

    def family(self, name: str) -> int:
        """Number of a family; RefusalError, ENOENT where the kernel has none of this name."""
        body = attribute(_FAMILY_NAME, name.encode() + b"\0")
        for answer in self._exchange(_CONTROL, _REQUEST | _ACK, _GET_FAMILY, 1, body):
            for kind, value in attributes(answer):
                if kind == _FAMILY_ID:
                    return int.from_bytes(value[:2], "little")
        raise RefusalError(2, os.strerror(2))

    def request(self, family: int, command: int, body: bytes) -> None:
        """Have a command done; RefusalError."""
        for _answer in self._exchange(family, _REQUEST | _ACK, command, 1, body):
            pass

    def dump(self, family: int, command: int, body: bytes) -> list[bytes]:
        """The attributes of each message of a dump; RefusalError, InterruptedDumpError."""
        return list(self._exchange(family, _REQUEST | _DUMP, command, 1, body))

    def _exchange(self, kind: int, flags: int, command: int, version: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        payload = _GENERIC_HEADER.pack(command, version) + body
        length = _HEADER.size + len(payload)
        self._socket.send(_HEADER.pack(length, kind, flags, self._sequence, 0) + payload)
        interrupted = False
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            at = 0
            while at + _HEADER.size <= len(data):
                length, answer, answer_flags, sequence, _ = _HEADER.unpack_from(data, at)
                content = data[at + _HEADER.size : at + length]
                at += (length + 3) & ~3
                if sequence != self._sequence:
                    continue  # of a dump that was not read to its end
                interrupted = interrupted or bool(answer_flags & _DUMP_INTERRUPTED)
                if answer not in (_ERROR, _DONE):
                    yield content[_GENERIC_HEADER.size :]
                    continue
                code = -int.from_bytes(content[:4], "little", signed=True) if content else 0
                if code:
                    raise RefusalError(code, _words(content, answer, answer_flags) or os.strerror(code))
                if interrupted:
                    raise InterruptedDumpError
                return

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute with its padding. `value` has less than 64 KiB."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, value: bytes) -> bytes:
    """An attribute that consists of attributes."""
    return attribute(kind | _NESTED, value)


def attributes(data: bytes) -> list[tuple[int, bytes]]:
    """Kind and value of each attribute."""
    found = []
    at, last = 0, len(data) - _ATTRIBUTE.size
    unpack = _ATTRIBUTE.unpack_from
    while at <= last:
        length, kind = unpack(data, at)
        if length < _ATTRIBUTE.size:
            break
        found.append((kind & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + length]))
        at += (length + 3) & ~3
    return found


def _words(content: bytes, answer: int, flags: int) -> str:
    """The kernel's words in an extended acknowledgement (NLMSGERR_ATTR_MSG)."""
    if answer != _ERROR or not flags & _ACK_TLVS:
        return ""
    start = 4 + _HEADER.size
    if not flags & _CAPPED:
        (echoed,) = struct.unpack_from("=I", content, 4)
        start = 4 + ((echoed + 3) & ~3)
    return dict(attributes(content[start:])).get(1, b"").rstrip(b"\0").decode(errors="replace")
