"""WireGuard devices behind one interface: the kernel's, and wireguard-go's (docs/decisions/051-wireguard.md).

`open_device` finds a device again or makes one; `WireGuardDevice` says what it does. A new device is down and
has no peers, so that a gate can be attached before a packet can pass.
"""

from wardgate.gateway.wireguard.changes import DeviceChange
from wardgate.gateway.wireguard.device import Kind, WireGuardDevice
from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.errors import (
    DeviceGoneError,
    DeviceRefusedError,
    DeviceUnavailableError,
    EndpointFormatError,
    KeyFormatError,
    PeerConflictError,
    WireGuardError,
)
from wardgate.gateway.wireguard.keys import PresharedKey, PrivateKey, PublicKey
from wardgate.gateway.wireguard.opening import find_device, open_device
from wardgate.gateway.wireguard.peers import DeviceState, Network, Peer, PeerState, Reconciled

__all__ = [
    "DeviceChange",
    "DeviceGoneError",
    "DeviceRefusedError",
    "DeviceState",
    "DeviceUnavailableError",
    "Endpoint",
    "EndpointFormatError",
    "KeyFormatError",
    "Kind",
    "Network",
    "Peer",
    "PeerConflictError",
    "PeerState",
    "PresharedKey",
    "PrivateKey",
    "PublicKey",
    "Reconciled",
    "WireGuardDevice",
    "WireGuardError",
    "find_device",
    "open_device",
]
