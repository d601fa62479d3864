"""A way for real packets: client, gateway and server, each a namespace, joined by veth pairs."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Final

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace

TUNNEL: Final = "tun0"
"""The gateway's device towards the client, which is where a gate stands."""
_LAN: Final = "lan0"
_UP: Final = "up0"
_WIRES: Final = {_UP: ("198.51.100.1", "198.51.100.2"), _LAN: ("203.0.113.1", "203.0.113.2")}
"""The gateway's address on either wire, and the other end's (RFC 5737)."""


class Path:
    """A context manager. `devices` are addresses that the client has, `remotes` the server's."""

    def __init__(self, devices: list[str], remotes: list[str]) -> None:
        self._stack = ExitStack()
        try:
            self.client, self.gateway, self.server = (
                self._stack.enter_context(NetNamespace(name)) for name in ("client", "gateway", "server")
            )
            with Links(self.client) as client, Links(self.gateway) as gateway, Links(self.server) as server:
                gateway.add_veth(TUNNEL, self.client, _UP)
                gateway.add_veth(_LAN, self.server, _LAN)
                self._wire(gateway, TUNNEL, client, _UP, devices)
                self._wire(gateway, _LAN, server, _LAN, remotes)
            self.gateway.sysctl("ipv4/ip_forward", "1")
        except BaseException:
            self._stack.close()
            raise

    def _wire(self, gateway: Links, device: str, other: Links, end: str, hosts: list[str]) -> None:
        here, there = _WIRES[end]
        gateway.address(device, f"{here}/24")
        other.address(end, f"{there}/24")
        gateway.up(device)
        other.up("lo")
        other.up(end)
        other.route("0.0.0.0/0", end, via=here)
        for host in dict.fromkeys(hosts):
            other.address("lo", f"{host}/32")
            gateway.route(f"{host}/32", device, via=there)

    def close(self) -> None:
        """Remove the namespaces, and with them all that is in them."""
        self._stack.close()

    def __enter__(self) -> Path:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
