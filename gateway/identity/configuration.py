"""A device's configuration, as wg-quick and the apps read it.

Everything in it is checked where it is made, so that no name or setting can add a line: a line of such a
file may be a command that runs as root (PostUp, see wg-quick(8)).
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from wardgate.gateway.errors import InvalidError
from wardgate.gateway.identity.devices import check_keepalive, preshared_context
from wardgate.gateway.identity.keys import check_public_key, key_bytes, public_key_of
from wardgate.gateway.identity.names import check_device, check_user
from wardgate.gateway.identity.pools import read_prefix, tunnel_address
from wardgate.gateway.identity.routes import routes
from wardgate.gateway.records import Device

Unseal = Callable[[str, str], bytes]
"""Decrypts what `Seal` made; see challenges.sealing."""

PRIVATE_KEY_LINE: Final = "# PrivateKey = (put the device's own private key here, and remove the # before it)"
"""Stands where the private key belongs, in a configuration that was made without it."""

LEAST_MTU: Final = 1280
"""What IPv6 needs (RFC 8200 section 5)."""
MOST_MTU: Final = 65_455
"""65,535 less what WireGuard and the headers around it take over IPv6: 80 bytes."""

_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_ENDPOINT: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[1-9][0-9]{0,4})"
)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What the operator says of all clients' configurations; InvalidError where it is no such thing.

    `endpoint`: where the gateway is reached from outside, `HOST:PORT`, an IPv6 address in brackets.
    `portal`: the gateway's own tunnel addresses, which every device can reach. `login_url`: where people
    log in. `dns`: resolvers' addresses, and domains to search. `mtu`: bytes, None: left to the client.
    `keepalive`: seconds, for devices without their own. `allowed_ips`: prefixes for AllowedIPs, None:
    derived from each user's policy.
    """

    endpoint: str
    portal: tuple[str, ...] = ()
    login_url: str | None = None
    dns: tuple[str, ...] = ()
    mtu: int | None = None
    keepalive: int | None = None
    allowed_ips: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        read_endpoint(self.endpoint)
        for address in self.portal:
            tunnel_address(address)
        if self.login_url is not None and not _URL.fullmatch(self.login_url):
            raise _invalid("login_url", f"{self.login_url[:80]!r} is no plain URL", "mend gateway.yaml")
        for name in self.dns:
            _resolver(name)
        _check_mtu(self.mtu)
        check_keepalive(self.keepalive)
        for prefix in self.allowed_ips or ():
            read_prefix(prefix)
        if self.allowed_ips == ():
            raise _invalid("allowed_ips", "it is empty, so nothing would go into the tunnel", "name a prefix")


@dataclass(frozen=True, slots=True)
class ClientConfiguration:
    """The configuration of one device; InvalidError where something of it could not be read back.

    `device`: USER/NAME. `public_key`: the device's, `gateway_key`: the gateway's, `preshared_key`: in clear,
    or None; all base64. `addresses`: the device's. The rest is as in ClientSettings.
    """

    device: str
    public_key: str
    addresses: tuple[str, ...]
    gateway_key: str
    preshared_key: str | None
    endpoint: str
    allowed_ips: tuple[str, ...]
    login_url: str | None = None
    dns: tuple[str, ...] = ()
    mtu: int | None = None
    keepalive: int | None = None

    def __post_init__(self) -> None:
        user, _, name = self.device.partition("/")
        check_user(user)
        check_device(name)
        check_public_key(self.public_key)
        check_public_key(self.gateway_key)
        if self.preshared_key is not None:
            key_bytes("read preshared key", self.preshared_key, shown=False)
        for address in self.addresses:
            tunnel_address(address)
        if not self.addresses:
            raise _invalid(self.device, "the device has no tunnel address", "add it with one")
        ClientSettings(
            self.endpoint,
            login_url=self.login_url,
            dns=self.dns,
            mtu=self.mtu,
            keepalive=self.keepalive,
            allowed_ips=self.allowed_ips or None,
        )

    def __repr__(self) -> str:
        return f"ClientConfiguration({self.device})"

    @property
    def file_name(self) -> str:
        """A name for the file, of the form that wg-quick and the kernel take: `wg-` and what fits of the
        device's (15 bytes, IFNAMSIZ)."""
        return f"wg-{self.device.partition('/')[2][:12]}.conf"

    def text(self, private_key: str | None) -> str:
        """The file. Without the private key, PRIVATE_KEY_LINE stands in its place.

        InvalidError where the private key is not that of the device's public key.
        """
        if private_key is not None and public_key_of(private_key) != self.public_key:
            raise InvalidError(
                "write configuration",
                self.device,
                "the private key is not that of the device's public key",
                "enrol the device with the key that it has now",
            )
        return "\n".join([*self._head(), "", *self._interface(private_key), "", *self._peer(), ""])

    def _head(self) -> list[str]:
        path = f"/etc/wireguard/{self.file_name}"
        interface = self.file_name.removesuffix(".conf")
        lines = [
            f"# WireGuard configuration of {self.device}.",
            "# In the WireGuard app: add a tunnel from this file, or scan its QR code.",
            f"# On Linux: save it as {path}, readable by root alone, then: wg-quick up {interface}",
        ]
        if self.login_url is not None:
            lines.append(f"# When it is up, log in at {self.login_url}")
        return lines

    def _interface(self, private_key: str | None) -> list[str]:
        lines = ["[Interface]"]
        lines.append(PRIVATE_KEY_LINE if private_key is None else f"PrivateKey = {private_key}")
        hosts = (str(ipaddress.ip_network(address)) for address in self.addresses)
        lines.append(f"Address = {', '.join(hosts)}")
        if self.dns:
            lines.append(f"DNS = {', '.join(map(_resolver, self.dns))}")
        if self.mtu is not None:
            lines.append(f"MTU = {self.mtu}")
        return lines

    def _peer(self) -> list[str]:
        lines = ["[Peer]", f"PublicKey = {self.gateway_key}"]
        if self.preshared_key is not None:
            lines.append(f"PresharedKey = {self.preshared_key}")
        lines.append(f"Endpoint = {self.endpoint}")
        if self.allowed_ips:
            lines.append(f"AllowedIPs = {', '.join(str(read_prefix(prefix)) for prefix in self.allowed_ips)}")
        if self.keepalive is not None:
            lines.append(f"PersistentKeepalive = {self.keepalive}")
        return lines


