"""What a device sends into the tunnel: AllowedIPs, derived from what its user's policy lets through.

Which prefixes these are decides no access, the gate does: they only say what is worth sending. So what has no
rule that could let it pass is left to the device's other networks.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from wardgate.gateway.identity.pools import Network, read_prefix


def routes(
    reachable: Iterable[str],
    always: Iterable[str],
    versions: Iterable[int],
    outside: IPv4Address | IPv6Address | None,
) -> tuple[str, ...]:
    """The fewest prefixes that cover `reachable` and `always` exactly, IPv4 first.

    `always`: what is inside the tunnel whatever the policy says, as the portal's address. `versions`: those
    of IP that the device has an address of; others would lead nowhere. `outside`: where the gateway is
    reached; it is cut out, since the tunnel's own packets would go into the tunnel (a prefix of length 0 is
    the exception: wg-quick routes around it). InvalidError.
    """
    wanted = set(versions)
    networks = [network for text in (*reachable, *always) if (network := read_prefix(text)).version in wanted]
    merged = _collapsed(networks)
    if outside is not None:
        parts = [part for network in merged for part in _without(network, outside)]
        merged = _collapsed(parts)
    return tuple(map(str, merged))


def _collapsed(networks: Iterable[Network]) -> list[Network]:
    found = list(networks)
    four = [network for network in found if isinstance(network, IPv4Network)]
    six = [network for network in found if isinstance(network, IPv6Network)]
    return [*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six)]


def _without(network: Network, address: IPv4Address | IPv6Address) -> Iterable[Network]:
    """`network` but `address`."""
    if network.prefixlen == 0 or address not in network:
        return [network]
    if isinstance(network, IPv4Network):
        return network.address_exclude(IPv4Network(int(address)))
    return network.address_exclude(IPv6Network(int(address)))
