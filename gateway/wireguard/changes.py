"""What to tell a device so that it has the peers that are wanted: only what differs, safe in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.keys import KEY_BYTES, PrivateKey, PublicKey
from wardgate.gateway.wireguard.peers import DeviceState, Network, Peer, PeerState, Reconciled

_T = TypeVar("_T")

NO_PRESHARED_KEY: Final = bytes(KEY_BYTES)


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """Settings of a device to change; None: leave as it is. A `fwmark` of 0 takes it away."""

    private_key: PrivateKey | None = None
    listen_port: int | None = None
    fwmark: int | None = None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.private_key, self.listen_port, self.fwmark))


@dataclass(frozen=True, slots=True)
class PeerChange:
    """A peer to change; None: leave as it is.

    `remove`: and nothing else. `update_only`: not if it isn't there. `replace_allowed_ips`: it has
    `allowed_ips` afterwards and no others; else these besides. `preshared_key` is 32 bytes, zeros for
    none; a `keepalive` of 0 is none.
    """

    public_key: PublicKey
    remove: bool = False
    update_only: bool = False
    replace_allowed_ips: bool = False
    allowed_ips: tuple[Network, ...] = ()
    preshared_key: bytes | None = field(default=None, repr=False)
    keepalive: int | None = None
    endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order in which to make them, and what they come to."""

    changes: tuple[PeerChange, ...]
    outcome: Reconciled


def settings(present: DeviceState, wanted: DeviceChange) -> DeviceChange:
    """What of `wanted` the device does not have yet.

    Setting the same port again would open its sockets anew, and a key that is set starts all sessions anew
    in some versions: so neither is.
    """
    return DeviceChange(
        _unless_same(wanted.private_key, present.private_key),
        _unless_same(wanted.listen_port, present.listen_port),
        _unless_same(wanted.fwmark, present.fwmark),
    )


def plan(wanted: Mapping[PublicKey, Peer], present: Mapping[PublicKey, PeerState]) -> Plan:
    """How to get from the peers that a device has to those that are wanted.

    What is removed comes first: it must stop first. An allowed IP may move between peers whatever their
    order: the peer that gets it takes it from the one that had it, and a peer that loses one is told all
    of its allowed IPs, of which no other peer has any.
    """
    removed = [key for key in present if key not in wanted]
    updates = [
        change for key, peer in wanted.items() if key in present and (change := _update(peer, present[key]))
    ]
    added = [key for key in wanted if key not in present]
    changes = (
        *(removal(key) for key in removed),
        *updates,
        *(addition(wanted[key]) for key in added),
    )
    return Plan(
        changes, Reconciled(tuple(added), tuple(change.public_key for change in updates), tuple(removed))
    )


def removal(key: PublicKey) -> PeerChange:
    """Remove a peer, and do nothing where it isn't there."""
    return PeerChange(key, remove=True, update_only=True)


def addition(peer: Peer) -> PeerChange:
    """Make a peer what is wanted, whether the device has it or not."""
    return PeerChange(
        peer.public_key,
        replace_allowed_ips=True,
        allowed_ips=peer.allowed_ips,
        preshared_key=_preshared(peer),
        keepalive=peer.keepalive or 0,
        endpoint=peer.endpoint,
    )


def _update(peer: Peer, present: PeerState) -> PeerChange | None:
    wanted, has = set(peer.allowed_ips), set(present.allowed_ips)
    # Only where some have to go: replacing leaves the peer without any for a moment.
    replace = bool(has - wanted)
    change = PeerChange(
        peer.public_key,
        update_only=True,
        replace_allowed_ips=replace,
        allowed_ips=peer.allowed_ips if replace else tuple(one for one in peer.allowed_ips if one not in has),
        preshared_key=None if peer.preshared_key == present.preshared_key else _preshared(peer),
        keepalive=None if peer.keepalive == present.keepalive else peer.keepalive or 0,
    )
    return None if change == PeerChange(peer.public_key, update_only=True) else change


def _preshared(peer: Peer) -> bytes:
    return peer.preshared_key.secret if peer.preshared_key else NO_PRESHARED_KEY


def _unless_same(wanted: _T | None, present: _T | None) -> _T | None:
    return None if wanted == present else wanted
