"""What the detectors' programs share with this process: records and maps."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from wardgate.gateway.roaming.model import Endpoint
from wardgate.runtime.layout.maps import MapFlag, MapLayout, MapType, Scope
from wardgate.runtime.layout.records import Field, Record

KEY_BYTES: Final = 32
"""A WireGuard public key."""

_REMOTE_WORDS: Final = 3
_REMOTE = "16 bytes of address as in address_key, port in network order, u16 1; all 0: none"

PEER_KEY = Record("peer_key", "A peer.", (Field("key", "u8", "its public key", KEY_BYTES),))

WATCHED = Record(
    "watched",
    "A session that is watched.",
    (
        Field("slot", "u32", "the device's in the gate"),
        Field("reserved", "u32", "0"),
        Field("granted", "u64", f"endpoint that the session was granted for: {_REMOTE}", _REMOTE_WORDS),
        Field("expected", "u64", "endpoint that configuration may set besides", _REMOTE_WORDS),
    ),
)

HANDSHAKE = Record(
    "handshake",
    "The last handshake with which a peer's endpoint changed.",
    (
        Field("remote", "u64", "the new endpoint", _REMOTE_WORDS),
        Field("time", "u64", "CLOCK_BOOTTIME, ns"),
    ),
)

ROAMED = Record(
    "roamed",
    "A session that the program ended.",
    (
        Field("key", "u8", "the peer's public key", KEY_BYTES),
        Field("old", "u64", "the endpoint that it was granted for", _REMOTE_WORDS),
        Field("new", "u64", "the one that a packet came from", _REMOTE_WORDS),
        Field("time", "u64", "CLOCK_BOOTTIME, ns"),
    ),
)

LOST = Record("lost", "What did not fit.", (Field("events", "u64", "sessions ended without an event"),))

KERNEL = Record(
    "kernel",
    "Where the running kernel's structs have their fields, in bytes; and what the program is for.",
    (
        Field("peer_device", "u32", "struct wg_peer: its device"),
        Field("peer_endpoint", "u32", "struct wg_peer: its endpoint"),
        Field("peer_key", "u32", "struct wg_peer: its public key"),
        Field("device_key", "u32", "struct wg_device: its own public key"),
        Field("packet_head", "u32", "struct sk_buff: start of its buffer"),
        Field("packet_network", "u32", "struct sk_buff: offset of the IP header from there"),
        Field("packet_transport", "u32", "struct sk_buff: offset of the UDP header from there"),
        Field("by_handshake", "u32", "1: a session ends with a new handshake; 0: with any packet"),
        Field("own_key", "u8", "public key of the gateway's device", KEY_BYTES),
    ),
)

PEERS = MapLayout(
    "peers", MapType.HASH, Scope.GATE, 65_536, PEER_KEY, WATCHED,
    MapFlag.NO_PREALLOC, True, "Sessions that are watched.",
)  # fmt: skip
HANDSHAKES = MapLayout(
    "handshakes", MapType.LRU_HASH, Scope.GATE, 16_384, PEER_KEY, HANDSHAKE,
    0, True, "Handshakes from elsewhere.",
)  # fmt: skip
CHANGES = MapLayout(
    "changes", MapType.RINGBUF, Scope.GATE, 1 << 20, None, None,
    0, True, "Sessions that ended, for userspace to see.",
)  # fmt: skip
LOST_EVENTS = MapLayout(
    "lost_events", MapType.ARRAY, Scope.GATE, 1, None, LOST,
    MapFlag.MMAPABLE, True, "Events that found no place.",
)  # fmt: skip

SOURCE = Record(
    "source",
    "Where datagrams come from.",
    (
        Field("address", "u64", "as in address_key", 2),
        Field("port", "u16", "network order"),
        Field("reserved", "u16", "0"),
        Field("reserved2", "u32", "0"),
    ),
)

SIGHTING_KEY = Record(
    "sighting_key",
    "A source, and the keys that it uses.",
    (
        Field("address", "u64", "as in address_key", 2),
        Field("port", "u16", "network order"),
        Field("kind", "u16", "type of WireGuard message; 0: a fragment that does not show it"),
        Field("index", "u32", "receiver index in the message; 0: it has none"),
    ),
)

SIGHTING = Record("sighting", "When a look was asked for.", (Field("time", "u64", "CLOCK_BOOTTIME, ns"),))

REQUESTS = Record(
    "requests",
    "What programs ask for, and whether they said so. Each number of its own cache line.",
    (
        Field("urgent", "u64", "looks asked for because of an unknown source"),
        Field("urgent_told", "u64", "1: userspace was woken for it, and has not looked yet"),
        Field("gap", "u64", "0", 6),
        Field("lazy", "u64", "looks asked for because of new keys of a known source"),
        Field("lazy_told", "u64", "as urgent_told"),
        Field("gap2", "u64", "0", 6),
    ),
)

UNDERLAY = Record(
    "underlay",
    "What the program is for.",
    (Field("port", "u32", "WireGuard's UDP port, network order"), Field("reserved", "u32", "0")),
)

SOURCES = MapLayout(
    "sources", MapType.HASH, Scope.GATE, 65_536, SOURCE, None,
    MapFlag.NO_PREALLOC, True, "Endpoints of peers at the last look.",
)  # fmt: skip
SIGHTINGS = MapLayout(
    "sightings", MapType.LRU_HASH, Scope.GATE, 65_536, SIGHTING_KEY, SIGHTING,
    0, True, "What was seen, and asked about.",
)  # fmt: skip
ASKED = MapLayout(
    "asked", MapType.ARRAY, Scope.GATE, 1, None, REQUESTS,
    MapFlag.MMAPABLE, True, "Looks that are asked for.",
)  # fmt: skip
WAKE = MapLayout(
    "wake", MapType.RINGBUF, Scope.GATE, 4096, None, None,
    0, True, "Wakes userspace.",
)  # fmt: skip

_NONE: Final = bytes(_REMOTE_WORDS * 8)


def address_bytes(address: IPv4Address | IPv6Address) -> bytes:
    """16 bytes; IPv4 as ::ffff:a.b.c.d."""
    if isinstance(address, IPv4Address):
        return bytes(10) + b"\xff\xff" + address.packed
    return address.packed


def pack_remote(endpoint: Endpoint | None) -> bytes:
    """An endpoint as programs have it. A zone of an IPv6 address is left out."""
    if endpoint is None:
        return _NONE
    address, port = endpoint
    return address_bytes(address) + port.to_bytes(2, "big") + b"\1\0" + bytes(4)


def unpack_remote(data: bytes) -> Endpoint | None:
    """The endpoint that `data` is."""
    if not data[18]:
        return None
    address = IPv6Address(data[:16])
    return address.ipv4_mapped or ip_address(address), int.from_bytes(data[16:18], "big")
