"""What can go wrong with interfaces, addresses, routes, forwarding and masquerading."""

from __future__ import annotations

import errno
import os
from typing import Final

from wardgate.gateway.errors import GatewayError

_REMEDIES: Final = {
    errno.EPERM: "run as root or with CAP_NET_ADMIN",
    errno.EACCES: "run as root or with CAP_NET_ADMIN; for an IPv6 address see net.ipv6.conf.*.disable_ipv6",
}


class NetworkError(GatewayError):
    """The system refused a change of the network, or lacks what it takes; `code` is an errno or 0."""

    def __init__(self, operation: str, target: str, cause: str, remedy: str = "", code: int = 0) -> None:
        super().__init__(operation, target, cause, remedy)
        self.code = code

    @classmethod
    def of(cls, operation: str, target: str, code: int) -> NetworkError:
        """The error for an error number of the kernel."""
        return cls(operation, target, os.strerror(code), _REMEDIES.get(code, ""), code)


class NoInterfaceError(NetworkError):
    """There is no interface of this name in this network namespace."""

    def __init__(self, operation: str, name: str) -> None:
        super().__init__(
            operation,
            name,
            "there is no interface of this name in this network namespace",
            "make it first, or run in its namespace",
            errno.ENODEV,
        )
