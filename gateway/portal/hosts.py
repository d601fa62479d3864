"""Who a request is addressed to, who sent it, and whose page caused it.

A browser says the first in Host and the last in Origin; neither can be set by a page. Who sent it is the
address of the connection. Any other header is anybody's word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_PORT: Final = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Host:
    """A name in lower case or an address in its usual form, and the port where one is given."""

    name: str
    port: int | None


def headers_of(scope: Any, name: bytes) -> list[bytes]:
    """All values of a header, whose name is in lower case, in an ASGI scope."""
    return [value for key, value in scope["headers"] if key == name]


def host_of(text: str) -> Host | None:
    """What a Host header says (RFC 9110, section 7.2; RFC 3986, section 3.2.2); None where it is not one."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        try:
            name = str(IPv6Address(address)) if bracket and "%" not in address else ""
        except ValueError:
            return None
        colon, port = rest[:1], rest[1:]
    else:
        name, colon, port = text.partition(":")
        name = name.lower().removesuffix(".")
        if len(name) > 253 or not _NAME.fullmatch(name):
            return None
        # All digits and dots is an address for browsers, or nothing.
        if re.fullmatch(r"[0-9.]+", name):
            try:
                name = str(IPv4Address(name))
            except ValueError:
                return None
    if not name or (colon and (colon != ":" or not _PORT.fullmatch(port) or int(port) > 65535)):
        return None
    return Host(name, int(port) if colon else None)


def peer_of(scope: Any) -> IPv4Address | IPv6Address | None:
    """Who is at the other end of the connection. An IPv4 peer of an IPv6 socket is one of IPv4; an address
    with a scope is nobody's."""
    client = scope.get("client")
    try:
        address = ip_address(client[0]) if client else None
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address


def source_of(scope: Any, trusted: Sequence[IPv4Network | IPv6Network]) -> IPv4Address | IPv6Address | None:
    """Who sent a request that may have come through proxies of ours.

    X-Forwarded-For is read from its end, where the nearest proxy wrote, for as long as a trusted one has
    written. What cannot be read there, or is missing, is the proxy's own request.
    """
    address = peer_of(scope)
    forwarded = b",".join(headers_of(scope, b"x-forwarded-for")).decode("latin-1").split(",")
    while address is not None and forwarded and any(address in network for network in trusted):
        try:
            further = ip_address(forwarded.pop().strip())
        except ValueError:
            break
        if isinstance(further, IPv6Address):
            further = further.ipv4_mapped or further
        address = further
    return address


def is_encrypted(scope: Any, trusted: Sequence[IPv4Network | IPv6Network], *, tls: bool) -> bool:
    """Whether the browser sent a request by HTTPS: to us (`tls`), or to a proxy of ours that says so in
    X-Forwarded-Proto."""
    peer = peer_of(scope)
    if tls or peer is None or not any(peer in network for network in trusted):
        return tls
    return headers_of(scope, b"x-forwarded-proto") == [b"https"]


def neighbourhood(address: IPv4Address | IPv6Address | None) -> str:
    """Whom a public limit counts as one: an IPv4 address, or the /64 that one customer has of IPv6."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def is_same_origin(scope: Any, *, tls: bool) -> bool:
    """Whether a page of ours caused the request, or the user did.

    Sec-Fetch-Site says it where the browser sends it, which it does not over plain HTTP; else Origin, or
    Referer of a browser that has no Origin. All that are there must say so, and one must be there. The Host
    header, which they are compared with, was checked before.
    """
    hosts = headers_of(scope, b"host")
    own = host_of(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
    if own is None:
        return False
    sites = headers_of(scope, b"sec-fetch-site")
    origins = headers_of(scope, b"origin") or headers_of(scope, b"referer")
    if any(site != b"same-origin" for site in sites):
        return False
    if any(not _is_at(origin.decode("latin-1"), own, tls=tls) for origin in origins):
        return False
    return bool(sites or origins)


def is_cross_site(scope: Any) -> bool:
    """Whether the browser says that another site's page asks: for what only reads."""
    return any(site not in (b"same-origin", b"none") for site in headers_of(scope, b"sec-fetch-site"))


def _is_at(url: str, own: Host, *, tls: bool) -> bool:
    scheme, default = ("https", 443) if tls else ("http", 80)
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    found = host_of(parts.netloc)
    return (
        parts.scheme == scheme
        and found is not None
        and found.name == own.name
        and (found.port or default) == (own.port or default)
    )
