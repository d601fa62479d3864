"""Peers of a WireGuard device: as they are wanted, and as the device has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.errors import PeerConflictError
from wardgate.gateway.wireguard.keys import PresharedKey, PrivateKey, PublicKey

Network = IPv4Network | IPv6Network
MOST_KEEPALIVE: Final = 65535


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that a device is to have. `allowed_ips` are what it may send from; kept sorted, each once.

    `keepalive`: seconds between packets that keep a NAT's mapping alive, None: none are sent. `endpoint`:
    where to send before the peer has sent anything; used when the peer is added, and never later, since the
    peer may have moved. ValueError.
    """

    public_key: PublicKey
    allowed_ips: tuple[Network, ...]
    preshared_key: PresharedKey | None = None
    keepalive: int | None = None
    endpoint: Endpoint | None = None

    def __post_init__(self) -> None:
        if self.keepalive is not None and not 1 <= self.keepalive <= MOST_KEEPALIVE:
            raise ValueError(f"a keepalive of {self.keepalive} s is not between 1 and {MOST_KEEPALIVE} s")
        object.__setattr__(self, "allowed_ips", in_order(self.allowed_ips))


@dataclass(frozen=True, slots=True)
class PeerState:
    """A peer as the device has it.

    `last_handshake` is nanoseconds since 1970 (UTC), 0: never. `received` and `sent` count bytes of the
    packets around the tunnelled ones. `endpoint` is where its last good packet came from.
    """

    public_key: PublicKey
    allowed_ips: tuple[Network, ...] = ()
    preshared_key: PresharedKey | None = None
    keepalive: int | None = None
    endpoint: Endpoint | None = None
    last_handshake: int = 0
    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A device's settings as it has them. Without a private key it speaks to nobody.

    `listen_port` is 0, or a port of the kernel's choice, where none was set; `fwmark` 0: none.
    """

    private_key: PrivateKey | None = None
    public_key: PublicKey | None = None
    listen_port: int = 0
    fwmark: int = 0


@dataclass(frozen=True, slots=True)
class Dump:
    """All that a device says of itself in one answer."""

    device: DeviceState
    peers: Mapping[PublicKey, PeerState]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Which peers a reconciliation added, changed and removed."""

    added: tuple[PublicKey, ...] = ()
    changed: tuple[PublicKey, ...] = ()
    removed: tuple[PublicKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def in_order(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The networks sorted (IPv4 first, by address, then by length), each once."""
    found = list(dict.fromkeys(networks))
    return tuple(sorted(found, key=_place)) if len(found) > 1 else tuple(found)


def check_together(peers: Iterable[Peer], own: PublicKey | None = None) -> dict[PublicKey, Peer]:
    """The peers by their keys; PeerConflictError where a device cannot have them together.

    A device gives an address to the peer that got it last, silently: here that is an error. `own` is the
    key of the device itself, which it would leave out as silently.
    """
    found: dict[PublicKey, Peer] = {}
    owners: dict[Network, PublicKey] = {}
    for peer in peers:
        if peer.public_key == own:
            _refuse(peer.public_key, "it is the key of the device itself", "give the peer a key of its own")
        if peer.public_key in found:
            _refuse(peer.public_key, "it is there twice", "give each peer a key of its own")
        found[peer.public_key] = peer
        for network in peer.allowed_ips:
            other = owners.setdefault(network, peer.public_key)
            if other != peer.public_key:
                _refuse(
                    peer.public_key,
                    f"{network} is an allowed IP of {other} too",
                    "give each peer addresses of its own",
                )
    return found


def _refuse(key: PublicKey, cause: str, remedy: str) -> None:
    raise PeerConflictError("set peer", str(key), cause, remedy)


def _place(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
