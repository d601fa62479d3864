"""Sockets that listen, and how many connections they have.

Connections are counted where they are accepted, before a byte was read or TLS began: so that a client that
sends nothing counts like any other.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.portal.hosts import neighbourhood
from wardgate.gateway.portal.limits import Places
from wardgate.runtime.errors import describe_errno

BACKLOG: Final = 512
USER_TIMEOUT_MS: Final = 30_000
"""How long what was sent may stay without an acknowledgement: peers vanish from a tunnel without a word."""

_REMEDIES: Final = {
    errno.EADDRINUSE: "another program has this port (`ss -ltnp` shows which): stop it, or choose another",
    errno.EADDRNOTAVAIL: "this machine has no such address: bring the device up first, or mend the address",
    errno.EACCES: "a port below 1024 needs CAP_NET_BIND_SERVICE: run as root, or choose another port",
    errno.EPERM: "a device to listen on needs CAP_NET_RAW: run as root",
    errno.ENODEV: "there is no such device: bring it up first",
}


class ListenError(GatewayError):
    """A socket could not be made to listen."""


def listen(address: str, port: int, *, device: str | None = None) -> socket.socket:
    """A socket that listens at an address of this machine, of one version of IP; ListenError.

    `device`: only what comes in by this device reaches it, even where another leads to the same address.
    `port` 0 is any that is free. It is made in the network namespace of the calling thread.
    """
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    except ValueError:
        raise ListenError("listen", target, "it is not an address", "give an address, not a name") from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
            target += f" on {device}"
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        if isinstance(error, OverflowError):
            raise ListenError("listen", target, "it is not a port", "ports are 0 to 65535") from None
        code = error.errno or 0
        raise ListenError("listen", target, describe_errno(code), _REMEDIES.get(code, "")) from None
    return sock


class CountedListener(socket.socket):
    """A listening socket that takes no more connections than there are `places`. A peer is counted as one by
    `whole` address where that is set, else by its neighbourhood, for whoever has an IPv6 address has 2^64."""

    def __init__(self, sock: socket.socket, places: Places, *, whole: bool) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._places = places
        self._whole = whole

    def accept(self) -> tuple[socket.socket, Any]:
        """As of a socket. A connection too many is closed unread, and raises ConnectionAbortedError, which an
        event loop takes for a peer that went away."""
        sock, address = super().accept()
        key = str(address[0]) if self._whole else neighbourhood(ip_address(address[0].partition("%")[0]))
        if not self._places.take(key):
            sock.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "too many connections")
        counted = _Counted(sock, lambda: self._places.leave(key))
        # It may be gone again already; whoever reads will see.
        with contextlib.suppress(OSError):
            counted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        return counted, address


class _Counted(socket.socket):
    """A connection that gives its place back when it is closed."""

    def __init__(self, sock: socket.socket, leave: Callable[[], None]) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._leave: Callable[[], None] | None = leave

    def close(self) -> None:
        leave, self._leave = self._leave, None
        super().close()
        if leave is not None:
            leave()
