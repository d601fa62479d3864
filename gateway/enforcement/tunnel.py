"""Devices in the kernel: the gate's, which judges their packets, and WireGuard's peers, which bring them.

Calls block. A device is in the gate before it is a peer. What comes out of the tunnel is always judged as its
device's, or dropped as nobody's: WireGuard lets a peer send from its own addresses only, and the gate drops
what comes from an address that no device has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network

from wardgate.gateway.identity import preshared_context
from wardgate.gateway.records import Device
from wardgate.gateway.wireguard import Endpoint, Peer, PresharedKey, PublicKey, WireGuardDevice
from wardgate.runtime.addresses import DeviceError
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.sessions import Session

Unseal = Callable[[str, str], bytes]
"""From a sealed text and its context to what was sealed; see challenges.sealing."""


class Tunnel:
    """The gate and the WireGuard device. Used by one thread at a time."""

    def __init__(self, gate: Gate, wireguard: WireGuardDevice, unseal: Unseal) -> None:
        self.gate = gate
        self.wireguard = wireguard
        self._unseal = unseal
        self._specs: dict[str, DeviceSpec] = {}

    def reconcile(self, devices: Iterable[Device], locked: Callable[[Device], bool]) -> None:
        """Have exactly these devices."""
        devices = list(devices)
        wanted = [self._peer(device) for device in devices]
        keys = {peer.public_key for peer in wanted}
        self.wireguard.remove(key for key in self.wireguard.peers() if key not in keys)
        self._specs = {device.id: _spec(device) for device in devices}
        self.gate.set_devices(list(self._specs.values()))
        states = {address: session for session in self.gate.sessions.list() for address in session.addresses}
        for device in devices:
            spec = _spec(device)
            is_locked = states[spec.addresses[0]].state.value == "locked"
            if locked(device) != is_locked:
                self.set_lock(device, locked=locked(device))
        self.wireguard.reconcile(wanted)

    def put(self, device: Device, *, locked: bool) -> None:
        """Have a device that was not there, or was removed just before."""
        self._specs[device.id] = _spec(device)
        self.gate.set_devices(list(self._specs.values()))
        self.set_lock(device, locked=locked)
        self.wireguard.add([self._peer(device)])

    def remove(self, device: Device) -> None:
        """Have a device no more: its next packet is dropped. One that is not there is fine."""
        self._specs.pop(device.id, None)
        self.gate.set_devices(list(self._specs.values()))
        self.wireguard.remove([PublicKey.parse(device.public_key)])

    def set_lock(self, device: Device, *, locked: bool) -> None:
        """Lock or unlock a device; one that is not there is fine."""
        act = self.gate.sessions.lock if locked else self.gate.sessions.unlock
        self._in_gate(lambda: act(device.addresses[0]))

    def revoke(self, device: Device) -> None:
        """End a device's session; one that is not there is fine."""
        self._in_gate(lambda: self.gate.sessions.revoke(device.addresses[0]))

    def grant(self, device: Device, lifetime: int, idle: int | None) -> Session:
        """Begin or renew a device's session, for seconds. SessionError where it is locked, DeviceError."""
        return self.gate.sessions.grant(device.addresses[0], lifetime, idle)

    def sessions(self) -> Mapping[str, Session]:
        """The sessions of all devices, by each of their addresses."""
        return {str(address): one for one in self.gate.sessions.list() for address in one.addresses}

    def session(self, device: Device) -> Session | None:
        """A device's session; None where the gate does not know the device."""
        try:
            return self.gate.sessions.get(device.addresses[0])
        except DeviceError:
            return None

    def slot(self, device: Device) -> int:
        """The device's slot in the gate; DeviceError."""
        return self.gate.devices.find(device.addresses[0]).slot

    def endpoints(self) -> Mapping[str, Endpoint | None]:
        """Where each peer is, by its public key in base64: one dump."""
        return {str(key): state.endpoint for key, state in self.wireguard.peers().items()}

    def _in_gate(self, act: Callable[[], object]) -> None:
        try:
            act()
        except DeviceError:
            # Removed already; what is not there passes nothing.
            return

    def _peer(self, device: Device) -> Peer:
        preshared = None
        if device.preshared_key is not None:
            preshared = PresharedKey(self._unseal(device.preshared_key, preshared_context(device.id)))
        return Peer(
            PublicKey.parse(device.public_key),
            tuple(ip_network(address) for address in device.addresses),
            preshared,
            device.keepalive,
        )


def _spec(device: Device) -> DeviceSpec:
    return DeviceSpec.of(device.user, *device.addresses)
