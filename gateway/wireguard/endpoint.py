"""Where a peer's packets come from and go to: an address and a UDP port."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple, NoReturn, Self

from wardgate.gateway.wireguard.errors import EndpointFormatError

_FORM: Final = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})", re.ASCII)
_MOST_PORT: Final = 65535


class _AddressAndPort(NamedTuple):
    address: IPv4Address | IPv6Address
    port: int


class Endpoint(_AddressAndPort):
    """An endpoint. A link-local IPv6 address has the link that it is on as its scope: `fe80::1%eth0`.

    The kernel tells the link by its index (`%2`), wireguard-go by its name. EndpointFormatError.
    """

    __slots__ = ()

    def __new__(cls, address: IPv4Address | IPv6Address, port: int) -> Self:
        if not 1 <= port <= _MOST_PORT:
            _refuse(f"{address}", f"port {port} is not between 1 and {_MOST_PORT}")
        return super().__new__(cls, address, port)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The endpoint of `ADDRESS:PORT` or `[ADDRESS]:PORT`; EndpointFormatError. Names are not resolved."""
        parts = _FORM.fullmatch(text)
        if parts is None:
            _refuse(ascii(text), "it is neither ADDRESS:PORT nor [IPv6 ADDRESS]:PORT")
        try:
            address = IPv6Address(parts["six"]) if parts["six"] else ip_address(parts["four"])
        except ValueError as error:
            _refuse(ascii(text), str(error))
        return cls(address, int(parts["port"]))

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


def _refuse(target: str, cause: str) -> NoReturn:
    raise EndpointFormatError("read endpoint", target, cause, "write it like 192.0.2.1:51820")
