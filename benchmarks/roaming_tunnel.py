"""A tunnel of wireguard-go between a gateway and a client, whose address outside of the tunnel changes."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.tunnel import USERSPACE, Client, Tunnel
from wardgate.gateway.roaming import Endpoint
from wardgate.gateway.wireguard.userspace import UserspaceDevice

PORT = 51_820
GATEWAY, CLIENT = "10.9.0.1", "10.9.0.2"
_SERVICE = 7000


class RoamingTunnel:
    """A context manager. `device` is the name of the gateway's end, the client's has a `c` behind it."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._wireguard = UserspaceDevice(device, adopted=True)
        self._stack = ExitStack()
        try:
            self.gateway = self._stack.enter_context(NetNamespace("gateway"))
            self.client = self._stack.enter_context(NetNamespace("client"))
            for namespace in (self.gateway, self.client):
                with Links(namespace) as links:
                    links.up("lo")
            end = Client(self.client, (CLIENT,), f"{device}c")
            tunnel = self._stack.enter_context(Tunnel(self.gateway, device, [end], kinds=(USERSPACE,)))
            tunnel.up([f"{GATEWAY}/24"], [])
            with self.gateway.enter():
                self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._receiver.bind((GATEWAY, _SERVICE))
            self._receiver.settimeout(10)
            self._stack.callback(self._receiver.close)
            with self.client.enter():
                self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sender.bind((CLIENT, 0))
            self._stack.callback(self._sender.close)
            self.at = "192.0.2.2"
            self._moves = 0
            with Links(self.client) as links:
                links.route("192.0.2.1/32", "cable")
            lines = self._ask(f"{device}c", "get=1\n\n").splitlines()
            (self._gateway_key,) = (line[11:] for line in lines if line.startswith("public_key="))
        except BaseException:
            self._stack.close()
            raise

    def send(self) -> None:
        """Send a datagram through the tunnel, and wait for it."""
        token = str(time.monotonic_ns()).encode()
        self._sender.sendto(token, (GATEWAY, _SERVICE))
        while self._receiver.recv(64) != token:
            pass

    def start_sending(self) -> None:
        """Send a datagram through the tunnel; do not wait."""
        self._sender.sendto(b"", (GATEWAY, _SERVICE))

    def move(self) -> Endpoint:
        """Give the client another address outside; where it is then."""
        from pyroute2 import IPRoute

        self._moves += 1
        base = 4 * (16 + self._moves % 40)
        here, there = f"192.0.2.{base + 1}", f"192.0.2.{base + 2}"
        with self.gateway.enter(), IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname="cable0")
            netlink.addr("replace", index=index, address=here, prefixlen=30)
        with self.client.enter(), IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname="cable")
            netlink.addr("add", index=index, address=there, prefixlen=30)
            netlink.addr("del", index=index, address=self.at, prefixlen=30)
            netlink.route("replace", dst="192.0.2.1/32", oif=index, prefsrc=there)
        self.at = there
        # wireguard-go sends from the address that it had as long as the interface is the same.
        self._ask(f"{self.device}c", f"set=1\npublic_key={self._gateway_key}\nendpoint=192.0.2.1:{PORT}\n\n")
        return ip_address(there), PORT

    def dump(self) -> Mapping[bytes, Endpoint | None]:
        """The gateway's peers and where they are, as the gateway asks for them."""
        return self._wireguard.endpoints()

    def configure(self, lines: str) -> None:
        """Settings for the gateway's device in that protocol."""
        answer = self._ask(self.device, f"set=1\n{lines}\n")
        if answer != "errno=0\n\n":
            raise RuntimeError(f"wireguard-go refused the settings: {answer}")

    @staticmethod
    def _ask(device: str, request: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(Path("/var/run/wireguard", f"{device}.sock")))
            connection.sendall(request.encode())
            answer = b""
            while not answer.endswith(b"\n\n") and (chunk := connection.recv(1 << 16)):
                answer += chunk
        return answer.decode()

    def close(self) -> None:
        """Remove everything."""
        self._stack.close()

    def __enter__(self) -> RoamingTunnel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
