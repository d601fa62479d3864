"""Policies whose tables have every shape: nodes on all levels of the trie, the search of IPv6 with one
and with both halves of its keys, rows of several pages, uniform buckets, both directions."""

from __future__ import annotations

import json
from functools import cache

import pytest
from encoded_policy import EncodedPolicy, encode
from table_walk import Walk
from wardgate.compiler.validation import ValidationError, validate

OFFICE = """
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
groups:
  group:admins: [alice, bob]
  group:contractors: [carol]
hosts:
  lab: [10.1.0.0/16, "fd00:1::/48"]
services:
  web: [80/tcp, 443/tcp]
policies:
  "*":
    allow: ["10.0.0.5 web", "10.0.0.53 53/any", "fd00::/16 icmp", "192.0.2.0/25"]
    mfa: ["lab"]
  group:contractors:
    deny: ["lab 22/tcp", "203.0.113.9 proto/47"]
    mfa: ["10.0.0.5 8000-9000/tcp", "fd00:1:0:7::1 1-1023/udp"]
  alice:
    mfa: ["10.9.9.0/24 22/tcp", "0.0.0.0/1 icmp"]
    deny: ["10.1.0.0/16 5060/sctp", "192.0.2.0/25 tcp"]
inbound:
  "*":
    allow: ["10.0.0.0/8 22/tcp", "fd00:1::/48 icmp"]
  group:admins:
    deny: ["10.0.0.5 22/tcp"]
    allow: ["10.0.0.128/25"]
"""

SUBNETS = """
version: 1
policies:
  "*":
    allow: ["2001:db8::/32 443/tcp", "2001:db8:0:1::/64", "2001:db8:8000::/33 icmp"]
  dave:
    deny: ["2001:db8:0:1::/64 25/tcp", "2001:db8:ffff::/48"]
    mfa: ["2001:db8::/32 proto/89"]
"""
"""IPv6 alone, whose prefixes end in the first half of an address, and share bits."""

EVERYTHING = """
version: 1
policies:
  "*": {mfa: ["0.0.0.0/0", "::/0"]}
  erin: {deny: ["::/0", "0.0.0.0/0 tcp"], allow: ["255.255.255.255", "0.0.0.0"]}
"""


def wide() -> str:
    """A policy whose rows have several pages: many prefixes, many ports, and users who share few."""
    rules: dict[str, dict[str, list[str]]] = {}
    for index in range(100):
        user, action = f"user{index % 7}", ("allow", "mfa", "deny")[index % 3]
        port = f"{1000 + index}/{('tcp', 'udp', 'sctp')[index % 3]}"
        prefix = f"10.{index % 5}.{index}.0/{24 + index % 9}"
        if index % 4 == 0:
            prefix = f"fd00:{index:x}::/{32 + index % 96}"
        rules.setdefault(user, {}).setdefault(action, []).append(f"{prefix} {port}")
    return json.dumps({"version": 1, "policies": rules})


POLICIES = {"office": OFFICE, "subnets": SUBNETS, "everything": EVERYTHING, "wide": wide()}


@cache
def encoded(name: str) -> EncodedPolicy:
    """A policy's tables, which are proved right."""
    found = encode(POLICIES[name])
    validate(found.artefact(), found.policy)
    return found


@cache
def walked(name: str) -> tuple[Walk, object]:
    """All that can be found in a policy's tables, and what was read for it."""
    walk = Walk(encoded(name))
    meaning = walk.meaning()
    assert not walk.escaped
    return walk, meaning


def refused(changed: EncodedPolicy) -> ValidationError:
    """The error that a change gives."""
    with pytest.raises(ValidationError) as caught:
        validate(changed.artefact(), changed.policy)
    return caught.value


def is_refused(changed: EncodedPolicy) -> bool:
    """Whether the proof of a changed artefact fails."""
    try:
        validate(changed.artefact(), changed.policy)
    except ValidationError:
        return True
    return False


def nobody_can_tell(name: str, changed: EncodedPolicy) -> bool:
    """Whether a policy's changed tables say what they said before, of every packet of every user."""
    known, meaning = walked(name)
    walk = Walk(changed, known)
    return walk.meaning() == meaning and not walk.escaped
