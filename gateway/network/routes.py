"""Addresses and routes of the network namespace that the calling thread is in."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)
from typing import Any, Final

from wardgate.gateway.network.links import index_of, netlink

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

OUR_PROTOCOL: Final = 119
"""The "protocol" of our routes (rtnetlink(7), rtm_protocol): who made it. Nobody else is known by 119."""
ROUTER_ADVERTISEMENT: Final = 9
"""RTPROT_RA: the kernel made the route, of what a router advertised."""

_MAIN_TABLE: Final = 254
_UNICAST: Final = 1
_LINK_SCOPE: Final = 253
_NO_DAD: Final = 0x02
"""IFA_F_NODAD: the address can be used at once. A tunnel has nobody to ask whether it is taken."""
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table to `interface`; `gateway`: the router there, None: hosts are on the link."""

    prefix: Network
    interface: str
    gateway: Address | None
    protocol: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """An address of an interface, with its network."""

    address: Interface
    interface: str


def addresses() -> tuple[Assigned, ...]:
    """All addresses of all interfaces."""
    with netlink("list", "addresses") as channel:
        names = _names(channel)
        return tuple(Assigned(_address(one), names.get(one["index"], "")) for one in _all_addresses(channel))


def routes() -> tuple[Route, ...]:
    """The unicast routes of the main table."""
    with netlink("list", "routes") as channel:
        return tuple(_routes(channel))


def set_addresses(name: str, wanted: Iterable[Interface]) -> None:
    """Give an interface these addresses, and take away others, but for IPv6's link-local ones.

    Addresses that it has already are left alone, with their routes. NetworkError.
    """
    operation, wished = "set addresses of interface", list(dict.fromkeys(wanted))
    # First what is new: an interface that is left without an address of IPv4 loses all routes of IPv4.
    _add_addresses(name, wished)
    with netlink(operation, name) as channel:
        index = index_of(channel, operation, name)
        present = _of(channel, index)
        while unwanted := [one for one in present if one not in wished and not one.is_link_local]:
            _change_address(channel, "del", index, unwanted[0])
            # With an address of IPv4 others of its network may go, also such as are wanted.
            present = _of(channel, index)
    _add_addresses(name, wished)


def set_routes(name: str, prefixes: Iterable[Network], own: Iterable[Interface]) -> None:
    """Route `prefixes` to an interface that is up; routes of ours to others are taken away from it.

    Those that lie in the network of one of its `own` addresses have a route by that. NetworkError, also
    where somebody else has a route of the same prefix: it is not replaced.
    """
    operation = "set routes of interface"
    connected = [address.network for address in own]
    wanted = {one for one in prefixes if not any(_within(one, network) for network in connected)}
    with netlink(operation, name) as channel:
        index = index_of(channel, operation, name)
        ours = {
            one.prefix for one in _routes(channel) if one.interface == name and one.protocol == OUR_PROTOCOL
        }
    for prefix, command in [
        *((one, "del") for one in ours - wanted),
        *((one, "add") for one in wanted - ours),
    ]:
        with netlink(f"{command} route to interface", f"{name} ({prefix})") as channel:
            channel.route(
                command,
                family=_FAMILIES[prefix.version],
                dst=str(prefix),
                oif=index,
                proto=OUR_PROTOCOL,
                table=_MAIN_TABLE,
                **({"scope": _LINK_SCOPE} if prefix.version == 4 else {}),
            )


def _add_addresses(name: str, wished: Iterable[Interface]) -> None:
    operation = "add address to interface"
    with netlink(operation, name) as channel:
        index = index_of(channel, operation, name)
        present = _of(channel, index)
    for address in wished:
        if address not in present:
            with netlink(operation, f"{name} ({address})") as channel:
                _change_address(channel, "add", index, address)


def _change_address(channel: Any, command: str, index: int, address: Interface) -> None:
    flags = {"flags": _NO_DAD} if address.version == 6 and command == "add" else {}
    channel.addr(
        command,
        family=_FAMILIES[address.version],
        index=index,
        address=str(address.ip),
        prefixlen=address.network.prefixlen,
        **flags,
    )


def _all_addresses(channel: Any) -> Iterator[Any]:
    for family in _FAMILIES.values():
        yield from channel.get_addr(family=family)


def _of(channel: Any, index: int) -> set[Interface]:
    return {_address(one) for one in list(_all_addresses(channel)) if one["index"] == index}


def _address(entry: Any) -> Interface:
    # On a point-to-point link IFA_ADDRESS is the other end's, and IFA_LOCAL, of IPv4, our own.
    own = entry.get("local") or entry.get("address")
    return ip_interface(f"{own}/{entry['prefixlen']}")


def _names(channel: Any) -> dict[int, str]:
    return {int(link["index"]): str(link.get("ifname")) for link in channel.get_links()}


def _routes(channel: Any) -> Iterator[Route]:
    names = _names(channel)
    for version, family in _FAMILIES.items():
        everything = "0.0.0.0" if version == 4 else "::"  # noqa: S104 - of a route, not to listen on
        for entry in channel.get_routes(family=family):
            if entry.get("table", entry["table"]) != _MAIN_TABLE or entry["type"] != _UNICAST:
                continue
            prefix = ip_network(f"{entry.get('dst') or everything}/{entry['dst_len']}", strict=False)
            for hop in entry.get("multipath") or (entry,):
                index = hop.get("oif") if hop is entry else hop["oif"]
                gateway = hop.get("gateway")
                yield Route(
                    prefix,
                    names.get(index or 0, ""),
                    (IPv4Address if version == 4 else IPv6Address)(gateway) if gateway else None,
                    int(entry["proto"]),
                )


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False
