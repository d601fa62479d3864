"""Random policies as text, and queries that stand where a policy's answer may change.

`policies` is a hypothesis strategy of `RandomPolicy`, whose `text` is JSON (which is YAML too).
`queries` derives questions from one: at the edges of its prefixes and port ranges, of every kind of
service, by every kind of user, in both session states, with logins of several ages, and both directions.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from wardgate.compiler.explain.query import Query

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

USERS = ("alice", "bob", "carol", "dave@example.org", "e-v_e", "Frank+1")
GROUPS = ("group:admins", "group:ops", "group:contractors", "group:all.of-us")
STRANGER = "nobody-the-policy-mentions"
ACTIONS = ("allow", "mfa", "deny")
TUNNELS = (
    [],
    ["10.9.0.0/16", "fd09::/64"],
    ["10.9.0.0/24"],
    ["fd09::/112"],
    ["10.0.0.0/8", "fd00::/8"],
    ["192.0.2.7/32", "fd09::7/128"],
    ["192.0.2.6/31"],
)
LENGTHS = {
    4: (0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 30, 31, 32),
    6: (0, 1, 16, 32, 48, 63, 64, 65, 96, 127, 128),
}
BITS = {4: 32, 6: 128}
PORTS = (1, 2, 22, 53, 80, 443, 1023, 1024, 8080, 32_767, 32_768, 65_534, 65_535)
PROTOCOLS = (0, 1, 2, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 89, 132, 136, 254, 255)
PORT_WORDS = ("tcp", "udp", "sctp")
RULES = (1, 2, 3, 5, 8, 12, 16, 24, 0)
WITHIN = ("", "", "10s", "15m", "1h30m", "30d")
"""What mfa rules ask of a login; mostly nothing."""
LOGIN_AGES = (None, 0, 8, 11, 898, 901, 5_398, 5_401, 86_400, 2_591_998, 2_592_001)
"""Seconds at which one of these is still enough, or not any more. Not to the second: on a busy machine, a
question may take one to reach the kernel, where time goes on."""
MAPPED = ip_network("::ffff:0:0/96")
EXTENSION_HEADERS = (0, 43, 44, 60)
"""Protocol numbers that IPv6 uses for extension headers, so that no packet is of them."""


@dataclass(frozen=True)
class RandomPolicy:
    """A policy's text, and what queries are derived from."""

    text: str
    prefixes: tuple[Prefix, ...]
    ports: tuple[int, ...]
    protocols: tuple[int, ...]
    inbound: bool

    def __repr__(self) -> str:
        return self.text


@st.composite
def prefixes(draw: st.DrawFn) -> list[Prefix]:
    """Prefixes that overlap: all lengths around a few addresses, and their neighbours."""
    found: set[Prefix] = set()
    versions = draw(st.sampled_from([(4,), (6,), (4, 6)]))
    for version in versions:
        anchors = st.sampled_from(_anchors(version)) | st.integers(0, (1 << BITS[version]) - 1)
        for anchor in draw(st.lists(anchors, min_size=1, max_size=3)):
            for length in draw(st.lists(st.sampled_from(LENGTHS[version]), min_size=1, max_size=6)):
                flip = draw(st.sampled_from([0, 0, 1])) << BITS[version] - length if length else 0
                prefix = _prefix(version, anchor ^ flip, length)
                # The language wants IPv4 addresses written as such.
                if version == 4 or not prefix.subnet_of(MAPPED):
                    found.add(prefix)
    assume(found)
    return sorted(found, key=lambda prefix: (prefix.version, prefix))


