"""What a policy file says, with the place of every part: the parser's result, everyone's input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

EVERYONE = "*"
GROUP_MARK = "group:"

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
PORT_PROTOCOLS = (TCP, UDP, SCTP)
"""The protocols that `any` means, in the order in which tables hold them."""
MAX_PORT = 65_535
EXTENSION_HEADERS = frozenset({0, 43, 44, 60})
"""Protocol numbers that are extension headers in IPv6 (RFC 8200, section 4), so that no packet is of them."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a policy file. `file` is relative to the main file's folder, with `/`; line and
    column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Action(Enum):
    """What a rule does; the values are the words of the language."""

    ALLOW = "allow"
    MFA = "mfa"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Everything:
    """Every packet."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports `low` to `high`, inclusive, of each protocol in `protocols` (of PORT_PROTOCOLS).

    All ports of a protocol are 0 to 65535, which is also what `proto/6` becomes.
    """

    protocols: frozenset[int]
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Protocol:
    """An IP protocol without ports, by number."""

    number: int


@dataclass(frozen=True, slots=True)
class Icmp:
    """ICMP with an IPv4 address, ICMPv6 with an IPv6 one."""


ServiceForm = Everything | Ports | Protocol | Icmp


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as written: one text, perhaps several prefixes (a host name with several addresses).

    `id` counts from 1 in source order over all files. `subject` is `*`, `group:NAME` or a user.
    `text` is the rule as the file has it; `inbound`: from the `inbound` part, so `destinations` are
    the sources of packets towards the device, and services are ports of the device. `within`: of an `mfa`
    rule, how many seconds ago the last login may have been; None: it does not say.
    """

    id: int
    action: Action
    subject: str
    inbound: bool
    text: str
    position: Position
    destinations: tuple[Prefix, ...]
    services: tuple[ServiceForm, ...]
    within: int | None = None


@dataclass(frozen=True, slots=True)
class Packet:
    """What a verdict is asked about, apart from who asks: the remote address and the service.

    `port` is the destination port of PORT_PROTOCOLS, else None. With `inbound` the remote is the
    sender, and `port` is the device's.
    """

    remote: Address
    protocol: int
    port: int | None
    inbound: bool = False


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """An entry of `tests`."""

    user: str
    packet: Packet
    expect: Action
    position: Position
    text: str


class AssertionKind(Enum):
    """How an assertion quantifies; the values are the words of the language."""

    NEVER = "never"
    ALWAYS = "always"
    ONLY = "only"


@dataclass(frozen=True, slots=True)
class Assertion:
    """An entry of `assertions`; see compiler/semantics for what each kind claims.

    `subject` is `*`, a group or a user; `authed` None: in both session states. `any_membership`: also if
    users were in other groups than they are, whichever.
    """

    kind: AssertionKind
    subject: str
    destinations: tuple[Prefix, ...]
    services: tuple[ServiceForm, ...]
    authed: bool | None
    inbound: bool
    position: Position
    text: str
    any_membership: bool = False


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A policy file: `name` as in Position.file, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy, its includes merged.

    `rules[i].id == i + 1`. `groups` maps `group:NAME` to its members in source order. `resolved` has
    each DNS name that was asked of the resolver. `tunnel_positions` runs with `tunnel`.
    """

    files: tuple[SourceFile, ...]
    tunnel: tuple[Prefix, ...]
    tunnel_positions: tuple[Position, ...]
    groups: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    tests: tuple[PolicyTest, ...]
    assertions: tuple[Assertion, ...]
    resolved: Mapping[str, tuple[Address, ...]]

    @property
    def users(self) -> tuple[str, ...]:
        """Every user whom a group or a rule names, sorted."""
        named = {member for members in self.groups.values() for member in members}
        named |= {
            rule.subject
            for rule in self.rules
            if rule.subject != EVERYONE and not rule.subject.startswith(GROUP_MARK)
        }
        return tuple(sorted(named))
