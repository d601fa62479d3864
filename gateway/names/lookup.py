"""Asking for the addresses of a name, and for how long they are good."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import dns.exception
import dns.resolver
from wardgate.gateway.compiling.resolving import ResolveError

Address = IPv4Address | IPv6Address
_PATIENCE_S: Final = 5.0
_UNKNOWN_TTL: Final = 60
"""Seconds for what the system knows, and does not say for how long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Addresses of a name, and the seconds for which they are good."""

    addresses: frozenset[Address]
    ttl: int


Lookup = Callable[[str], Answer]
"""From a name to its answer; ResolveError where there is none. It may block."""


def look_up(name: str, *, resolver: dns.resolver.Resolver | None = None) -> Answer:
    """Ask name servers, those of /etc/resolv.conf unless a `resolver` is given; and where they do not have
    the name, whatever else the system asks (getaddrinfo: /etc/hosts and the like). ResolveError."""
    addresses: set[Address] = set()
    ttls: list[int] = []
    failures: list[str] = []
    if resolver is None:
        try:
            resolver = dns.resolver.Resolver()
        except dns.exception.DNSException:
            return _of_system(name)
        resolver.lifetime = _PATIENCE_S
    for kind in ("A", "AAAA"):
        try:
            answer = resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.DNSException as error:
            failures.append(str(error))
            continue
        ttls.append(answer.rrset.ttl if answer.rrset is not None else _UNKNOWN_TTL)
        addresses.update(ip_address(record.address) for record in answer)
    if failures:
        # Half of an answer would take the other half away, and a server that is silent says nothing.
        raise ResolveError(failures[0])
    return Answer(frozenset(addresses), min(ttls)) if addresses else _of_system(name)


def _of_system(name: str) -> Answer:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ResolveError(str(error)) from error
    return Answer(frozenset(ip_address(entry[4][0]) for entry in found), _UNKNOWN_TTL)
