"""Writes BTF for tests: whole, or on top of another (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

INT, POINTER, ARRAY, STRUCT, UNION, TYPEDEF, FUNC, PROTO = 1, 2, 3, 4, 5, 8, 12, 13


class BtfWriter:
    """Types in the order in which they are added; each call gives the id. `base`: what this goes on from."""

    def __init__(self, base: BtfWriter | None = None) -> None:
        self._base = base
        self._types: list[bytes] = []
        self._strings = b"" if base else b"\0"

    @property
    def _first(self) -> int:
        return self._base._next if self._base else 1

    @property
    def _next(self) -> int:
        return self._first + len(self._types)

    @property
    def _string_bytes(self) -> int:
        return len(self._strings) + (self._base._string_bytes if self._base else 0)

    def _name(self, text: str) -> int:
        if not text:
            return 0
        mark = text.encode() + b"\0"
        if self._base and b"\0" + mark in self._base._strings:
            return self._base._strings.index(b"\0" + mark) + 1
        place = self._string_bytes
        self._strings += mark
        return place

    def _add(self, name: str, kind: int, count: int, value: int, rest: bytes = b"") -> int:
        self._types.append(struct.pack("<III", self._name(name), kind << 24 | count, value) + rest)
        return self._next - 1

    def integer(self, name: str, size: int) -> int:
        return self._add(name, INT, 0, size, struct.pack("<I", size * 8))

    def pointer(self, target: int) -> int:
        return self._add("", POINTER, 0, target)

    def array(self, element: int, count: int) -> int:
        return self._add("", ARRAY, 0, 0, struct.pack("<III", element, 1, count))

    def typedef(self, name: str, target: int) -> int:
        return self._add(name, TYPEDEF, 0, target)

    def struct(
        self, name: str, size: int, members: Sequence[tuple[str, int, int]], *, union: bool = False
    ) -> int:
        """Members are name, type and offset in bytes."""
        rest = b"".join(struct.pack("<III", self._name(m), kind, at * 8) for m, kind, at in members)
        return self._add(name, UNION if union else STRUCT, len(members), size, rest)

    def function(self, name: str) -> int:
        prototype = self._add("", PROTO, 0, 0)
        return self._add(name, FUNC, 1, prototype)

    def data(self) -> bytes:
        types = b"".join(self._types)
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self._strings))
        return head + types + self._strings


def kernel_types() -> BtfWriter:
    """A kernel with packets, in which two fields are behind an unnamed union."""
    writer = BtfWriter()
    byte, short, word = (writer.integer(name, size) for name, size in (("u8", 1), ("u16", 2), ("int", 4)))
    half = writer.typedef("__u16", short)
    inner = writer.struct(
        "", 6, [("transport_header", half, 0), ("network_header", half, 2), ("x", short, 4)]
    )
    either = writer.struct("", 6, [("", inner, 0), ("headers", inner, 0)], union=True)
    writer.struct("sk_buff", 40, [("len", word, 0), ("", either, 16), ("head", writer.pointer(byte), 24)])
    writer.struct("endpoint", 4, [("unlike", word, 0)])
    return writer


def wireguard_types(base: BtfWriter, *, key_bytes: int = 32, function: bool = True) -> BtfWriter:
    """A WireGuard module on it."""
    writer = BtfWriter(base)
    byte = 1
    key = writer.array(byte, key_bytes)
    identity = writer.struct(
        "noise_static_identity", 64, [("static_public", key, 0), ("static_private", key, 32)]
    )
    device = writer.struct(
        "wg_device", 128, [("dev", writer.pointer(0), 0), ("static_identity", identity, 48)]
    )
    handshake = writer.struct("noise_handshake", 96, [("hash", key, 0), ("remote_static", key, 40)])
    address = writer.struct("", 28, [("bytes", writer.array(byte, 28), 0)], union=True)
    endpoint = writer.struct("endpoint", 44, [("", address, 0), ("src", writer.array(byte, 16), 28)])
    writer.struct(
        "wg_peer", 400,
        [("device", writer.pointer(device), 8), ("handshake", handshake, 100), ("endpoint", endpoint, 300)],
    )  # fmt: skip
    if function:
        writer.function("wg_socket_set_peer_endpoint")
    writer.function("wg_socket_set_peer_endpoint_from_skb")
    return writer
