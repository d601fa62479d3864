"""Random peers of WireGuard devices, and a device that is only a dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import strategies as st
from wardgate.gateway.wireguard.changes import NO_PRESHARED_KEY, DeviceChange, PeerChange
from wardgate.gateway.wireguard.device import BaseDevice, Kind
from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.keys import PresharedKey, PublicKey
from wardgate.gateway.wireguard.peers import DeviceState, Dump, Network, Peer, PeerState, in_order

NETWORKS = tuple(
    ip_network(text)
    for text in (
        "10.9.0.1/32", "10.9.0.2/32", "10.9.0.3/32", "10.9.0.0/24", "0.0.0.0/0",
        "fd09::1/128", "fd09::2/128", "fd09::/64", "::/0",
    )
)  # fmt: skip
"""Few, so that peers want each other's."""
ENDPOINTS = st.builds(Endpoint, st.ip_addresses(), st.integers(1, 65535))
KEEPALIVES = st.none() | st.integers(1, 65535)


def key(number: int) -> PublicKey:
    """The public key of a number."""
    return PublicKey(number.to_bytes(32, "big"))


def preshared(number: int) -> PresharedKey:
    """The preshared key of a number."""
    return PresharedKey(number.to_bytes(32, "little"))


@st.composite
def peer_sets(draw: st.DrawFn) -> list[Peer]:
    """Peers that a device can have together, in any order, out of few keys and networks."""
    numbers = draw(st.lists(st.integers(1, 6), unique=True))
    owners = draw(st.lists(st.sampled_from([0, *numbers]), min_size=len(NETWORKS), max_size=len(NETWORKS)))
    return [
        Peer(
            key(number),
            tuple(network for network, owner in zip(NETWORKS, owners, strict=True) if owner == number),
            draw(st.none() | st.integers(1, 3).map(preshared)),
            draw(KEEPALIVES),
            draw(st.none() | ENDPOINTS),
        )
        for number in numbers
    ]


class RememberedDevice(BaseDevice):
    """Does with each change what WireGuard does, and counts what it was told."""

    kind = Kind.KERNEL

    def __init__(self) -> None:
        super().__init__("remembered", adopted=False)
        self.device = DeviceState()
        self.held: dict[PublicKey, PeerState] = {}
        self.told: list[PeerChange] = []
        self.removed = False

    def _dump(self) -> Dump:
        return Dump(self.device, dict(self.held))

    def _apply(self, device: DeviceChange, peers: Iterable[PeerChange]) -> None:
        if device.private_key is not None:
            self.device = replace(
                self.device, private_key=device.private_key, public_key=device.private_key.public_key()
            )
        if device.listen_port is not None:
            self.device = replace(self.device, listen_port=device.listen_port)
        if device.fwmark is not None:
            self.device = replace(self.device, fwmark=device.fwmark)
        for change in peers:
            self.told.append(change)
            self._change(change)

    def _change(self, change: PeerChange) -> None:
        if change.remove:
            self.held.pop(change.public_key, None)
            return
        if change.public_key not in self.held and change.update_only:
            return
        peer = self.held.get(change.public_key, PeerState(change.public_key))
        allowed: set[Network] = set() if change.replace_allowed_ips else set(peer.allowed_ips)
        for other in list(self.held.values()):
            if taken := set(other.allowed_ips) & set(change.allowed_ips):
                kept = in_order(set(other.allowed_ips) - taken)
                self.held[other.public_key] = replace(other, allowed_ips=kept)
        peer = replace(peer, allowed_ips=in_order(allowed | set(change.allowed_ips)))
        if change.preshared_key is not None:
            none = change.preshared_key == NO_PRESHARED_KEY
            peer = replace(peer, preshared_key=None if none else PresharedKey(change.preshared_key))
        if change.keepalive is not None:
            peer = replace(peer, keepalive=change.keepalive or None)
        if change.endpoint is not None:
            peer = replace(peer, endpoint=change.endpoint)
        self.held[change.public_key] = peer

    def _remove(self) -> None:
        self.removed = True
