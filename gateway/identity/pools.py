"""The tunnel addresses that devices may have: what the policy's tunnel prefixes leave free."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from wardgate.gateway.errors import InvalidError
from wardgate.runtime.addresses import Address, DeviceError, address_of, number_of, parse_address

Network = IPv4Network | IPv6Network

VERSIONS: Final = (4, 6)


@dataclass(frozen=True, slots=True)
class Pools:
    """Addresses by number (runtime.addresses), so that each version's are one line of ranges.

    `prefixes`: the tunnel's. `ranges`: for each version of IP, first and last numbers of its prefixes, merged
    and in order. `never`: the numbers in them that no device gets: each prefix's own address and, of IPv4,
    its broadcast address (RFC 3021 spares prefixes of two), and what is reserved.
    """

    prefixes: tuple[Network, ...]
    ranges: dict[int, tuple[tuple[int, int], ...]]
    never: frozenset[int]

    @classmethod
    def of(cls, prefixes: Iterable[str], reserved: Iterable[str] = ()) -> Pools:
        """The pools of tunnel prefixes. `reserved`: what has another use, as the gateway's own addresses.

        InvalidError where one is not a prefix or an address.
        """
        networks = tuple(map(read_prefix, prefixes))
        never = {number_of(tunnel_address(address)) for address in reserved}
        for network in networks:
            if network.num_addresses > 2:
                never.add(number_of(network.network_address))
                if isinstance(network, IPv4Network):
                    never.add(number_of(network.broadcast_address))
        ranges = {}
        for version in VERSIONS:
            bounds = sorted(_bounds(network) for network in networks if network.version == version)
            ranges[version] = tuple(_merged(bounds))
        return cls(networks, ranges, frozenset(never))

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions of IP that the tunnel has prefixes of."""
        return tuple(version for version in VERSIONS if self.ranges[version])

    def after(self, version: int, number: int) -> int | None:
        """The least number above `number` that a device may have; None: there is none. -1 is below all."""
        for first, last in self.ranges[version]:
            candidate = max(first, number + 1)
            while candidate <= last and candidate in self.never:
                candidate += 1
            if candidate <= last:
                return candidate
        return None

    def holds(self, address: Address) -> bool:
        """Whether a device may have it."""
        return self._covers(address) and number_of(address) not in self.never

    def check(self, address: Address) -> Address:
        """`address`, if a device may have it; InvalidError."""
        if self.holds(address):
            return address
        if self._covers(address):
            cause = "it is the gateway's, or names a prefix or all of its addresses"
        else:
            prefixes = ", ".join(map(str, self.prefixes)) or "none"
            cause = f"it is not in the policy's tunnel prefixes ({prefixes})"
        raise InvalidError(
            "assign address", str(address), cause, "choose another, or leave it to the gateway"
        )

    def _covers(self, address: Address) -> bool:
        number = number_of(address)
        return any(first <= number <= last for first, last in self.ranges[address.version])


def tunnel_address(text: str) -> Address:
    """`text` as an address; InvalidError."""
    try:
        return parse_address(text)
    except DeviceError as error:
        raise InvalidError(error.operation, error.target[:80], error.cause, error.remedy) from None


def read_prefix(text: str) -> Network:
    """`text` as a prefix, without host bits; InvalidError."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidError("read prefix", repr(text[:80]), str(error)) from None
    if isinstance(network, IPv6Network) and network.network_address.scope_id is not None:
        raise InvalidError("read prefix", repr(text[:80]), "it has a scope", "give it without the %")
    return network


def address_text(number: int) -> str:
    """The usual form of the address that has this number."""
    return str(address_of(number))


def _bounds(network: Network) -> tuple[int, int]:
    first = number_of(network.network_address)
    return first, first + network.num_addresses - 1


def _merged(bounds: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges without overlaps."""
    found: list[tuple[int, int]] = []
    for first, last in bounds:
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
