"""Policies that are as bad as possible for some structure of tables, of any size, as documents.

`disjoint`: no two groups share a prefix. `single_ports`: as many services as there are ports.
`near_hosts`: IPv6 hosts that differ in their last bits alone.
"""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address
from typing import Any

Document = dict[str, Any]


def disjoint(groups: int, prefixes: int, *, classes: int | None = None, seed: int = 1) -> Document:
    """Each group has so many /32s that nobody else has, each in a /24 of its own, scattered over all of IPv4.
    There are as many policy classes as groups, or `classes` of users in three groups each."""
    random_ = random.Random(seed)
    nets = random_.sample(range(1 << 16, 200 << 16), groups * prefixes)
    policies = {
        _group(number): {
            "allow": [
                f"{IPv4Address(net << 8 | random_.randrange(256))} 443/tcp"
                for net in nets[number * prefixes : (number + 1) * prefixes]
            ]
        }
        for number in range(groups)
    }
    return _document(policies, _members(random_, groups, classes))


def single_ports(ports: int, *, rules_a_bucket: int, groups: int = 1, seed: int = 1) -> Document:
    """`ports` services, a port each, over as many buckets as it takes with so many rules in each."""
    random_ = random.Random(seed)
    numbers = random_.sample(range(1, 65_536), min(ports, 65_535))
    policies: dict[str, dict[str, list[str]]] = {
        _group(number): {"allow": [], "mfa": []} for number in range(groups)
    }
    for place, port in enumerate(numbers):
        bucket = place // rules_a_bucket
        action = "mfa" if place % 5 == 0 else "allow"
        rule = f"{IPv4Address((10 << 24) + bucket)} {port}/tcp"
        policies[_group(bucket % groups)][action].append(rule)
    return _document(policies, {_group(number): [f"user{number}"] for number in range(groups)})


def near_hosts(groups: int, hosts: int = 256, *, seed: int = 1) -> Document:
    """Each group has so many /128s; all of them share their first 120 bits, or as many as there can be where
    groups * hosts are more than 256."""
    random_ = random.Random(seed)
    base = int(IPv6Address("fd00:1:2:3:4:5:6:0"))
    places = random_.sample(range(groups * hosts), groups * hosts)
    policies = {
        _group(number): {
            "allow": [
                f"{IPv6Address(base + place)} {random_.choice((22, 80, 443))}/tcp"
                for place in sorted(places[number * hosts : (number + 1) * hosts])
            ]
        }
        for number in range(groups)
    }
    return _document(policies, _members(random_, groups, None))


def _group(number: int) -> str:
    return f"group:g{number}"


def _members(random_: random.Random, groups: int, classes: int | None) -> dict[str, list[str]]:
    if classes is None:
        return {_group(number): [f"user{number}"] for number in range(groups)}
    members: dict[str, list[str]] = {_group(number): [] for number in range(groups)}
    for user in range(classes):
        for number in random_.sample(range(groups), 3):
            members[_group(number)].append(f"user{user}")
    return members


def _document(policies: dict[str, Any], members: dict[str, list[str]]) -> Document:
    return {
        "version": 1,
        "tunnel": ["100.64.0.0/16", "fd77:64::/64"],
        "groups": members,
        "policies": policies,
    }
