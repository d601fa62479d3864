"""A tunnel between a gateway and its clients, of the best kind that the machine has.

Kernel WireGuard, else wireguard-go, else TUN devices joined by a thread. `Tunnel` makes the devices
but leaves them down and without peers, so that a gate can be attached before a packet can pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.tun import Pump, TunDevice
from wardgate.cli.demo.wireguard import (
    Device,
    KernelDevice,
    RemotePeer,
    TunnelError,
    UserspaceDevice,
)
from wardgate.cli.demo.x25519 import KeyPair, generate

KERNEL, USERSPACE, TUN = KernelDevice.title, UserspaceDevice.title, "TUN devices"
KINDS = (KERNEL, USERSPACE, TUN)
MTU = 1420
_PORT = 51_820


@dataclass(frozen=True, slots=True)
class Client:
    """A peer's machine: its namespace, its tunnel addresses, the name of its tunnel device.

    Names are at most 15 bytes, and differ between clients: wireguard-go's sockets are named for them.
    """

    namespace: NetNamespace
    addresses: tuple[str, ...]
    device: str


class Tunnel:
    """A gateway's tunnel device and those of its clients."""

    def __init__(
        self,
        gateway: NetNamespace,
        device: str,
        clients: Sequence[Client],
        kinds: Sequence[str] = KINDS,
    ) -> None:
        """Make the devices, of the first kind that works; TunnelError says why none does."""
        self.device = device
        self._gateway = gateway
        self._clients = tuple(clients)
        self._made = ExitStack()
        self.refused: list[str] = []
        """Why each better kind was not taken."""
        for kind in kinds:
            try:
                self._make(kind)
            except TunnelError as error:
                self._made.close()
                self.refused.append(str(error))
            except BaseException:
                self._made.close()
                raise
            else:
                self.kind = kind
                return
        raise TunnelError("no tunnel: " + "; ".join(self.refused))

    def _make(self, kind: str) -> None:
        ends = [(self._gateway, self.device)] + [(c.namespace, c.device) for c in self._clients]
        if kind == TUN:
            tuns = [self._keep_tun(TunDevice(*end)) for end in ends]
            self._tuns = tuns
        else:
            make = KernelDevice if kind == KERNEL else UserspaceDevice
            self._devices: list[Device] = [self._keep(make(*end)) for end in ends]

    def _keep_tun(self, device: TunDevice) -> TunDevice:
        self._made.callback(device.close)
        return device

    def _keep(self, device: Device) -> Device:
        self._made.callback(device.close)
        return device

    def up(self, addresses: Sequence[str], prefixes: Sequence[str]) -> None:
        """Give the gateway its addresses (`ADDRESS/LENGTH`), route `prefixes` to the clients, and start.

        Each client routes everything into the tunnel.
        """
        if self.kind == TUN:
            by_address = {
                address: device
                for client, device in zip(self._clients, self._tuns[1:], strict=True)
                for address in client.addresses
            }
            self._made.callback(Pump(self._tuns[0], by_address).close)
        else:
            self._exchange_keys()
        with Links(self._gateway) as links:
            for address in addresses:
                links.address(self.device, address)
            links.up(self.device, MTU)
            for prefix in prefixes:
                links.route(prefix, self.device)
        for client in self._clients:
            with Links(client.namespace) as links:
                for address in client.addresses:
                    links.address(client.device, f"{address}/{_bits(address)}")
                links.up(client.device, MTU)
                for bits in {_bits(address) for address in client.addresses}:
                    links.route("0.0.0.0/0" if bits == 32 else "::/0", client.device)

    def _exchange_keys(self) -> None:
        """Lay a cable to each client, and tell both ends of it about each other."""
        keys = generate()
        known = []
        for number, client in enumerate(self._clients):
            known.append(self._introduce(number, client, keys))
        self._devices[0].configure(keys, _PORT, known)

    def _introduce(self, number: int, client: Client, gateway_keys: KeyPair) -> RemotePeer:
        # 192.0.2.0/24 is for documentation (RFC 5737), so no policy is about the cables.
        outer, inner = f"192.0.2.{4 * number + 1}", f"192.0.2.{4 * number + 2}"
        with Links(self._gateway) as here, Links(client.namespace) as there:
            here.add_veth(f"cable{number}", client.namespace, "cable")
            here.address(f"cable{number}", f"{outer}/30")
            here.up(f"cable{number}")
            there.address("cable", f"{inner}/30")
            there.up("cable")
        keys = generate()
        gateway = RemotePeer(
            gateway_keys.public, gateway_keys.public_text, ("0.0.0.0/0", "::/0"), (outer, _PORT)
        )
        self._devices[number + 1].configure(keys, _PORT, [gateway])
        allowed = tuple(f"{address}/{_bits(address)}" for address in client.addresses)
        return RemotePeer(keys.public, keys.public_text, allowed, None)

    def close(self) -> None:
        """Remove the devices and stop what carried their packets."""
        self._made.close()

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bits(address: str) -> int:
    return 128 if ":" in address else 32
