"""Policies whose tables have every shape, in every form: nodes on all levels of the trie, the search of IPv6
with one and with both halves of its keys, rows of several pages, uniform buckets, both directions."""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

from encoded_policy import EncodedPolicy, encode
from surveys import FORMS, covering
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


TINY = """
version: 1
policies:
  "*":
    allow: ["10.0.0.0/9 80/tcp", "198.51.100.7", "4000::/2", "fd00::5/128 proto/50"]
    mfa: ["10.64.0.0/16"]
  frank: {deny: ["10.0.0.0/9 1000-2000/any", "fd00::/8 icmp", "8000::/2"]}
inbound:
  frank: {allow: ["10.64.0.0/16 icmp", "4000::/2 53/udp", "fd00::/8 icmp"]}
"""
"""So few boundaries that straight-line code has them for both IP versions; those of IPv6 share no bits."""


def many() -> str:
    """A policy whose entries need two bytes in nearly every table: more prefixes, ports, rules and decisions
    than one byte counts."""
    rules: dict[str, dict[str, list[str]]] = {}
    ports = [f"{2000 + 3 * index}/{('tcp', 'udp', 'sctp')[index % 3]}" for index in range(280)]
    for index, port in enumerate(ports):
        prefix = f"10.{index >> 3}.{(index & 7) << 5}.0/{19 + index % 13}"
        if index % 14 == 0:
            prefix = f"fd00:{index:x}::/{32 + index % 96}"
        of_user = rules.setdefault(f"user{index % 70}", {})
        of_user.setdefault(("allow", "mfa", "deny")[index % 5 % 3], []).append(f"{prefix} {port}")
        of_user.setdefault("allow", []).append(f"{prefix} {ports[7 * index % 280]}")
        if index < 80:
            # One prefix with so many rules that which of them decides is more than a byte tells.
            of_zero = rules["user0"].setdefault(("allow", "mfa", "deny")[index % 3], [])
            of_zero.append(f"192.0.2.0/24 {port}")
    return json.dumps({"version": 1, "policies": rules})


FRESH = """
version: 1
policies:
  "*":
    allow: ["203.0.113.0/24 80/tcp", "10.64.0.0/16"]
    mfa: ["10.0.0.0/9 within 2h", "10.64.0.0/16 22/tcp within 15m", "fd00::/8 icmp within 90s"]
  grace:
    mfa: ["10.0.0.0/9 1-1023/any within 5m", "10.64.0.0/16 tcp", "fd00::/8", "198.51.100.7 within 30d"]
    deny: ["10.64.0.0/16 25/tcp"]
  heidi: {mfa: ["10.0.0.0/9 443/tcp within 10m", "10.64.0.0/16 22/tcp within 15m"]}
inbound:
  grace: {mfa: ["10.64.0.0/16 22/tcp within 1h", "10.64.0.0/16"], deny: ["fd00::/8"]}
"""
"""Rules that want recent logins, several in a bucket, with rules between them that do not."""

POLICIES = {
    "office": OFFICE,
    "subnets": SUBNETS,
    "everything": EVERYTHING,
    "tiny": TINY,
    "fresh": FRESH,
    "wide": wide(),
    "many": many(),
}
SLOW = {"many"}
"""Policies that are tested in the first three forms: in these, all tables are there that have two bytes in an
entry."""
FEWER = {"wide": 3, "many": 8}
"""Policies of which a proof takes so long that tests try a fraction of the changes."""


class Case(NamedTuple):
    """A policy, and the plan of `covering` that tells the forms of its tables."""

    policy: str
    form: int

    def __str__(self) -> str:
        return f"{self.policy}-{self.form}"

    def some(self, count: int) -> int:
        """How many changes to try where most policies have `count`."""
        return max(1, count // FEWER.get(self.policy, 1))


EVERY = [Case(policy, form) for policy in POLICIES for form in range(FORMS) if form < 3 or policy not in SLOW]
QUICK = [case for case in EVERY if case.policy not in SLOW]


@cache
def encoded(case: Case) -> EncodedPolicy:
    """A policy's tables in a form, which are proved right."""
    found = encode(POLICIES[case.policy], lambda survey: covering(survey, case.form))
    validate(found.artefact(), found.policy)
    return found


def cases(*structures: str) -> list[Case]:
    """The policies in such forms as differ in the tables whose names begin with one of `structures`."""
    found = []
    met: dict[str, list[object]] = {policy: [] for policy in POLICIES}
    for case in EVERY:
        right = encoded(case)
        parameters = right.manifest.parameters
        tables = {name: data for name, data in right.tables.items() if name.startswith(structures)}
        forms = {name: number for name, number in parameters.items() if name.startswith(structures)}
        if tables and (tables, forms) not in met[case.policy]:
            met[case.policy].append((tables, forms))
            found.append(case)
    return found


def new_tables(case: Case) -> list[str]:
    """The tables that the policy does not have in an earlier form too."""
    before = [encoded(Case(case.policy, form)).tables for form in range(case.form)]
    tables = encoded(case).tables
    return [name for name in tables if all(earlier.get(name) != tables[name] for earlier in before)]


@cache
def walked(case: Case) -> tuple[Walk, object]:
    """All that can be found in a policy's tables, and what was read for it."""
    walk = Walk(encoded(case))
    meaning = walk.meaning()
    assert not walk.escaped
    return walk, meaning


@cache
def claimed(case: Case) -> tuple[Walk, object]:
    """The same with buckets that no packet gets to."""
    walk = Walk(encoded(case), walked(case)[0])
    walk.touched |= walked(case)[0].touched
    claims = walk.claims()
    assert not walk.escaped
    return walk, claims


@cache
def _by_table(case: Case, *, shadows: bool) -> dict[str, list[int]]:
    walk, _ = claimed(case) if shadows else walked(case)
    found: dict[str, list[int]] = {name: [] for name in encoded(case).tables}
    for name, index in sorted(walk.touched):
        found[name].append(index)
    return found


def reached(case: Case, table: str, *, shadows: bool = False) -> list[int]:
    """The entries of a table that some packet of some user leads to, in order; with `shadows`, also those
    that decide of buckets that no packet gets to."""
    return _by_table(case, shadows=shadows)[table]


def refusal(changed: EncodedPolicy) -> ValidationError | None:
    """Why the proof of a changed artefact fails; None where it does not."""
    try:
        validate(changed.artefact(), changed.policy)
    except ValidationError as error:
        return error
    return None


def refused(changed: EncodedPolicy) -> ValidationError:
    """The error that a change gives."""
    error = refusal(changed)
    assert error is not None
    return error


def is_refused(changed: EncodedPolicy) -> bool:
    """Whether the proof of a changed artefact fails."""
    return refusal(changed) is not None


def nobody_can_tell(case: Case, changed: EncodedPolicy) -> bool:
    """Whether a policy's changed tables say what they said before: of every packet of every user, and of the
    buckets that no packet gets to, about which the proof is as strict."""
    known, claims = claimed(case)
    walk = Walk(changed, known)
    return walk.claims() == claims and not walk.escaped


def is_caught(case: Case, changed: EncodedPolicy, *, exactly: bool = False) -> bool:
    """Whether the proof of a policy's changed tables fails, as it must unless nobody can tell. `exactly`: and
    must not fail then, but for tables that have what programs cannot compare with; not asked of slow ones."""
    error = refusal(changed)
    if error is None:
        assert nobody_can_tell(case, changed)
    elif exactly and case.policy not in SLOW and "cannot compare" not in str(error):
        assert not nobody_can_tell(case, changed)
    return error is not None
