"""Devices in the kernel: the gate's, which judges their packets, and WireGuard's peers, which bring them.

Calls block. A device is in the gate before it is a peer. What comes out of the tunnel is always judged as its
device's, or dropped as nobody's: WireGuard lets a peer send from its own addresses only, and the gate drops
what comes from an address that no device has.
"""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network

from wardgate.gateway.errors import RefusedError
from wardgate.gateway.identity import preshared_context
from wardgate.gateway.records import Device
from wardgate.gateway.wireguard import Endpoint, Peer, PresharedKey, PublicKey, WireGuardDevice
from wardgate.runtime.addresses import DeviceError
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.sessions import Session, SessionState

Unseal = Callable[[str, str], bytes]
"""From a sealed text and its context to what was sealed; see challenges.sealing."""


class Tunnel:
    """The gate and the WireGuard device. Used by one thread at a time."""

    def __init__(self, gate: Gate, wireguard: WireGuardDevice, unseal: Unseal) -> None:
        self.gate = gate
        self.wireguard = wireguard
        self._unseal = unseal
        self._devices: dict[str, Device] = {}

    def reconcile(self, devices: Iterable[Device], locked: Callable[[Device], bool]) -> None:
        """Have exactly these devices. One that WireGuard does not know has no session: the one that is there
        was another's, who had its address or another key."""
        devices = list(devices)
        wanted = [self._peer(device) for device in devices]
        known = {PublicKey(key) for key in self.wireguard.endpoints()}
        self.wireguard.remove(known - {peer.public_key for peer in wanted})
        self._devices = {device.id: device for device in devices}
        self.gate.set_devices([_spec(device) for device in devices])
        states = {address: session for session in self.gate.sessions.list() for address in session.addresses}
        for device in devices:
            state = states[_spec(device).addresses[0]].state
            if locked(device) != (state is SessionState.LOCKED):
                self.set_lock(device, locked=locked(device))
            if PublicKey.parse(device.public_key) not in known and state is not SessionState.NONE:
                self.revoke(device)
        self.wireguard.reconcile(wanted)

    def put(self, device: Device, *, locked: bool) -> None:
        """Have a device that was not there, or was removed just before."""
        self._devices[device.id] = device
        self.gate.put_device(_spec(device))
        self.revoke(device)
        self.set_lock(device, locked=locked)
        self.wireguard.add([self._peer(device)])

    def remove(self, device: Device) -> None:
        """Have a device no more: its next packet is dropped. One that is not there is fine."""
        if self._has(device):
            del self._devices[device.id]
            with contextlib.suppress(DeviceError):
                self.gate.remove_device(device.addresses[0])
        self.wireguard.remove([PublicKey.parse(device.public_key)])

    def set_lock(self, device: Device, *, locked: bool) -> None:
        """Lock or unlock a device; one that is not there is fine."""
        act = self.gate.sessions.lock if locked else self.gate.sessions.unlock
        if self._has(device):
            act(device.addresses[0], whole=False)

    def revoke(self, device: Device) -> None:
        """End a device's session; one that is not there is fine."""
        if self._has(device):
            self.gate.sessions.revoke(device.addresses[0], whole=False)

    def grant(self, device: Device, lifetime: int, idle: int | None) -> Session:
        """Begin or renew a device's session, for seconds. SessionError where it is locked; RefusedError
        where it is not there, or has another key by now."""
        if not self._has(device):
            raise RefusedError("log in", device.user, "the device is gone", "enrol it again")
        return self.gate.sessions.grant(device.addresses[0], lifetime, idle, whole=False)

    def sessions(self) -> Mapping[str, Session]:
        """The sessions of all devices, by each of their addresses."""
        return {str(address): one for one in self.gate.sessions.list() for address in one.addresses}

    def session(self, device: Device) -> Session | None:
        """A device's session, with its first address alone; None where the gate does not know the device."""
        return self.gate.sessions.get(device.addresses[0], whole=False) if self._has(device) else None

    def slot(self, device: Device) -> int:
        """The device's slot in the gate; DeviceError."""
        return self.gate.devices.slot_of(device.addresses[0])

    def endpoints(self) -> Mapping[str, Endpoint | None]:
        """Where each peer is, by its public key in base64: one dump."""
        return {b64encode(key).decode(): where for key, where in self.wireguard.endpoints().items()}

    def _has(self, device: Device) -> bool:
        """Whether what is at the device's address is that device. Whoever asks may have known it before it
        was removed; another may have its address since, or its name and another key."""
        known = self._devices.get(device.id)
        return known is not None and (known.addresses, known.public_key) == (
            device.addresses,
            device.public_key,
        )

    def _peer(self, device: Device) -> Peer:
        """Without a keepalive, which is the client's: a gateway that sends one to peers that it cannot find
        would be at nothing but handshakes."""
        preshared = None
        if device.preshared_key is not None:
            preshared = PresharedKey(self._unseal(device.preshared_key, preshared_context(device.id)))
        return Peer(
            PublicKey.parse(device.public_key),
            tuple(ip_network(address) for address in device.addresses),
            preshared,
        )


def _spec(device: Device) -> DeviceSpec:
    return DeviceSpec.of(device.user, *device.addresses)
