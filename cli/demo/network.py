"""The demo's networks: a client for each device, a gateway, and the servers of an office behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.traffic import allow_ping
from wardgate.cli.demo.tunnel import MTU, Client

DEVICE = "wg0"
_LAN = {4: ("198.51.100.1", "198.51.100.2", 24), 6: ("2001:db8::1", "2001:db8::2", 64)}
"""Gateway and servers on the wire between them (RFC 5737 and RFC 3849: no policy is about these)."""
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


def has_ipv6() -> bool:
    """Whether this kernel has IPv6."""
    return Path("/proc/sys/net/ipv6").exists()


class Joint(Protocol):
    """What joins the gateway's device to its clients: a Tunnel, say."""

    def up(self, addresses: Sequence[str], prefixes: Sequence[str]) -> None:
        """Start; the gateway has `addresses` and routes `prefixes` to the clients."""

    def close(self) -> None:
        """Remove the devices."""


class Network:
    """Namespaces `gateway` and `servers`, and `clients` by name, joined by a tunnel and a cable.

    The gateway's tunnel device is down until `up`.
    """

    def __init__(
        self,
        clients: Mapping[str, Sequence[str]],
        servers: Sequence[str],
        join: Callable[[NetNamespace, str, Sequence[Client]], Joint],
        device: str = DEVICE,
    ) -> None:
        """`clients` maps a client's name to its tunnel addresses, `servers` are the servers' addresses.

        `device` is the gateway's tunnel device, and the clients' are named for it; `join` makes them.
        """
        self._made = ExitStack()
        self.versions = (4, 6) if has_ipv6() else (4,)
        try:
            self.gateway = self._namespace("gateway")
            self.servers = self._namespace("servers")
            self.clients = {name: self._namespace(name) for name in clients}
            ends = [
                Client(self.clients[name], tuple(addresses), f"{device}-{number}")
                for number, (name, addresses) in enumerate(clients.items(), 1)
            ]
            self._joint = join(self.gateway, device, ends)
            self._made.callback(self._joint.close)
            self._lay_cable(servers)
        except BaseException:
            self._made.close()
            raise

    def _namespace(self, label: str) -> NetNamespace:
        namespace = self._made.enter_context(NetNamespace(label))
        allow_ping(namespace)
        if has_ipv6():
            # A machine that has switched IPv6 off by default still has it.
            namespace.sysctl("ipv6/conf/all/disable_ipv6", "0")
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "0")
            # Without duplicate detection link-local addresses, and so neighbours, work at once.
            namespace.sysctl("ipv6/conf/default/accept_dad", "0")
        with Links(namespace) as links:
            links.up("lo")
        return namespace

    def _lay_cable(self, servers: Sequence[str]) -> None:
        self.gateway.sysctl("ipv4/ip_forward", "1")
        if 6 in self.versions:
            self.gateway.sysctl("ipv6/conf/all/forwarding", "1")
        with Links(self.gateway) as gateway, Links(self.servers) as office:
            gateway.add_veth("lan", self.servers, "lan")
            for version in self.versions:
                here, there, length = _LAN[version]
                gateway.address("lan", f"{here}/{length}")
                office.address("lan", f"{there}/{length}")
            # As large as the tunnel's, so that no datagram is lost to discovering that.
            gateway.up("lan", MTU)
            office.up("lan", MTU)
            for version in self.versions:
                office.route(_EVERYTHING[version], "lan", via=_LAN[version][0])
            for address in servers:
                version, bits = (6, 128) if ":" in address else (4, 32)
                office.address("lo", f"{address}/{bits}")
                gateway.route(f"{address}/{bits}", "lan", via=_LAN[version][1])

    def up(self, addresses: Sequence[str], prefixes: Sequence[str]) -> None:
        """Bring the tunnel up; the gateway has `addresses` and routes `prefixes` into it."""
        self._joint.up(addresses, prefixes)

    def close(self) -> None:
        """Remove everything."""
        self._made.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
