"""The settings of a gateway. Durations are seconds; paths are absolute."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Literal

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network
Listen = tuple[Address, int]
"""An address of this machine and a port."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate with its chain, and its key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Control:
    """Where the control API listens. `group`: whose members may use it besides root; None: nobody."""

    socket: Path
    group: str | None


@dataclass(frozen=True, slots=True)
class Portal:
    """The portal, on the gateway's own tunnel addresses. `names`: host names that lead there besides."""

    port: int
    names: tuple[str, ...]
    tls: Tls | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The public enrolment page. `trusted_proxies`: whose X-Forwarded-For counts."""

    listen: tuple[Listen, ...]
    names: tuple[str, ...]
    tls: Tls | None
    trusted_proxies: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Sessions:
    """How long a login is good for; `idle`: how long a device may be silent, None: as long as it likes."""

    lifetime: int
    idle: int | None


@dataclass(frozen=True, slots=True)
class Login:
    """`issuer`: what an authenticator calls this gateway. After `attempts` failures nothing is tried for
    `delay`, which doubles with each further failure, up to `longest_delay`."""

    issuer: str
    attempts: int
    delay: int
    longest_delay: int


@dataclass(frozen=True, slots=True)
class Roaming:
    """`on_roam`: challenge, handshake or ignore. `detector`: auto, fentry, underlay or polling. `interval`:
    of polling."""

    on_roam: str
    detector: str
    interval: float


@dataclass(frozen=True, slots=True)
class Network:
    """`masquerade`: packets of clients leave with the gateway's address, except towards `exclude`.
    `forwarding`: check, enable or ignore the system's settings."""

    masquerade: bool
    exclude: tuple[Prefix, ...]
    forwarding: str


@dataclass(frozen=True, slots=True)
class Client:
    """What clients' configurations say. `allowed_ips` None: what the user's policy allows."""

    dns: tuple[Address, ...]
    allowed_ips: tuple[Prefix, ...] | None
    keepalive: int | None
    mtu: int


@dataclass(frozen=True, slots=True)
class Names:
    """`shortest`: a DNS name is asked again no sooner than this. `grace`: for how long an address that a name
    no longer has is kept."""

    shortest: int
    grace: int


@dataclass(frozen=True, slots=True)
class Log:
    """`form`: text or json. `level`: debug, info, warning or error."""

    form: Literal["json", "text"]
    level: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. `file`: where it was read. `interface`: the WireGuard device; `addresses`: the gateway's own
    in the tunnel, with the length of its prefix; `endpoint`: HOST:PORT at which clients reach `port`."""

    file: Path
    interface: str
    port: int
    endpoint: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    mtu: int
    device_slots: int
    policy: Path
    state: Path
    control: Control
    portal: Portal
    enrolment: Enrolment | None
    sessions: Sessions
    login: Login
    roaming: Roaming
    network: Network
    client: Client
    names: Names
    metrics: Listen | None
    log: Log

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.state / "gateway.db"

    @property
    def private_key(self) -> Path:
        """The file of the gateway's WireGuard key."""
        return self.state / "wireguard.key"

    @property
    def sealing_key(self) -> Path:
        """The file of the key that secrets in the store are sealed with."""
        return self.state / "sealing.key"
