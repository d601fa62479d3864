"""Tunnel addresses: as people write them, as maps have them, and as numbers.

The number of an address is its key (records.ADDRESS) read as one integer, most significant byte first. IPv4
and IPv6 addresses are then one space, in which a prefix is a range, and a dictionary of a hundred thousand
of them costs a fraction of one of address objects.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout.records import ADDRESS

Address = IPv4Address | IPv6Address

_MAPPED: Final = 0xFFFF << 32
_LOW: Final = (1 << 32) - 1


class DeviceError(WardgateError):
    """A device that the gate cannot have, or an address that is none of its devices'."""


def parse_address(value: str | Address) -> Address:
    """`value` as an address; DeviceError. An IPv4 address in IPv6 form is refused: it is another one."""
    if isinstance(value, str):
        try:
            value = ipaddress.ip_address(value)
        except ValueError:
            raise DeviceError("read address", repr(value), "it is not an IP address") from None
    if isinstance(value, IPv6Address) and value.ipv4_mapped:
        raise DeviceError(
            "read address", str(value), "it is an IPv4 address in IPv6 form", f"write {value.ipv4_mapped}"
        )
    if isinstance(value, IPv6Address) and value.scope_id:
        raise DeviceError("read address", str(value), "it has a scope", "give it without the %")
    return value


def number_of(address: Address) -> int:
    """The number of an address that `parse_address` accepts."""
    return int(address) if isinstance(address, IPv6Address) else _MAPPED | int(address)


def is_ipv6(number: int) -> bool:
    """Whether the number is of an IPv6 address."""
    return number & ~_LOW != _MAPPED


def address_of(number: int) -> Address:
    """The address of a number."""
    return IPv6Address(number) if is_ipv6(number) else IPv4Address(number & _LOW)


def key_of(number: int) -> bytes:
    """The key of a number."""
    return number.to_bytes(ADDRESS.size, "big")


def number_of_key(key: bytes) -> int:
    """The number of a key."""
    return int.from_bytes(key, "big")


def number_range(prefix: str) -> range:
    """The numbers of the addresses in `prefix`, such as `10.9.0.0/16`."""
    network = ipaddress.ip_network(prefix)
    first = number_of(network.network_address)
    return range(first, first + network.num_addresses)
