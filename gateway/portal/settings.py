"""What an operator may set of the two web applications."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from wardgate.gateway.portal.hosts import Host, host_of
from wardgate.gateway.portal.limits import Rate

MOST_BODY: Final = 8192
"""Bytes that a form or a JSON document may have; the largest that is asked for has less than 1000."""


def own_hosts(names: tuple[str, ...]) -> frozenset[str]:
    """Names and addresses in the form that a Host header is compared in; ValueError where one is neither."""
    found: list[Host | None] = [host_of(f"[{name}]" if ":" in name else name) for name in names]
    wrong = [name for name, host in zip(names, found, strict=True) if host is None or host.port is not None]
    if wrong or not found:
        raise ValueError(f"not a host name or an address: {', '.join(map(repr, wrong)) or 'none is given'}")
    return frozenset(host.name for host in found if host)


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """The portal inside the tunnel.

    `names`: what browsers may call it: host names and the gateway's tunnel addresses, without a port. `tls`:
    whether browsers reach it by HTTPS. `browser_s`: how long a browser's cookie and forms are good for,
    seconds. `pages`, `logins`: each device's rate; `all_pages`, `all_logins`: that of all together.
    `streams`, `all_streams`: open streams of events, of a device and of all. `ping_s`: seconds between signs
    of life on one; `stream_s`: after which it is closed, and the browser opens another.
    """

    names: tuple[str, ...]
    tls: bool = False
    browser_s: int = 900
    pages: Rate = Rate(60, 120)
    all_pages: Rate = Rate(2000, 12_000)
    logins: Rate = Rate(10, 10)
    all_logins: Rate = Rate(500, 3000)
    streams: int = 6
    all_streams: int = 20_000
    ping_s: float = 15
    stream_s: float = 3600
    hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hosts", own_hosts(self.names))


@dataclass(frozen=True, slots=True)
class EnrolmentSettings:
    """The public enrolment page.

    `names`, `tls`: as of the portal; `tls` also where a proxy in front does it. `trusted_proxies`: whose
    X-Forwarded-For is believed; nobody else's is. `attempts`: the rate of an address (of a /64 of IPv6);
    `all_attempts`: that of all together. `pages`, `all_pages`: the same for whatever spends no token.
    """

    names: tuple[str, ...]
    tls: bool = True
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    pages: Rate = Rate(60, 120)
    all_pages: Rate = Rate(1000, 6000)
    attempts: Rate = Rate(20, 10)
    all_attempts: Rate = Rate(200, 600)
    hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hosts", own_hosts(self.names))