def _anchors(version: int) -> list[int]:
    texts = {
        4: ["10.0.0.5", "10.1.2.3", "10.9.0.1", "10.9.0.2", "0.0.0.1", "255.255.255.255", "192.168.1.128"],
        6: ["fd00:1::5", "fd09::1", "::", "2001:db8::8000:0:0:0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    }
    return [int(ip_address(text)) for text in texts[version]]


def _prefix(version: int, value: int, length: int) -> Prefix:
    kind: Any = IPv4Network if version == 4 else IPv6Network
    shift = BITS[version] - length
    return kind((value >> shift << shift, length))  # type: ignore[no-any-return]


@st.composite
def service_words(draw: st.DrawFn, names: tuple[str, ...] = ()) -> str:
    """One service, in any form that the language has."""
    kind = draw(st.sampled_from(["port", "range", "protocol", "all ports", "icmp", "name"]))
    if kind == "port":
        return f"{draw(_ports())}/{draw(st.sampled_from((*PORT_WORDS, 'any')))}"
    if kind == "range":
        low, high = sorted((draw(_ports()), draw(_ports())))
        return f"{low}-{high}/{draw(st.sampled_from((*PORT_WORDS, 'any')))}"
    if kind == "protocol":
        return f"proto/{draw(st.sampled_from(PROTOCOLS) | st.integers(0, 255))}"
    if kind == "all ports":
        return draw(st.sampled_from(PORT_WORDS))
    return draw(st.sampled_from(names)) if kind == "name" and names else "icmp"


def _ports() -> st.SearchStrategy[int]:
    return st.sampled_from(PORTS) | st.integers(1, 65_535)


@st.composite
def policies(draw: st.DrawFn, *, most_rules: int = 24) -> RandomPolicy:
    """A policy with up to `most_rules` rules a direction, in up to as many lists of users and groups."""
    pool = draw(prefixes())
    service_names = ("web", "mixed")[: draw(st.integers(0, 2))]
    services = {name: draw(st.lists(service_words(), min_size=1, max_size=3)) for name in service_names}
    host_lists = st.lists(st.sampled_from([str(one) for one in pool]), min_size=1, max_size=3, unique=True)
    hosts = {name: draw(host_lists) for name in ("lab", "wiki")[: draw(st.integers(0, 2))]}
    groups = {
        group: draw(st.lists(st.sampled_from(USERS), min_size=1, max_size=5, unique=True))
        for group in GROUPS[: draw(st.sampled_from((2, 4, 1, 3, 0)))]
    }
    destinations = [*(str(prefix) for prefix in pool), *hosts]
    subjects = ["*", *groups, *USERS[: draw(st.sampled_from((2, 6, 4, 1, 3, 5, 0)))]]

    def rules() -> dict[str, dict[str, list[str]]]:
        found: dict[str, dict[str, list[str]]] = {}
        for _ in range(draw(st.sampled_from([n for n in RULES if n <= most_rules]))):
            subject, action = draw(st.sampled_from(subjects)), draw(st.sampled_from(ACTIONS))
            words = draw(st.lists(service_words(tuple(services)), max_size=4, unique=True))
            rule = " ".join([draw(st.sampled_from(destinations)), *words])
            if action == "mfa" and (within := draw(st.sampled_from(WITHIN))):
                rule += f" within {within}"
            found.setdefault(subject, {}).setdefault(action, []).append(rule)
        return found

    document: dict[str, Any] = {
        "version": 1,
        "tunnel": draw(st.sampled_from(TUNNELS)),
        "groups": groups,
        "hosts": hosts,
        "services": services,
        "policies": rules(),
    }
    if draw(st.sampled_from([True, True, False])):
        document["inbound"] = rules()
    document = {key: value for key, value in document.items() if value or key == "policies"}
    text = json.dumps(document, indent=1)
    words = text.replace('"', " ").replace(",", " ").split()
    ports = {int(port) for word in words for port in _ports_of(word)}
    numbers = {int(word[6:]) for word in words if word.startswith("proto/")}
    return RandomPolicy(
        text, tuple(pool), tuple(sorted(ports)), tuple(sorted(numbers)), "inbound" in document
    )


def _ports_of(word: str) -> list[str]:
    before, slash, after = word.partition("/")
    return before.split("-") if slash and after in (*PORT_WORDS, "any") else []


def queries(policy: RandomPolicy, seed: int, count: int) -> Iterator[Query]:
    """`count` queries, the same for the same seed; each is asked without a session, and in one."""
    chance = random.Random(seed)
    for _ in range(count // 2):
        remote = _remote(policy, chance)
        service = _service(policy, chance, remote.version)
        user = chance.choice((*USERS, STRANGER))
        inbound = chance.random() < (0.4 if policy.inbound else 0.05)
        yield Query.parse(user, str(remote), service, inbound=inbound)
        age = chance.choice(LOGIN_AGES)
        yield Query.parse(user, str(remote), service, authed=True, login_age=age, inbound=inbound)


def _remote(policy: RandomPolicy, chance: random.Random) -> Address:
    while True:
        prefix = chance.choice(policy.prefixes)
        bits = prefix.max_prefixlen
        first, last = int(prefix.network_address), int(prefix.broadcast_address)
        inside, anywhere = chance.randint(first, last), chance.getrandbits(bits)
        value = chance.choice((first, last, first - 1, last + 1, inside, anywhere))
        kind = IPv4Address if prefix.version == 4 else IPv6Address
        remote = kind(value & (1 << bits) - 1)
        if remote.version == 4 or remote not in MAPPED:
            return remote


def _service(policy: RandomPolicy, chance: random.Random, version: int) -> str:
    kind = chance.random()
    if kind < 0.15:
        return "icmp"
    if kind < 0.4:
        while True:
            near = chance.choice(policy.protocols) + chance.choice((-1, 0, 0, 1)) if policy.protocols else 0
            number = chance.choice((near % 256, chance.choice(PROTOCOLS), chance.randint(0, 255)))
            ported = number in (6, 17, 132)
            if not ported and not (version == 6 and number in EXTENSION_HEADERS):
                return f"proto/{number}"
    near = chance.choice(policy.ports) + chance.choice((-1, 0, 0, 1)) if policy.ports else 1
    port = min(max(chance.choice((near, near, chance.choice(PORTS), chance.randint(1, 65_535))), 1), 65_535)
    return f"{port}/{chance.choice(PORT_WORDS)}"
