"""DNS names of a policy. Asking the network is the caller's business: a resolver is handed in."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from wardgate.compiler.language.model import Address

Resolver = Callable[[str], Sequence[Address]]
"""From a DNS name (lower case) to its addresses, in any order. Raises ResolveError or OSError."""

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)


class ResolveError(Exception):
    """A name could not be resolved; the text says why."""


def system_resolver() -> Resolver:
    """A resolver that asks the system (getaddrinfo): IPv4 and IPv6 addresses."""

    def resolve(name: str) -> Sequence[Address]:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ResolveError(str(error)) from error
        return tuple(ip_address(entry[4][0]) for entry in found)

    return resolve


def static_resolver(names: Mapping[str, Sequence[Address | str]]) -> Resolver:
    """A resolver that knows `names` (any case) and nothing else."""
    table = {
        name.lower().removesuffix("."): tuple(ip_address(address) for address in addresses)
        for name, addresses in names.items()
    }

    def resolve(name: str) -> Sequence[Address]:
        try:
            return table[name.lower().removesuffix(".")]
        except KeyError:
            raise ResolveError("no such name") from None

    return resolve


def is_dns_name(word: str) -> bool:
    """Whether `word` can be a DNS name in a policy: labels with a dot among or after them, ASCII.

    A last label that is a number makes a mistyped address and is refused: resolvers read 10.5 and
    0x7f.1 as addresses (inet_aton).
    """
    labels = word.removesuffix(".").split(".")
    if "." not in word or len(word) > 253 or _NUMBER.fullmatch(labels[-1]):
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


class Names:
    """Asks a resolver for each name once; `asked` has the answers, by name in lower case."""

    def __init__(self, resolver: Resolver | None) -> None:
        self._resolver = resolver
        self._failed: dict[str, str] = {}
        self.asked: dict[str, tuple[Address, ...]] = {}

    @property
    def available(self) -> bool:
        """Whether there is a resolver."""
        return self._resolver is not None

    def addresses(self, name: str) -> tuple[Address, ...]:
        """The addresses of `name`, IPv4 first, in numeric order. ResolveError where there is none."""
        name = name.lower()
        if name in self._failed:
            raise ResolveError(self._failed[name])
        if name not in self.asked:
            try:
                self.asked[name] = self._ask(name)
            except (ResolveError, OSError) as error:
                self._failed[name] = str(error) or type(error).__name__
                raise ResolveError(self._failed[name]) from error
        return self.asked[name]

    def _ask(self, name: str) -> tuple[Address, ...]:
        if self._resolver is None:
            raise ResolveError("there is no resolver")
        found = {_plain(address) for address in self._resolver(name)}
        if not found:
            raise ResolveError("it has no address")
        return tuple(sorted(found, key=lambda address: (address.version, int(address))))


def _plain(address: Address) -> Address:
    """The address as packets carry it: IPv4-mapped becomes IPv4, a zone has no meaning elsewhere."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.scope_id is not None:
        raise ResolveError(f"its address {address} is of one link only")
    return IPv6Address(int(address))
