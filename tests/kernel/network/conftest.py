"""Namespaces with a gateway in the middle: `tunnel` towards a device, `eth` towards a server."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace

DEVICE, OUTSIDE = ("10.9.0.2", "fd09::2"), ("10.9.0.1", "fd09::1")
SERVER, ROUTER = ("192.0.2.2", "2001:db8::2"), ("192.0.2.1", "2001:db8::1")
EVERYTHING = ("0.0.0.0/0", "::/0")
BITS = (24, 64)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here makes namespaces."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.root)


def run(*command: str) -> str:
    """Run a command; what it prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read(setting: str) -> str:
    """A setting, like `ipv4/ip_forward`."""
    return Path("/proc/sys/net", setting).read_text().strip()


def write(setting: str, value: str) -> None:
    """Set it."""
    Path("/proc/sys/net", setting).write_text(value)


@dataclass
class Network:
    """A device, the gateway and a server, each in a namespace."""

    device: NetNamespace
    gateway: NetNamespace
    server: NetNamespace

    def source_seen(self, version: int, remote: str | None = None) -> str:
        """Which address the server sees a datagram of the device come from; `remote`: where it sends to."""
        which = version == 6
        target, family = remote or SERVER[which], socket.AF_INET6 if which else socket.AF_INET
        with self.server.enter():
            server = socket.socket(family, socket.SOCK_DGRAM)
        with self.device.enter():
            device = socket.socket(family, socket.SOCK_DGRAM)
        with server, device:
            server.bind((target, 7))
            device.bind((DEVICE[which], 0))
            device.sendto(b"x", (target, 7))
            _, sender = server.recvfrom(10)
            # The answer finds its way back, whatever the source is.
            server.sendto(b"y", sender)
            device.recv(10)
        return str(sender[0])


@pytest.fixture
def network() -> Iterator[Network]:
    with (
        NetNamespace("device") as device,
        NetNamespace("gateway") as gateway,
        NetNamespace("server") as server,
        Links(device) as at_device,
        Links(gateway) as at_gateway,
        Links(server) as at_server,
    ):
        for namespace in (device, gateway, server):
            namespace.sysctl("ipv6/conf/all/disable_ipv6", "0")
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "0")
            namespace.sysctl("ipv6/conf/default/accept_dad", "0")
        at_gateway.add_veth("tunnel", device, "tunnel")
        at_gateway.add_veth("eth", server, "eth")
        ends = (
            (at_device, "tunnel", DEVICE), (at_gateway, "tunnel", OUTSIDE),
            (at_gateway, "eth", ROUTER), (at_server, "eth", SERVER),
        )  # fmt: skip
        for links, name, addresses in ends:
            for address, bits in zip(addresses, BITS, strict=True):
                links.address(name, f"{address}/{bits}")
            links.up(name)
        for which in (0, 1):
            at_device.route(EVERYTHING[which], "tunnel", via=OUTSIDE[which])
            at_server.route(EVERYTHING[which], "eth", via=ROUTER[which])
        yield Network(device, gateway, server)


@pytest.fixture
def alone(network: Network) -> Iterator[Network]:
    """The thread is in the gateway's namespace."""
    with network.gateway.enter():
        yield network


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    """Where settings to put back are remembered."""
    return tmp_path / f"run-{os.getpid()}" / "settings.json"


@pytest.fixture(scope="session")
def system():
    """`run`, `read` and `write`: test files cannot import this module."""

    class System:
        pass

    found = System()
    found.run, found.read, found.write = run, read, write
    return found
