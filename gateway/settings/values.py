"""Reading single values of gateway.yaml, each with its error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import (
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path
from typing import Final, TypeVar

from wardgate.gateway.compiling.documents import Code, Node, Report, Scalar, Shape, schema
from wardgate.gateway.settings.model import Address, Listen, Prefix
from wardgate.runtime.layout import durations

T = TypeVar("T")
D = TypeVar("D")
A = TypeVar("A")

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
_INTERFACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,14}", re.ASCII)
_NO_INTERFACES: Final = frozenset({"all", "default"})
"""Of settings under /proc/sys/net/*/conf, which the kernel gives to no interface."""
_GROUP: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}


class Section:
    """A mapping of settings, whose keys are taken one by one; `end` reports those that nobody took."""

    def __init__(
        self, report: Report, node: Node | None, shape: Shape, folder: Path, keys: tuple[str, ...]
    ) -> None:
        self._report = report
        self._shape = shape
        self._folder = folder
        found = {} if node is None else schema.keyed(report, node, shape, keys) or {}
        self._values: Mapping[str, Node] = {key: value for key, (_, value) in found.items()}
        self._node = node

    def has(self, key: str) -> bool:
        """Whether there is a value that is not nothing."""
        value = self._values.get(key)
        return value is not None and not (isinstance(value, Scalar) and value.absent)

    def node(self, key: str) -> Node | None:
        """The value itself."""
        return self._values.get(key) if self.has(key) else None

    def required(self, key: str, example: str) -> None:
        """Report where there is no value."""
        if not self.has(key) and self._node is not None:
            self._report.error(
                Code.MISSING_KEY,
                self._node.position,
                f"{self._shape.what} lacks `{key}`",
                f"write, for example: {key}: {example}",
            )

    def one(self, key: str, read: Callable[[str], T], example: str, default: D) -> T | D:
        """A value that is a text; `read` raises ValueError, whose text says why it is none."""
        if not self.has(key):
            return default
        scalar = schema.text(self._report, self._values[key], Shape(f"`{key}`", f"{key}: {example}"))
        found = None if scalar is None else self._read(scalar, read, key, example)
        return default if found is None else found

    def many(self, key: str, read: Callable[[str], T], example: str) -> tuple[T, ...]:
        """A list of such values, or one that stands for it; empty where there is nothing."""
        if not self.has(key):
            return ()
        shape = Shape(f"`{key}`", f"{key}: [{example}]")
        scalars = schema.texts(self._report, self._values[key], shape)
        found = [self._read(scalar, read, key, example) for scalar in scalars]
        return tuple(one for one in found if one is not None)

    def path(self, key: str, default: str | None = None) -> Path | None:
        """A path, relative to the folder of the file."""
        text = self.one(key, str, "file", default)
        return None if text is None else (self._folder / text)

    def _read(self, scalar: Scalar, read: Callable[[str], T], key: str, example: str) -> T | None:
        try:
            return read(scalar.text)
        except ValueError as error:
            self._report.error(
                Code.TYPE,
                scalar.position,
                f"`{key}`: {error}",
                f"write it as in: {key}: {example}",
                length=scalar.length,
            )
            return None


def number(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is no number from {least} to {most}")
        return int(text)

    return read


def choice(*choices: str) -> Callable[[str], str]:
    """Reads one of some words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of: {', '.join(choices)}")
        return text

    return read


def truth(text: str) -> bool:
    """Reads true or false."""
    if text not in _TRUTH:
        raise ValueError(f"{text!r} is neither true nor false")
    return _TRUTH[text]


def seconds(text: str) -> int:
    """Reads a duration."""
    return durations.parse(text)


def prefix(text: str) -> Prefix:
    """Reads a prefix without host bits."""
    return _unscoped(ip_network(text), text)


def address(text: str) -> Address:
    """Reads an address."""
    return _unscoped(ip_address(text), text)


def interface_address(text: str) -> IPv4Interface | IPv6Interface:
    """Reads an address with the length of its prefix."""
    if "/" not in text:
        raise ValueError(f"{text!r} has no prefix length")
    found = _unscoped(ip_interface(text), text)
    network = found.network
    if network.num_addresses > 2:
        if found.ip == network.network_address:
            raise ValueError(f"{text} is a network, not an address in one")
        if found.version == 4 and found.ip == network.broadcast_address:
            raise ValueError(f"{text} is the network's broadcast address")
    if _is_special(found):
        raise ValueError(f"{text} is no address that an interface of a tunnel can have")
    return found


def listen(text: str) -> Listen:
    """Reads ADDRESS:PORT, [ADDRESS]:PORT."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        found = address(host[1:-1])
        if found.version != 6:
            raise ValueError(f"{text!r} has an IPv4 address in brackets")
    else:
        found = address(host)
        if found.version == 6:
            raise ValueError(f"{text!r} needs brackets around the address, as in [::1]:443")
    return found, number(1, 65_535)(port)


def host(text: str) -> str:
    """Reads a host name, in lower case."""
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r} is no host name")
    return text.lower()


def endpoint(text: str) -> str:
    """Reads HOST:PORT where HOST is a name or an address."""
    try:
        listen(text)
    except ValueError:
        name, _, port = text.rpartition(":")
        if ":" in name or not _HOST.fullmatch(name):
            raise ValueError(f"{text!r} is not HOST:PORT") from None
        number(1, 65_535)(port)
    return text


def interface(text: str) -> str:
    """Reads the name of a network interface (at most 15 bytes, see IFNAMSIZ), which is the gate's too: a BPF
    file system has no name with a dot."""
    if not _INTERFACE.fullmatch(text) or text in _NO_INTERFACES:
        raise ValueError(f"{text!r} is no name of a tunnel: letters, digits, _ and -, at most 15")
    return text


def group(text: str) -> str:
    """Reads the name of a group of this machine."""
    if not _GROUP.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a group")
    return text


def issuer(text: str) -> str:
    """Reads the issuer that authenticators show; in a key's URI a colon would end it."""
    if not text.isprintable() or ":" in text or len(text) > 60:
        raise ValueError(f"{text!r} is not short printable text without a colon")
    return text


def _is_special(found: IPv4Interface | IPv6Interface) -> bool:
    """Whether an address means something else than one machine that can be reached from others."""
    own = found.ip
    mapped = isinstance(own, IPv6Address) and own.ipv4_mapped is not None
    return mapped or own.is_multicast or own.is_loopback or own.is_unspecified or own.is_link_local


def _unscoped(found: A, text: str) -> A:
    """`found`, unless it is of one link only, as in fe80::1%eth0: that is no address elsewhere, and behind
    the % could be anything."""
    inner = found.network_address if isinstance(found, IPv6Network) else found
    if isinstance(inner, IPv6Address) and inner.scope_id is not None:
        raise ValueError(f"{text!r} is an address of one link")
    return found
