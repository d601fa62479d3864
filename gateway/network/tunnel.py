"""The tunnel's interface: its MTU, addresses and routes, in two steps.

`prepare` before a gate is attached, `activate` after: until then the interface is down, and no packet passes.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.links import bring_up, check_name, find_link, set_mtu
from wardgate.gateway.network.routes import Interface, Network, set_addresses, set_routes

LEAST_MTU: Final = 1280
"""What IPv6 asks of a link (RFC 8200 section 5)."""
MOST_MTU: Final = 65_455
"""The largest IP packet less WireGuard's overhead over IPv6, 80 bytes."""
DEFAULT_MTU: Final = 1420
"""1500 bytes, those of most links, less WireGuard's overhead over IPv6."""

_NO_ADDRESS: Final = "1"
"""IN6_ADDR_GEN_MODE_NONE."""
_log: Final = logging.getLogger("wardgate.gateway.network")


@dataclass(frozen=True, slots=True)
class TunnelNetwork:
    """How the tunnel's interface is to be. `prefixes` are the devices'; `mtu` is in bytes. NetworkError."""

    interface: str
    addresses: tuple[Interface, ...]
    prefixes: tuple[Network, ...]
    mtu: int = DEFAULT_MTU

    def __post_init__(self) -> None:
        check_name(self.interface)
        if not LEAST_MTU <= self.mtu <= MOST_MTU:
            raise NetworkError(
                "set MTU of interface",
                self.interface,
                f"{self.mtu} is not between {LEAST_MTU} and {MOST_MTU}",
                f"use {DEFAULT_MTU}, or less where the path to devices carries less than 1500 bytes",
            )

    def prepare(self) -> None:
        """Set MTU and addresses; whether the interface is up or down stays as it is. NetworkError."""
        link = find_link(self.interface)
        if link is None or link.mtu != self.mtu:
            set_mtu(self.interface, self.mtu)
        # Else the kernel gives a TUN interface a link-local address, and looks for routers in the tunnel.
        _set_own(self.interface, "addr_gen_mode", _NO_ADDRESS)
        if any(address.version == 6 for address in self.addresses):
            # A machine on which new interfaces have no IPv6 has it in the tunnel, since that is asked for.
            _set_own(self.interface, "disable_ipv6", "0")
        set_addresses(self.interface, self.addresses)

    def activate(self) -> None:
        """Bring the interface up, and route the tunnel's prefixes to it. NetworkError.

        Call it when a gate is attached, and not before: from here on packets pass.
        """
        bring_up(self.interface)
        set_routes(self.interface, self.prefixes, self.addresses)
        _log.info(
            "the tunnel is up",
            extra={"device": self.interface, "addresses": [str(one) for one in self.addresses]},
        )


def _set_own(interface: str, setting: str, value: str) -> None:
    """Change a setting of the tunnel's interface, with which it goes."""
    path = Path("/proc/sys/net/ipv6/conf", interface, setting)
    # Where that can't be done, what needs it says so: an address can't be added, or there is one more.
    with contextlib.suppress(OSError):
        if path.read_text().strip() != value:
            path.write_text(value)
