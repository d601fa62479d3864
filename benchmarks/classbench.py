"""ClassBench filter sets as policies.

ClassBench (Taylor and Turner, IEEE INFOCOM 2005) describes filters of real firewalls and makes sets like
them.
A line of its output has a source prefix, a destination prefix, source ports, destination ports and a
protocol with its mask. The conversion is fixed, so that figures on the same file can be compared:

- The source prefix stands for who asks: it picks a group, by CRC-32.
- Destination, its ports and the protocol become the rule. Source ports, flags and order are dropped.
- 70, 20 and 10 per cent of filters allow, allow with a login, and deny, by CRC-32 of the line.
- A filter for port 0 alone has no rule, since the language has no such service; ranges start at 1.
- Users are in one to five groups each, drawn from a seed.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Prefix

from benchmarks.policies import GeneratedPolicy, Shape

USERS: Final = 1_000
GROUPS: Final = 100
TUNNEL: Final = "100.64.0.0/10"

_PORTS = r"(\d+) : (\d+)"
_FILTER: Final = re.compile(
    rf"@(?P<source>\S+)\s+(?P<destination>\S+)\s+{_PORTS}\s+{_PORTS}\s+"
    r"0x(?P<protocol>[\da-fA-F]+)/0x(?P<mask>[\da-fA-F]+)"
)
_LOW, _HIGH = 5, 6
_WITH_PORTS: Final = {6: "tcp", 17: "udp", 132: "sctp"}
_ICMP: Final = 1
_LAST_PORT: Final = 65_535
_ALLOWED, _ALLOWED_WITH_LOGIN = 70, 90


class FilterError(Exception):
    """The file has no filter that could be read."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A line of a filter set, which is kept as `text`, its end included. `mask` 0: any protocol."""

    text: str
    source: str
    destination: Prefix
    low: int
    high: int
    protocol: int
    mask: int

    @property
    def service(self) -> str:
        """The service as the language writes it; empty for everything."""
        name = "any" if not self.mask else _WITH_PORTS.get(self.protocol)
        if name is None:
            return "icmp" if self.protocol == _ICMP else f"proto/{self.protocol}"
        if self.low == 0 and self.high == _LAST_PORT:
            return name if self.mask else ""
        low = max(self.low, 1)
        return f"{low}/{name}" if low == self.high else f"{low}-{self.high}/{name}"

    @property
    def action(self) -> str:
        """What the rule does."""
        share = zlib.crc32(self.text.encode()) % 100
        if share < _ALLOWED:
            return "allow"
        return "mfa" if share < _ALLOWED_WITH_LOGIN else "deny"


def read_filters(lines: Iterable[str]) -> Iterable[Filter]:
    """The filters that have a rule; lines of another form are passed over."""
    for line in lines:
        found = _FILTER.match(line)
        if found is None or int(found[_HIGH]) == 0:
            continue
        yield Filter(
            line,
            found["source"],
            ip_network(found["destination"], strict=False),
            int(found[_LOW]),
            int(found[_HIGH]),
            int(found["protocol"], 16),
            int(found["mask"], 16),
        )


def document(
    lines: Iterable[str], *, users: int = USERS, groups: int = GROUPS, seed: int = 1
) -> dict[str, Any]:
    """The policy as the JSON document that the language reads. FilterError where there is no filter."""
    policies: dict[str, dict[str, list[str]]] = {}
    for one in read_filters(lines):
        group = f"group:g{zlib.crc32(one.source.encode()) % groups}"
        rules = policies.setdefault(group, {}).setdefault(one.action, [])
        rules.append(f"{one.destination} {one.service}".rstrip())
    if not policies:
        raise FilterError("it has no filter in the form of ClassBench")
    return {
        "version": 1,
        "tunnel": [TUNNEL],
        "groups": _members(users, groups, seed),
        "policies": policies,
    }


def _members(users: int, groups: int, seed: int) -> dict[str, list[str]]:
    random_ = random.Random(seed)  # noqa: S311 - the same numbers each time are what is wanted
    members: dict[str, list[str]] = {f"group:g{number}": [] for number in range(groups)}
    names = sorted(members)
    for number in range(users):
        count = random_.randint(1, min(5, groups))
        for group in random_.sample(names, count):
            members[group].append(f"user{number}")
    return members


def convert(path: Path) -> GeneratedPolicy:
    """The policy of a filter set. FilterError, OSError."""
    with path.open(encoding="ascii") as lines:
        text = json.dumps(document(lines), indent=1)
    policy = parse_policy_text(text, "policy.json").policy
    prefixes = {prefix for rule in policy.rules for prefix in rule.destinations}
    shape = Shape(len(policy.rules), len(prefixes), GROUPS, USERS, versions=(4,))
    return GeneratedPolicy(shape, text, policy, tuple(f"user{number}" for number in range(USERS)))
