"""TUN devices joined by a thread: the tunnel for machines that have no WireGuard at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import struct
import threading
from collections.abc import Mapping
from ipaddress import ip_address

from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.wireguard import TunnelError

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LARGEST = 65_535


class TunDevice:
    """A TUN device; it goes when its descriptor is closed."""

    def __init__(self, namespace: NetNamespace, name: str) -> None:
        self.name = name
        try:
            with namespace.enter():
                self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                fcntl.ioctl(self.fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        except OSError as error:
            raise TunnelError(f"no TUN device {name}: {error}") from None

    def close(self) -> None:
        """Remove the device."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Pump:
    """Moves packets between a gateway's TUN device and its clients'.

    It keeps the one promise of WireGuard that a gate relies on: a packet from a client has an address
    of that client as its source. What goes to no client is dropped.
    """

    def __init__(self, gateway: TunDevice, clients: Mapping[str, TunDevice]) -> None:
        """`clients` maps each tunnel address to the device that has it."""
        self._gateway = gateway
        self._by_address = {ip_address(address).packed: device.fd for address, device in clients.items()}
        self._stop_reader, self._stop_writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name="tun-pump", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        descriptors = {self._gateway.fd, *self._by_address.values()}
        with selectors.DefaultSelector() as selector:
            for descriptor in {*descriptors, self._stop_reader}:
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._stop_reader:
                        return
                    # A device that is down or full loses the packet, as a wire would.
                    with contextlib.suppress(OSError):
                        self._move(key.fd, os.read(key.fd, _LARGEST))

    def _move(self, arrived_on: int, packet: bytes) -> None:
        source, destination = _addresses(packet)
        if arrived_on == self._gateway.fd:
            target = self._by_address.get(destination)
        else:
            target = self._gateway.fd if self._by_address.get(source) == arrived_on else None
        if target is not None:
            os.write(target, packet)

    def close(self) -> None:
        """Stop the thread."""
        os.write(self._stop_writer, b"x")
        self._thread.join()
        os.close(self._stop_reader)
        os.close(self._stop_writer)


def _addresses(packet: bytes) -> tuple[bytes, bytes]:
    """Source and destination of an IP packet, each empty where it has none."""
    match packet[0] >> 4 if packet else 0:
        case 4:
            return packet[12:16], packet[16:20]
        case 6:
            return packet[8:24], packet[24:40]
    return b"", b""