class Configurations:
    """Makes devices' configurations from what holds now, so that making one again refreshes it.

    `gateway_key`: the gateway's public key. `reachable`: the prefixes of which a rule of the user's effective
    policy allows something, at once or after a login. `unseal`: for preshared keys.
    """

    def __init__(
        self,
        settings: ClientSettings,
        gateway_key: str,
        reachable: Callable[[str], Iterable[str]],
        unseal: Unseal,
    ) -> None:
        self.settings = settings
        self._gateway_key = check_public_key(gateway_key)
        self._reachable = reachable
        self._unseal = unseal

    def of(self, device: Device) -> ClientConfiguration:
        """The device's configuration."""
        settings, secret = self.settings, None
        if device.preshared_key is not None:
            secret = base64.b64encode(
                self._unseal(device.preshared_key, preshared_context(device.id))
            ).decode()
        return ClientConfiguration(
            device=f"{device.user}/{device.name}",
            public_key=device.public_key,
            addresses=device.addresses,
            gateway_key=self._gateway_key,
            preshared_key=secret,
            endpoint=settings.endpoint,
            allowed_ips=self.allowed_ips(device),
            login_url=settings.login_url,
            dns=settings.dns,
            mtu=settings.mtu,
            keepalive=device.keepalive if device.keepalive is not None else settings.keepalive,
        )

    def allowed_ips(self, device: Device) -> tuple[str, ...]:
        """What goes into the tunnel: what the operator says, else what the user's policy lets through and
        the portal."""
        if self.settings.allowed_ips is not None:
            return self.settings.allowed_ips
        versions = {ipaddress.ip_address(address).version for address in device.addresses}
        outside, _ = read_endpoint(self.settings.endpoint)
        return routes(
            self._reachable(device.user),
            self.settings.portal,
            versions,
            None if isinstance(outside, str) else outside,
        )


def read_endpoint(text: str) -> tuple[str | IPv4Address | IPv6Address, int]:
    """The host (a name, or an address) and port of `HOST:PORT`; InvalidError."""
    found = _ENDPOINT.fullmatch(text)
    port = int(found["port"]) if found else 0
    if found is None or not 1 <= port <= 65_535:
        raise _invalid("endpoint", f"{text[:80]!r} is not HOST:PORT", "for example vpn.example.com:51820")
    host = found["six"] or found["host"]
    try:
        address = IPv6Address(host) if found["six"] else IPv4Address(host)
    except ValueError:
        # A last label of digits alone would be an address (RFC 1123 section 2.1), so it is a wrong one.
        if found["six"] or not _HOST_NAME.fullmatch(host) or host.rpartition(".")[2].isdigit():
            raise _invalid(
                "endpoint", f"{host[:80]!r} is neither an address nor a host name", "mend gateway.yaml"
            ) from None
        return host, port
    return address, port


def _resolver(name: str) -> str:
    """A resolver's address in its usual form, or a domain; InvalidError."""
    try:
        return str(tunnel_address(name))
    except InvalidError:
        if not _HOST_NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
            raise _invalid(
                "dns", f"{name[:80]!r} is neither an address nor a domain", "mend gateway.yaml"
            ) from None
        return name


def _check_mtu(mtu: int | None) -> None:
    if mtu is not None and not LEAST_MTU <= mtu <= MOST_MTU:
        raise _invalid("mtu", f"{mtu} is not {LEAST_MTU} to {MOST_MTU}", "1420 suits most networks")


def _invalid(target: str, cause: str, remedy: str) -> InvalidError:
    return InvalidError("make client configuration", target, cause, remedy)
