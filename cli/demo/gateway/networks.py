"""The networks around a gateway: machines -- internet (a bridge) -- gateway -- servers."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final, Self

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.network import has_ipv6
from wardgate.cli.demo.traffic import allow_ping

OUTSIDE: Final = "192.0.2.1"
"""The gateway on the internet (RFC 5737)."""
UPLINK, INSIDE_LINK = "eth0", "lan0"
"""The gateway's interfaces to the internet and to the servers."""
_WIRES: Final = {4: ("198.51.100.1", "198.51.100.2", 24), 6: ("2001:db8::1", "2001:db8::2", 64)}
"""The addresses of the gateway and of the servers' machine on what joins them."""
_EVERYTHING: Final = {4: "0.0.0.0/0", 6: "::/0"}


class Networks:
    """Made with `servers`, the addresses behind the gateway; those of IPv6 only where the kernel has it.
    Close it, or use it as a context manager."""

    def __init__(self, servers: Iterable[str]) -> None:
        self.versions = (4, 6) if has_ipv6() else (4,)
        self.addresses = tuple(one for one in servers if _version(one) in self.versions)
        self._made = ExitStack()
        try:
            self.gateway, self.internet, self.servers = map(
                self._namespace, ("gateway", "internet", "servers")
            )
            self._lay_cables()
        except BaseException:
            self._made.close()
            raise

    def _namespace(self, label: str) -> NetNamespace:
        namespace = self._made.enter_context(NetNamespace(label))
        allow_ping(namespace)
        if 6 in self.versions:
            namespace.sysctl("ipv6/conf/all/disable_ipv6", "0")
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "0")
            namespace.sysctl("ipv6/conf/default/accept_dad", "0")
            # A drop that is seen is of a packet that was sent on purpose, and not of one like these.
            namespace.sysctl("ipv6/conf/default/router_solicitations", "0")
        with Links(namespace) as links:
            links.up("lo")
        return namespace

    def _lay_cables(self) -> None:
        with Links(self.internet) as internet, Links(self.gateway) as gateway, Links(self.servers) as servers:
            internet.add("br0", "bridge")
            internet.up("br0")
            internet.add_veth("gateway", self.gateway, UPLINK)
            internet.enslave("gateway", "br0")
            internet.up("gateway")
            gateway.address(UPLINK, f"{OUTSIDE}/24")
            gateway.up(UPLINK)
            gateway.add_veth(INSIDE_LINK, self.servers, "lan0")
            for version in self.versions:
                here, there, length = _WIRES[version]
                gateway.address(INSIDE_LINK, f"{here}/{length}")
                servers.address("lan0", f"{there}/{length}")
            gateway.up(INSIDE_LINK)
            servers.up("lan0")
            for address in self.addresses:
                version = _version(address)
                prefix = f"{address}/{32 if version == 4 else 128}"
                servers.address("lo", prefix)
                gateway.route(prefix, INSIDE_LINK, via=_WIRES[version][1])
            for version in self.versions:
                servers.route(_EVERYTHING[version], "lan0", via=_WIRES[version][0])

    def machine(self, name: str, at: str) -> NetNamespace:
        """A machine on the internet whose `eth0` has the address `at`. Names differ, and have at most 15
        bytes."""
        namespace = self._namespace(name)
        with Links(self.internet) as internet, Links(namespace) as links:
            internet.add_veth(name, namespace, "eth0")
            internet.enslave(name, "br0")
            internet.up(name)
            links.address("eth0", f"{at}/24")
            links.up("eth0")
        return namespace

    def close(self) -> None:
        """Remove the networks, and end what runs in them."""
        self._made.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _version(address: str) -> int:
    return 6 if ":" in address else 4
