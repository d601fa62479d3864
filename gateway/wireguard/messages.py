"""The messages of the kernel's WireGuard, without any I/O: attributes of include/uapi/linux/wireguard.h."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from wardgate.gateway.wireguard.changes import NO_PRESHARED_KEY, DeviceChange, PeerChange
from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.generic_netlink import attribute, attributes, nested
from wardgate.gateway.wireguard.keys import PresharedKey, PrivateKey, PublicKey
from wardgate.gateway.wireguard.peers import DeviceState, Dump, Network, PeerState, in_order

FAMILY: Final = "wireguard"
GET_DEVICE, SET_DEVICE = 0, 1

_IFNAME, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _FWMARK, _PEERS = 2, 3, 4, 6, 7, 8
_PEER_KEY, _PEER_PRESHARED, _PEER_FLAGS, _PEER_ENDPOINT, _PEER_KEEPALIVE = 1, 2, 3, 4, 5
_PEER_HANDSHAKE, _PEER_RECEIVED, _PEER_SENT, _PEER_ALLOWED = 6, 7, 8, 9
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_LENGTH = 1, 2, 3
_REMOVE, _REPLACE_ALLOWED, _UPDATE_ONLY = 1, 2, 4
_NS_PER_SECOND: Final = 1_000_000_000
_TIMESPEC: Final = struct.Struct("=qq")
_NEVER: Final = bytes(_TIMESPEC.size)

MOST_BYTES: Final = 32_768
"""Of peers in one request: an attribute's length has 16 bits, and all peers are in one."""
_KNOWN: Final = 1 << 16
"""Values that are kept: most of a dump is what the one before had, and making addresses is slow."""
_MOST_ALLOWED: Final = 500
"""Allowed IPs in one part of a peer; 44 bytes each at most."""


def get_request(name: str) -> bytes:
    """The body of a request for a dump."""
    return attribute(_IFNAME, name.encode() + b"\0")


def set_requests(name: str, device: DeviceChange, peers: Iterable[PeerChange]) -> Iterator[bytes]:
    """The bodies of the requests that change settings and peers, in this order: as few as sizes allow."""
    head = get_request(name)
    body = head
    if device.private_key is not None:
        body += attribute(_PRIVATE_KEY, device.private_key.secret)
    if device.listen_port is not None:
        body += attribute(_LISTEN_PORT, struct.pack("=H", device.listen_port))
    if device.fwmark is not None:
        body += attribute(_FWMARK, struct.pack("=I", device.fwmark))
    parts: list[bytes] = []
    size = 0
    for peer in peers:
        for part in _peer_parts(peer):
            if parts and size + len(part) > MOST_BYTES:
                yield body + nested(_PEERS, b"".join(parts))
                body, parts, size = head, [], 0
            parts.append(part)
            size += len(part)
    if parts:
        yield body + nested(_PEERS, b"".join(parts))
    elif body != head:
        yield body


def _peer_parts(peer: PeerChange) -> Iterator[bytes]:
    """A peer as one attribute, or as several where it has very many allowed IPs: each adds to the last."""
    flags = (
        _REMOVE * peer.remove + _REPLACE_ALLOWED * peer.replace_allowed_ips + _UPDATE_ONLY * peer.update_only
    )
    key = attribute(_PEER_KEY, peer.public_key.data)
    body = key + attribute(_PEER_FLAGS, struct.pack("=I", flags))
    if peer.preshared_key is not None:
        body += attribute(_PEER_PRESHARED, peer.preshared_key)
    if peer.endpoint is not None:
        body += attribute(_PEER_ENDPOINT, _encode_endpoint(peer.endpoint))
    if peer.keepalive is not None:
        body += attribute(_PEER_KEEPALIVE, struct.pack("=H", peer.keepalive))
    more = key + attribute(_PEER_FLAGS, struct.pack("=I", _UPDATE_ONLY))
    for start in range(0, max(len(peer.allowed_ips), 1), _MOST_ALLOWED):
        allowed = peer.allowed_ips[start : start + _MOST_ALLOWED]
        inner = b"".join(map(_encode_allowed, allowed))
        yield nested(0, (more if start else body) + (nested(_PEER_ALLOWED, inner) if inner else b""))


def _encode_allowed(network: Network) -> bytes:
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    return nested(
        0,
        attribute(_ALLOWED_FAMILY, struct.pack("=H", family))
        + attribute(_ALLOWED_ADDRESS, network.network_address.packed)
        + attribute(_ALLOWED_LENGTH, bytes([network.prefixlen])),
    )


