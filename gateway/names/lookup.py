"""Asking for the addresses of a name, and for how long they are good."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

import dns.exception
import dns.resolver
from wardgate.gateway.compiling.resolving import ResolveError

Address = IPv4Address | IPv6Address
HOSTS: Final = Path("/etc/hosts")
_PATIENCE_S: Final = 5.0
_HOSTS_TTL: Final = 60
"""Seconds for what the hosts file says, which does not say for how long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Addresses of a name, and the seconds for which they are good."""

    addresses: frozenset[Address]
    ttl: int


Lookup = Callable[[str], Answer]
"""From a name to its answer; ResolveError where there is none. It may block."""


def look_up(name: str, *, resolver: dns.resolver.Resolver | None = None, hosts: Path = HOSTS) -> Answer:
    """Ask name servers, those of /etc/resolv.conf unless a `resolver` is given; and where they do not have
    the name, the hosts file. ResolveError. It takes as long as the resolver's lifetime at most.

    The system's own look-up (getaddrinfo) is not asked: it would try a name that is not there in the domains
    that resolv.conf searches too, and so give a rule the addresses of another name.
    """
    if resolver is None:
        try:
            resolver = dns.resolver.Resolver()
        except dns.exception.DNSException:
            return _of_hosts(name, hosts)
        resolver.lifetime = _PATIENCE_S
    deadline = time.monotonic() + resolver.lifetime
    addresses: set[Address] = set()
    ttls: list[int] = []
    for kind in ("A", "AAAA"):
        try:
            left = max(deadline - time.monotonic(), 0.0)
            answer = resolver.resolve(name, kind, search=False, lifetime=left)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.Timeout as error:
            raise ResolveError("no name server answers") from error
        except dns.exception.DNSException as error:
            # Half of an answer would take the other half away.
            raise ResolveError(str(error)) from error
        # Of the whole chain: an alias may point elsewhere before the address that it leads to is old.
        ttls.append(answer.chaining_result.minimum_ttl)
        addresses.update(ip_address(record.address) for record in answer)
    return Answer(frozenset(addresses), min(ttls)) if addresses else _of_hosts(name, hosts)


def _of_hosts(name: str, hosts: Path) -> Answer:
    """What the hosts file says of a name: lines of an address and names (hosts(5))."""
    wanted = name.lower().removesuffix(".")
    found: set[Address] = set()
    try:
        for line in hosts.read_text(errors="replace").splitlines():
            address, *names = line.partition("#")[0].split() or [""]
            if wanted in (one.lower().removesuffix(".") for one in names):
                found.add(ip_address(address))
    except (OSError, ValueError) as error:
        raise ResolveError(f"{hosts} cannot be read: {error}") from error
    if not found:
        raise ResolveError("there is no such name")
    return Answer(frozenset(found), _HOSTS_TTL)
