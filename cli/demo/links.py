"""Interfaces, addresses and routes of a namespace, over netlink: no `ip` command is needed."""

from __future__ import annotations

from typing import Any

from wardgate.cli.demo.namespace import NetNamespace

_NO_DAD = 0x02
"""IFA_F_NODAD: an IPv6 address that can be used at once, without duplicate detection."""


class Links:
    """Netlink in `namespace`. NetlinkError (of pyroute2) says what the kernel refused."""

    def __init__(self, namespace: NetNamespace) -> None:
        from pyroute2 import IPRoute

        self.namespace = namespace
        with namespace.enter():
            self._netlink: Any = IPRoute()

    def index(self, name: str) -> int:
        """Interface index of `name`."""
        found = self._netlink.link_lookup(ifname=name)
        if not found:
            raise LookupError(f"no interface {name} in {self.namespace.label}")
        return int(found[0])

    def names(self) -> tuple[str, ...]:
        """Names of all interfaces."""
        return tuple(str(link.get("ifname")) for link in self._netlink.get_links())

    def add(self, name: str, kind: str) -> None:
        """Make an interface of a kind that needs no more than its name."""
        self._netlink.link("add", ifname=name, kind=kind)

    def add_veth(self, name: str, peer: NetNamespace, peer_name: str) -> None:
        """Make a veth pair, one end here, the other in `peer`."""
        self._netlink.link("add", ifname=name, kind="veth", peer={"ifname": peer_name, "net_ns_fd": peer.fd})

    def remove(self, name: str) -> None:
        """Remove an interface."""
        self._netlink.link("del", index=self.index(name))

    def enslave(self, name: str, bridge: str) -> None:
        """Make an interface a port of a bridge."""
        self._netlink.link("set", index=self.index(name), master=self.index(bridge))

    def up(self, name: str, mtu: int | None = None) -> None:
        """Bring an interface up."""
        if mtu is not None:
            self._netlink.link("set", index=self.index(name), mtu=mtu)
        self._netlink.link("set", index=self.index(name), state="up")

    def address(self, name: str, address: str) -> None:
        """Give an interface an address, as `ADDRESS/LENGTH`."""
        host, length = address.split("/")
        flags = {"flags": _NO_DAD} if ":" in host else {}
        self._netlink.addr("add", index=self.index(name), address=host, prefixlen=int(length), **flags)

    def remove_address(self, name: str, address: str) -> None:
        """Take an address from an interface."""
        host, length = address.split("/")
        self._netlink.addr("del", index=self.index(name), address=host, prefixlen=int(length))

    def route(self, prefix: str, name: str, via: str | None = None) -> None:
        """Route `prefix` to an interface, or to the router `via` behind it."""
        gateway = {"gateway": via} if via else {}
        self._netlink.route("add", dst=prefix, oif=self.index(name), **gateway)

    def close(self) -> None:
        """Close the netlink socket; the interfaces stay."""
        self._netlink.close()

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
