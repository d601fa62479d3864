"""Policies of any size, drawn from a seed, with the prefixes and ports that VPN policies have.

A policy is a document of the language (the dictionaries that its JSON form reads as), so a benchmark
measures the whole way from text to verdict. The same shape gives the same document, on any machine.

What is drawn, and from what:

- Prefixes lie in sites (a /16 of 10.0.0.0/8, a /48 of fd00::/8). Most are single hosts and their subnets,
  a few are whole sites or more, so that prefixes nest as they do where a subnet rule has exceptions.
- Everyone has an intranet host (allow, web) and a subnet (mfa, ssh) of each version, so that no policy is
  without either. Any other rule is a group's, now and then everyone's; groups own rules unevenly, with
  weights that fall as 1/sqrt(rank).
- Every prefix has a rule at least; what rules are left go to prefixes by popularity, as 1/rank.
- Services: a few well-known ports make up most, ranges and whole protocols the rest.
- Actions: 70% allow, 20% mfa, 10% deny, the shares of the ClassBench conversion.
- Each policy class has one user, in one to five groups, no two in the same ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import accumulate
from typing import Any, Final

from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy

Network = IPv4Network | IPv6Network

TUNNEL4: Final = IPv4Network("100.64.0.0/15")
TUNNEL6: Final = IPv6Network("fd77:64::/64")
"""Room for 100,000 devices, outside of every prefix that is drawn."""

_LENGTHS: Final[Mapping[int, Sequence[tuple[int, int]]]] = {
    4: ((32, 55), (24, 20), (28, 5), (27, 3), (26, 3), (25, 2), (23, 3), (22, 3), (20, 2), (16, 3), (12, 1)),
    6: ((128, 45), (64, 35), (112, 3), (96, 2), (60, 3), (56, 6), (48, 5), (44, 1)),
}
"""Prefix lengths with their weights."""

_SERVICES: Final = (
    ("443/tcp", 22), ("80/tcp", 12), ("22/tcp", 12), ("3389/tcp", 5), ("53/any", 4), ("5432/tcp", 4),
    ("3306/tcp", 3), ("445/tcp", 3), ("8080/tcp", 3), ("8443/tcp", 3), ("6379/tcp", 2), ("9200/tcp", 2),
    ("389/tcp", 2), ("636/tcp", 2), ("88/any", 2), ("123/udp", 2), ("161/udp", 2), ("514/udp", 1),
    ("8000-8999/tcp", 2), ("5000-5100/tcp", 1), ("1024-65535/tcp", 2), ("30000-32767/tcp", 1),
    ("10000-20000/udp", 1), ("tcp", 2), ("udp", 1), ("icmp", 2), ("PORT/tcp", 4), ("PORT/udp", 1), ("", 6),
)  # fmt: skip
"""Services with their weights; PORT is any port, drawn anew, and nothing is every service."""

_FOR_EVERYONE: Final = {
    4: ("10.0.0.5/32 443/tcp 80/tcp", "10.0.8.0/24 22/tcp"),
    6: ("fd00::5/128 443/tcp 80/tcp", "fd00:0:0:8::/64 22/tcp"),
}
_ACTIONS: Final = (("allow", 70), ("mfa", 20), ("deny", 10))
_SHARE_OF_EVERYONE: Final = 0.02
_SHARE_OF_V6: Final = 0.3
_SITES: Final = 200


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a policy is: ten rules at least. `versions` are the IP versions that it has prefixes of."""

    rules: int
    prefixes: int
    groups: int
    classes: int
    versions: tuple[int, ...] = (4, 6)
    seed: int = 1

    @classmethod
    def of_rules(cls, rules: int, *, seed: int = 1) -> Shape:
        """The shape that goes with a number of rules: a prefix for two rules, up to 10,000; a group for
        ten rules, up to 100; a policy class for ten rules, up to 1,000."""
        prefixes, groups, classes = rules // 2, rules // 10, rules // 10
        return cls(
            rules,
            min(max(prefixes, 8), 10_000),
            min(max(groups, 3), 100),
            min(max(classes, 5), 1_000),
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class GeneratedPolicy:
    """A policy as text and as the compiler reads it; `users` has one user of each policy class."""

    shape: Shape
    text: str
    policy: Policy
    users: tuple[str, ...]


def generate(shape: Shape) -> GeneratedPolicy:
    """The policy of a shape."""
    text = json.dumps(document(shape), indent=1)
    policy = parse_policy_text(text, "policy.json").policy
    return GeneratedPolicy(shape, text, policy, _users(shape.classes))


def document(shape: Shape) -> dict[str, Any]:
    """The policy as the JSON document that the language reads."""
    random_ = random.Random(shape.seed)  # noqa: S311 - the same numbers each time are what is wanted
    groups = [f"group:g{number}" for number in range(shape.groups)]
    fixed = [text for version in shape.versions for text in _FOR_EVERYONE[version]]
    policies: dict[str, dict[str, list[str]]] = {"*": {"allow": fixed[::2], "mfa": fixed[1::2]}}
    prefixes = _prefixes(random_, shape, [ip_network(text.split()[0]) for text in fixed])
    for prefix in _of_rules(random_, prefixes, shape.rules - len(fixed)):
        subject = "*" if random_.random() < _SHARE_OF_EVERYONE else _uneven(random_, groups)
        action = _weighted(random_, _ACTIONS)
        service = _weighted(random_, _SERVICES).replace("PORT", str(random_.randint(1, 65_535)))
        policies.setdefault(subject, {}).setdefault(action, []).append(f"{prefix} {service}".strip())
    return {
        "version": 1,
        "tunnel": [str(TUNNEL4), str(TUNNEL6)],
        "groups": _members(random_, groups, shape.classes),
        "policies": policies,
    }


def full_buckets(
    rules: int = 127, *, groups: int = 100, classes: int = 1_000, seed: int = 1
) -> GeneratedPolicy:
    """A policy each of whose buckets has so many rules, one port each: `groups` services of ten hosts of
    either IP version, each open to a group."""
    random_ = random.Random(seed)  # noqa: S311 - the same numbers each time are what is wanted
    pool = random_.sample(range(1, 65_536), 2 * rules)
    names = [f"group:g{number}" for number in range(groups)]
    hosts, policies = {}, {}
    for number, name in enumerate(names):
        hosts[f"farm{number}"] = [
            *(f"10.{number}.0.{host}" for host in range(1, 11)),
            *(f"fd00:{number:x}::{host:x}" for host in range(1, 11)),
        ]
        ports = random_.sample(pool, rules)
        mfa = rules // 5
        policies[name] = {
            "allow": [f"farm{number} {port}/tcp" for port in ports[mfa:]],
            "mfa": [f"farm{number} {port}/tcp" for port in ports[:mfa]],
        }
    text = json.dumps(
        {
            "version": 1,
            "tunnel": [str(TUNNEL4), str(TUNNEL6)],
            "hosts": hosts,
            "groups": _members(random_, names, classes),
            "policies": policies,
        },
        indent=1,
    )
    shape = Shape(rules * groups, 20 * groups, groups, classes, seed=seed)
    return GeneratedPolicy(shape, text, parse_policy_text(text, "policy.json").policy, _users(classes))


def _users(classes: int) -> tuple[str, ...]:
    return tuple(f"user{number}" for number in range(classes))


def _weighted(random_: random.Random, choices: Sequence[tuple[Any, int]]) -> Any:
    values, weights = zip(*choices, strict=True)
    return random_.choices(values, weights)[0]


def _uneven(random_: random.Random, groups: Sequence[str]) -> str:
    # The inverse of the distribution whose density falls as 1/sqrt(rank).
    return groups[int(random_.random() ** 2 * len(groups))]


def _prefixes(random_: random.Random, shape: Shape, fixed: Sequence[Network]) -> list[Network]:
    """Distinct prefixes, other than those that everyone's fixed rules have."""
    sites4 = random_.sample(range(10 << 8, 11 << 8), _SITES)
    sites6 = random_.sample(range(1 << 32), _SITES)
    found: dict[Network, None] = {}
    while len(found) < shape.prefixes - len(fixed):
        version = shape.versions[0]
        if len(shape.versions) > 1:
            version = 6 if random_.random() < _SHARE_OF_V6 else 4
        length = _weighted(random_, _LENGTHS[version])
        network: Network
        if version == 4:
            address = random_.choice(sites4) << 16 | _clustered(random_, 16)
            network = IPv4Network((address, length), strict=False)
        else:
            subnet = _clustered(random_, 16) << 64
            host = random_.choice((_clustered(random_, 16), random_.getrandbits(64)))
            address = 0xFD << 120 | random_.choice(sites6) << 80 | subnet | host
            network = IPv6Network((address, length), strict=False)
        if network not in fixed and not network.overlaps(TUNNEL4 if version == 4 else TUNNEL6):
            found[network] = None
    return list(found)


def _clustered(random_: random.Random, bits: int) -> int:
    """A number of so many bits; the lower ones are likelier, as subnets and hosts are numbered from 0."""
    return int(random_.random() ** 3 * (1 << bits))


def _of_rules(random_: random.Random, prefixes: list[Network], rules: int) -> list[Network]:
    """The prefix of each rule."""
    ranks = list(accumulate(1 / rank for rank in range(1, len(prefixes) + 1)))
    more = random_.choices(prefixes, cum_weights=ranks, k=max(0, rules - len(prefixes)))
    found = [*prefixes[:rules], *more]
    random_.shuffle(found)
    return found


def _members(random_: random.Random, groups: Sequence[str], classes: int) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {group: [] for group in groups}
    seen: set[tuple[str, ...]] = set()
    while len(seen) < classes:
        chosen = tuple(sorted(random_.sample(groups, random_.randint(1, min(5, len(groups))))))
        if chosen in seen:
            continue
        for group in chosen:
            members[group].append(f"user{len(seen)}")
        seen.add(chosen)
    return members