def _encode_endpoint(endpoint: Endpoint) -> bytes:
    """A struct sockaddr_in or sockaddr_in6: the port is in network order, the scope in the machine's."""
    address, port = endpoint.address, struct.pack(">H", endpoint.port)
    if address.version == 4:
        return struct.pack("=H", socket.AF_INET) + port + address.packed + bytes(8)
    scope = address.scope_id
    index = 0 if not scope else int(scope) if scope.isdecimal() else socket.if_nametoindex(scope)
    return struct.pack("=H", socket.AF_INET6) + port + bytes(4) + address.packed + struct.pack("=I", index)


@lru_cache(_KNOWN)
def decode_endpoint(data: bytes) -> Endpoint | None:
    """The endpoint of a struct sockaddr_in or sockaddr_in6; None where it has no port."""
    (family,) = struct.unpack_from("=H", data)
    (port,) = struct.unpack_from(">H", data, 2)
    if not port:
        return None
    if family == socket.AF_INET:
        return Endpoint(IPv4Address(data[4:8]), port)
    address = IPv6Address(data[8:24])
    (scope,) = struct.unpack_from("=I", data, 24)
    return Endpoint(IPv6Address(f"{address}%{scope}") if scope else address, port)


def read_dump(bodies: Iterable[bytes]) -> Dump:
    """The settings and peers of a dump's messages.

    A peer that does not fit into a message goes on in the next one, with its key and further allowed IPs.
    """
    device = DeviceState()
    parts: dict[bytes, dict[int, bytes]] = {}
    allowed: dict[bytes, list[Network]] = {}
    for body in bodies:
        for kind, value in attributes(body):
            if kind == _PRIVATE_KEY and any(value):
                device = replace(device, private_key=PrivateKey(value))
            elif kind == _PUBLIC_KEY and any(value):
                device = replace(device, public_key=PublicKey(value))
            elif kind == _LISTEN_PORT:
                device = replace(device, listen_port=_number(value))
            elif kind == _FWMARK:
                device = replace(device, fwmark=_number(value))
            elif kind == _PEERS:
                for _, inner in attributes(value):
                    part = dict(attributes(inner))
                    key = part[_PEER_KEY]
                    parts.setdefault(key, part)
                    networks = allowed.setdefault(key, [])
                    for _, one in attributes(part.get(_PEER_ALLOWED, b"")):
                        found = dict(attributes(one))
                        networks.append(_network(found[_ALLOWED_ADDRESS], found[_ALLOWED_LENGTH][0]))
    peers = (_peer(part, allowed[key]) for key, part in parts.items())
    return Dump(device, {peer.public_key: peer for peer in peers})


def read_places(bodies: Iterable[bytes]) -> dict[bytes, bytes]:
    """Only where each peer is, of a dump's messages: the attribute of its endpoint, empty where it has none,
    by its public key; see `decode_endpoint`."""
    found: dict[bytes, bytes] = {}
    for body in bodies:
        for kind, value in attributes(body):
            if kind == _PEERS:
                for _, inner in attributes(value):
                    part = dict(attributes(inner))
                    # Where a peer goes on in the next message, that does not say where it is.
                    found.setdefault(part[_PEER_KEY], part.get(_PEER_ENDPOINT, b""))
    return found


def _peer(part: Mapping[int, bytes], allowed: Iterable[Network]) -> PeerState:
    preshared = part.get(_PEER_PRESHARED, NO_PRESHARED_KEY)
    endpoint = part.get(_PEER_ENDPOINT)
    seconds, nanoseconds = _TIMESPEC.unpack(part.get(_PEER_HANDSHAKE, _NEVER))
    return PeerState(
        PublicKey(part[_PEER_KEY]),
        in_order(allowed),
        PresharedKey(preshared) if preshared != NO_PRESHARED_KEY else None,
        _number(part.get(_PEER_KEEPALIVE, b"")) or None,
        decode_endpoint(endpoint) if endpoint else None,
        seconds * _NS_PER_SECOND + nanoseconds,
        _number(part.get(_PEER_RECEIVED, b"")),
        _number(part.get(_PEER_SENT, b"")),
    )


@lru_cache(_KNOWN)
def _network(address: bytes, length: int) -> Network:
    return IPv4Network((address, length)) if len(address) == 4 else IPv6Network((address, length))


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little")
