"""What has to be so before a gateway starts: each check says what is wrong and what to do about it.

Nothing is changed here. All of it is about the network namespace that the calling thread is in.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network.forwarding import ForwardingState, read_forwarding
from wardgate.gateway.network.masquerading import INSTALL, find_nft
from wardgate.gateway.network.routes import (
    OUR_PROTOCOL,
    Address,
    Assigned,
    Interface,
    Network,
    Route,
    addresses,
    routes,
)
from wardgate.gateway.wireguard.device import WireGuardDevice
from wardgate.gateway.wireguard.opening import find_device
from wardgate.runtime.privileges import DEFAULT_BPFFS, Privileges, explain, is_bpffs, read_privileges

_EVERYTHING: Final = 1
"""Prefixes up to this length are default routes, also those that are cut in halves."""
_FREE_BIND: Final = {4: (socket.IPPROTO_IP, 15), 6: (socket.IPPROTO_IPV6, 78)}
"""IP_FREEBIND, IPV6_FREEBIND: bind to addresses that no interface has yet."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found, and where it isn't `ok`, what to do."""

    name: str
    ok: bool
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a gateway is going to use. `listeners` are the addresses and TCP ports of its web servers.

    `forward` and `masquerade`: whether it is to switch forwarding on itself, and to masquerade.
    """

    interface: str
    listen_port: int
    addresses: tuple[Interface, ...]
    prefixes: tuple[Network, ...]
    listeners: tuple[tuple[Address, int], ...] = ()
    forward: bool = False
    masquerade: bool = False


def preflight(wanted: Wanted) -> tuple[Check, ...]:
    """All checks, in the order in which to mend what they find."""
    checks: list[Callable[[], Check]] = [
        check_privileges,
        check_bpffs,
        lambda: check_interface(wanted.interface),
        lambda: check_listen_port(wanted.interface, wanted.listen_port),
        lambda: check_prefixes(wanted.interface, wanted.prefixes, wanted.addresses),
        *(_listener_check(address, port) for address, port in wanted.listeners),
        lambda: check_forwarding({one.version for one in wanted.prefixes}, enable=wanted.forward),
    ]
    if wanted.masquerade:
        checks.append(check_nft)
    return tuple(check() for check in checks)


def check_privileges(facts: Privileges | None = None) -> Check:
    """Whether the process may load programs and configure the network."""
    facts = facts or read_privileges()
    if facts.missing or facts.own_user_namespace:
        return Check("privileges", False, explain(facts), "run the gateway as root of the machine")
    return Check("privileges", True, "the process may load programs and configure the network")


def check_bpffs(folder: Path = DEFAULT_BPFFS) -> Check:
    """Whether there is a BPF file system for what outlives the process."""
    if is_bpffs(folder):
        return Check("bpffs", True, f"{folder} is a BPF file system")
    return Check(
        "bpffs", False, f"{folder} is not a BPF file system", f"mount one: mount -t bpf bpf {folder}"
    )


def check_interface(name: str) -> Check:
    """Whether the interface is a WireGuard device, or there is none of the name."""
    try:
        found = find_device(name)
    except GatewayError as error:
        return Check("interface", False, error.cause, error.remedy)
    if found is None:
        return Check("interface", True, f"the name {name} is free")
    return Check("interface", True, f"{name} is a WireGuard device ({found.kind}), which will be adopted")


def check_listen_port(interface: str, port: int) -> Check:
    """Whether WireGuard can have its UDP port, or has it."""
    name = "WireGuard port"
    if not port:
        return Check(name, True, "the kernel chooses a UDP port")
    try:
        taken = [version for version in (4, 6) if _is_taken(socket.SOCK_DGRAM, _any(version), version, port)]
    except OSError as error:
        cause = f"UDP port {port}: {os.strerror(error.errno or 0)}"
        return Check(name, False, cause, "run as root, or set another port")
    if not taken:
        return Check(name, True, f"UDP port {port} is free")
    if _has_port(interface, port):
        return Check(name, True, f"UDP port {port} is that of {interface} already")
    families = " and ".join(f"IPv{version}" for version in taken)
    return Check(
        name,
        False,
        f"another program has UDP port {port} ({families})",
        f"find it (ss -lunp 'sport = {port}'; kernel WireGuard: wg show all listen-port) and stop it, "
        "or set another port",
    )


def check_prefixes(interface: str, prefixes: tuple[Network, ...], own: tuple[Interface, ...] = ()) -> Check:
    """Whether the tunnel's prefixes are the tunnel's alone."""
    try:
        others = [one for one in addresses() if one.interface != interface]
        elsewhere = [one for one in routes() if one.interface != interface and one.protocol != OUR_PROTOCOL]
    except GatewayError as error:
        return Check("tunnel prefixes", False, str(error), error.remedy)
    found = list(dict.fromkeys(_conflicts((*prefixes, *(one.network for one in own)), others, elsewhere)))
    if not found:
        return Check("tunnel prefixes", True, "no other interface has addresses or routes in them")
    return Check(
        "tunnel prefixes",
        False,
        "; ".join(found),
        "choose prefixes for the tunnel that nothing here uses (ip address; ip route)",
    )


def check_listener(address: Address, port: int) -> Check:
    """Whether a web server can have its address and TCP port. The address need not be there yet."""
    name = f"listen on {address} port {port}"
    try:
        taken = _is_taken(socket.SOCK_STREAM, str(address), address.version, port)
    except OSError as error:
        return Check(name, False, os.strerror(error.errno or 0), "choose another address or port")
    if not taken:
        return Check(name, True, "it is free")
    return Check(
        name,
        False,
        "another program listens there",
        f"find it (ss -ltnp 'sport = {port}') and stop it, or choose another port",
    )


def check_forwarding(versions: set[int], *, enable: bool, state: ForwardingState | None = None) -> Check:
    """Whether packets of these versions of IP are forwarded, or will be."""
    name = "forwarding"
    try:
        state = state or read_forwarding()
    except GatewayError as error:
        return Check(name, False, str(error), error.remedy)
    lacking = sorted(versions - state.forwards.keys())
    if lacking:
        return Check(name, False, "this kernel has no IPv6", "take the IPv6 prefixes out of the tunnel's")
    off = sorted(version for version in versions if not state.forwards[version])
    settings = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
    notes = _notes(state, 6 in off and not enable)
    if not off:
        return Check(name, True, "; ".join(["it is on", *notes]))
    what = ", ".join(settings[version] for version in off)
    if enable:
        return Check(name, True, "; ".join([f"the gateway switches it on ({what})", *notes]))
    commands = " ".join(f"{settings[version]}=1" for version in off)
    traps = [f"net.ipv6.conf.{one}.accept_ra=2" for one in state.advertised] if 6 in off else []
    return Check(
        name,
        False,
        "; ".join([f"it is off ({what}), so that devices reach nothing behind the gateway", *notes]),
        "let the gateway switch it on (network: {forwarding: enable} in gateway.yaml), or: "
        f"sysctl -w {' '.join([*traps, commands])}",
    )


def check_nft() -> Check:
    """Whether masquerading has what it takes."""
    found = find_nft()
    if found is None:
        return Check("masquerading", False, "nft is not installed", f"{INSTALL}, or switch masquerading off")
    return Check("masquerading", True, f"{found} is there")


def _listener_check(address: Address, port: int) -> Callable[[], Check]:
    return lambda: check_listener(address, port)


def _notes(state: ForwardingState, trap: bool) -> Iterator[str]:
    if trap and state.advertised:
        names = ", ".join(state.advertised)
        yield (
            f"{names} will lose the default route of IPv6 once this machine forwards, unless accept_ra is 2"
        )
    if state.strict:
        names = ", ".join(state.strict)
        yield (
            f"rp_filter is strict on {names}: packets that come in there are dropped unless the route back "
            "to their source is the same"
        )


def _conflicts(
    prefixes: tuple[Network, ...], others: list[Assigned], elsewhere: list[Route]
) -> Iterator[str]:
    """What others have in the tunnel's prefixes.

    A wider route through a router is none: packets take the longest prefix, which is the tunnel's. One
    whose hosts are on the link is, since the tunnel would hide some of them.
    """
    for prefix in dict.fromkeys(prefixes):
        for assigned in others:
            if assigned.address.version == prefix.version and assigned.address.ip in prefix:
                yield f"{assigned.interface} has the address {assigned.address.ip}, which is in {prefix}"
        for route in elsewhere:
            if _overlap(route.prefix, prefix) and route.prefix.prefixlen > _EVERYTHING:
                inside = route.prefix.prefixlen >= prefix.prefixlen
                if inside or route.gateway is None:
                    yield (
                        f"{route.prefix} has a route to {route.interface}, and "
                        f"{'is in' if inside else 'contains'} {prefix}"
                    )


def _overlap(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    return isinstance(one, IPv6Network) and isinstance(other, IPv6Network) and one.overlaps(other)


def _any(version: int) -> str:
    return "0.0.0.0" if version == 4 else "::"  # noqa: S104 - to ask whether it could be had


def _is_taken(kind: socket.SocketKind, address: str, version: int, port: int) -> bool:
    """Whether another socket has the port at this address; OSError for what else is wrong."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        channel = socket.socket(family, kind)
    except OSError:
        return False  # a kernel without IPv6 has no sockets that could be in the way
    with channel:
        if version == 6:
            channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_STREAM:
            # Connections that have ended are not in the way, as they are not in that of a server.
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            channel.setsockopt(*_FREE_BIND[version], 1)
        try:
            channel.bind((address, port))
            if kind is socket.SOCK_STREAM:
                channel.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            if version == 6 and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return False
            raise
    return False


def _has_port(interface: str, port: int) -> bool:
    try:
        found: WireGuardDevice | None = find_device(interface)
        return found is not None and found.state().listen_port == port
    except GatewayError:
        return False
