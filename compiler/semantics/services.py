"""Whether a service of the language covers a packet."""

from __future__ import annotations

from collections.abc import Iterable

from wardgate.compiler.language.model import (
    ICMP,
    ICMPV6,
    Everything,
    Icmp,
    Ports,
    Protocol,
    ServiceForm,
)


def matches(form: ServiceForm, protocol: int, port: int | None, version: int) -> bool:
    """Whether `form` covers a packet of IP protocol number `protocol` with a remote of IP `version`.

    `port` is the packet's destination port where the protocol has ports, else None.
    """
    match form:
        case Everything():
            return True
        case Ports(protocols, low, high):
            return protocol in protocols and port is not None and low <= port <= high
        case Protocol(number):
            return protocol == number
        case Icmp():
            return protocol == (ICMP if version == 4 else ICMPV6)


def any_matches(forms: Iterable[ServiceForm], protocol: int, port: int | None, version: int) -> bool:
    """Whether one of `forms` covers the packet."""
    return any(matches(form, protocol, port, version) for form in forms)
