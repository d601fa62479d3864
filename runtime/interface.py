"""The network interface that a gate stands on, as the current network namespace knows it.

Asked of the kernel through a socket and not read under /sys/class/net: that shows the namespace in
which sysfs was mounted, which need not be the one that the process is in.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout.codes import LinkHeader

_SIOCGIFHWADDR: Final = 0x8927

_LINK_HEADERS: Final = {
    1: LinkHeader.ETHERNET,  # ARPHRD_ETHER: veth, bridges, TAP
    512: LinkHeader.NONE,  # ARPHRD_PPP
    519: LinkHeader.NONE,  # ARPHRD_RAWIP
    768: LinkHeader.NONE,  # ARPHRD_TUNNEL: IP in IP
    769: LinkHeader.NONE,  # ARPHRD_TUNNEL6
    776: LinkHeader.NONE,  # ARPHRD_SIT
    65534: LinkHeader.NONE,  # ARPHRD_NONE: WireGuard, TUN
}
"""ARPHRD types (include/uapi/linux/if_arp.h) by what stands before the IP header."""


class InterfaceError(WardgateError):
    """The interface is not there or of a type that the programs cannot read."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface; `link_header` is what programs find before the IP header."""

    name: str
    index: int
    link_header: LinkHeader


def find_interface(name: str) -> Interface:
    """The interface `name` of this network namespace; InterfaceError."""
    try:
        index = socket.if_nametoindex(name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            request = struct.pack("16s24x", name.encode())
            answer = fcntl.ioctl(probe, _SIOCGIFHWADDR, request)
    except OSError:
        raise InterfaceError(
            "look up interface",
            name,
            "there is none of this name in this network namespace",
            "make the interface first, or run in its namespace (nsenter --net=/run/netns/NAME ...)",
        ) from None
    (kind,) = struct.unpack_from("H", answer, 16)
    header = _LINK_HEADERS.get(kind)
    if header is None:
        raise InterfaceError(
            "look up interface",
            name,
            f"its link type (ARPHRD {kind}) is neither Ethernet nor a known layer 3 type",
            "put the gate on a WireGuard, TUN or Ethernet interface",
        )
    return Interface(name, index, header)


def interface_name(index: int) -> str | None:
    """Name of the interface with this index in this network namespace; None where there is none."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None


def network_namespace() -> int:
    """The current network namespace's number (its inode), which `ip netns identify` compares too."""
    # A thread may have moved to a namespace of its own: the process's entry shows the main thread's.
    return os.stat("/proc/thread-self/ns/net").st_ino  # noqa: PTH116
