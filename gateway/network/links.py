"""Interfaces of the network namespace that the calling thread is in, over netlink.

Each call opens a socket of its own, so that any thread may call that has no event loop running (pyroute2
runs one inside its calls).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from wardgate.gateway.network.errors import NetworkError, NoInterfaceError

_UP: Final = 0x1
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """An interface; `kind` is what drives it (`wireguard`, `tun`, `veth`), empty for hardware."""

    name: str
    index: int
    kind: str
    mtu: int
    up: bool


def check_name(name: str) -> str:
    """`name`, where an interface may be called so; else NetworkError.

    Stricter than the kernel: the name also goes into names of files, sockets and nftables' tables.
    """
    if not _NAME.fullmatch(name):
        raise NetworkError(
            "name interface",
            ascii(name),
            "a name has 1 to 15 letters, digits and the signs _ . - and begins with none of the last two",
            "choose a name like wg0",
        )
    return name


@contextmanager
def netlink(operation: str, target: str) -> Iterator[Any]:
    """A pyroute2 IPRoute; what the kernel refuses inside becomes a NetworkError with these words."""
    from pyroute2 import IPRoute, NetlinkError

    try:
        with IPRoute() as channel:
            yield channel
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            raise NoInterfaceError(operation, target) from None
        raise NetworkError.of(operation, target, error.code) from error
    except OSError as error:
        raise NetworkError.of(operation, target, error.errno or 0) from error


def find_link(name: str) -> Link | None:
    """The interface of this name, or None."""
    try:
        with netlink("look up interface", name) as channel:
            (found,) = channel.link("get", ifname=name)
    except NoInterfaceError:
        return None
    return _link(found)


def links() -> tuple[Link, ...]:
    """All interfaces."""
    with netlink("list", "interfaces") as channel:
        return tuple(_link(found) for found in channel.get_links())


def index_of(channel: Any, operation: str, name: str) -> int:
    """Index of an interface, by a channel that is open; NoInterfaceError."""
    found = channel.link_lookup(ifname=name)
    if not found:
        raise NoInterfaceError(operation, name)
    return int(found[0])


def add_link(name: str, kind: str) -> None:
    """Make an interface of a kind that needs no more than its name; it is down. NetworkError."""
    with netlink(f"make {kind} interface", name) as channel:
        channel.link("add", ifname=name, kind=kind)


def remove_link(name: str) -> bool:
    """Remove an interface, with its addresses and routes; False where there was none. NetworkError."""
    operation = "remove interface"
    try:
        with netlink(operation, name) as channel:
            channel.link("del", index=index_of(channel, operation, name))
    except NoInterfaceError:
        return False
    return True


def set_mtu(name: str, mtu: int) -> None:
    """Set the largest packet that goes into the interface, in bytes. NetworkError."""
    operation = f"set MTU {mtu} of interface"
    with netlink(operation, name) as channel:
        channel.link("set", index=index_of(channel, operation, name), mtu=mtu)


def bring_up(name: str) -> None:
    """Bring an interface up: from now on packets pass. NetworkError."""
    operation = "bring up interface"
    with netlink(operation, name) as channel:
        channel.link("set", index=index_of(channel, operation, name), state="up")


def bring_down(name: str) -> None:
    """Bring an interface down; its routes go, its addresses stay. NetworkError."""
    operation = "bring down interface"
    with netlink(operation, name) as channel:
        channel.link("set", index=index_of(channel, operation, name), state="down")


def _link(found: Any) -> Link:
    info = found.get("linkinfo")
    kind = info.get("kind") if info else None
    return Link(
        str(found.get("ifname")),
        int(found["index"]),
        str(kind or ""),
        int(found.get("mtu") or 0),
        bool(found["flags"] & _UP),
    )
