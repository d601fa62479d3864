"""Small random policies, as documents, whose rules meet: few prefixes, in each other and side by side.

`judged` says what a document means without any of the compiler's code: it reads the words of the rules
itself and compares bits. It is the second opinion for the reference.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

from hypothesis import strategies as st
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import PORT_PROTOCOLS, Packet, Policy

PREFIXES = [
    "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/30", "10.1.0.1/32", "10.1.0.2", "10.255.255.255",
    "::/0", "fd00::/8", "fd00:1::/32", "fd00:1::1/128", "both", "wide",
]  # fmt: skip
SERVICES = [
    "tcp", "udp", "icmp", "proto/6", "proto/47", "proto/58", "proto/1", "22/tcp", "20-25/any", "1-65535/udp",
    "80/sctp", "web",
]  # fmt: skip
USERS = ["alice", "bob", "carol", "dave"]
GROUPS = {"group:g": ["alice", "bob"], "group:h": ["bob", "carol"], "group:none": []}
HOSTS = {"both": ["10.1.0.3", "fd00:1::3"], "wide": ["10.1.0.0/16", "10.1.0.0/30", "::/0"]}
NAMED = {"web": ["80/tcp", "443/tcp"]}
WITHIN = ["10s", "15m", "1d"]

DESTINATION = st.sampled_from(PREFIXES)
SERVICE_WORDS = st.lists(st.sampled_from(SERVICES), max_size=2)
RULE = st.builds(lambda to, words: " ".join((to, *words)), DESTINATION, SERVICE_WORDS)
SUBJECT = st.sampled_from(["*", *GROUPS, "alice", "carol"])
RULES = st.lists(RULE, max_size=4)
FRESH = st.builds("{} within {}".format, RULE, st.sampled_from(WITHIN))
MFA_RULES = st.lists(st.one_of(RULE, FRESH), max_size=4)
SECTION = st.dictionaries(
    SUBJECT,
    st.fixed_dictionaries({}, optional={"allow": RULES, "mfa": MFA_RULES, "deny": RULES}),
    max_size=4,
)
DOCUMENTS = st.fixed_dictionaries({"policies": SECTION}, optional={"inbound": SECTION})
"""Documents with rules only; `build` adds the names that they use."""

REMOTES = [
    ip_address(text)
    for text in (
        "0.0.0.1", "9.255.255.255", "10.0.0.0", "10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4",
        "10.2.0.0", "10.255.255.255", "11.0.0.0", "255.255.255.255",
        "::", "fd00::", "fd00:1::", "fd00:1::1", "fd00:1::3", "fd01::1", "fe00::1",
    )
]  # fmt: skip
PORTS = [0, 1, 19, 20, 22, 25, 26, 80, 443, 65535]
PORTLESS = [0, 1, 47, 58, 255]
SERVICE = st.one_of(
    st.tuples(st.sampled_from(PORT_PROTOCOLS), st.sampled_from(PORTS)),
    st.tuples(st.sampled_from(PORTLESS), st.none()),
)
PACKETS = st.builds(
    lambda remote, service, inbound: Packet(remote, service[0], service[1], inbound),
    st.sampled_from(REMOTES),
    SERVICE,
    st.booleans(),
)


def build(document: dict[str, Any]) -> Policy:
    """The policy of a document."""
    head = {"version": 1, "groups": GROUPS, "hosts": HOSTS, "services": NAMED}
    return parse_policy_text(json.dumps({**head, **document}), "p.json").policy


def judged(document: dict[str, Any], user: str, packet: Packet) -> tuple[str, str | None, str | None]:
    """Verdict (or `none`); the deciding prefix as `bits/length`, None where there is none; and of an mfa the
    word that says how recent a login has to be, None where any is."""
    mine = ["*", user, *(group for group, members in GROUPS.items() if user in members)]
    section = document.get("inbound" if packet.inbound else "policies", {})
    said: dict[str, set[str]] = {}
    ages: dict[str, set[str]] = {}
    for subject in mine:
        for action, rules in section.get(subject, {}).items():
            for rule in rules:
                before, _, age = rule.partition(" within ")
                to, *services = before.split()
                for prefix in HOSTS.get(to, [to]):
                    bits = _bits(prefix)
                    if not _remote_bits(packet).startswith(bits):
                        continue
                    said.setdefault(bits, set())
                    if not services or any(_covers(word, packet) for word in services):
                        said[bits].add(action)
                        ages.setdefault(bits, set()).add(age)
    if not said:
        return "none", None, None
    longest = max(said, key=len)
    verdict = next((action for action in ("deny", "mfa", "allow") if action in said[longest]), "none")
    strictest = next((age for age in WITHIN if age in ages.get(longest, ())), None)
    return verdict, longest, strictest if verdict == "mfa" else None


def _bits(prefix: str) -> str:
    """`4:0000101` for 10.0.0.0/7."""
    text, _, length = prefix.partition("/")
    address = ip_address(text)
    bits = f"{int(address):0{address.max_prefixlen}b}"
    return f"{address.version}:{bits[: int(length)] if length else bits}"


def _remote_bits(packet: Packet) -> str:
    return _bits(str(packet.remote))


def _covers(word: str, packet: Packet) -> bool:
    numbers = {"tcp": 6, "udp": 17, "sctp": 132}
    if word in NAMED:
        return any(_covers(part, packet) for part in NAMED[word])
    if word == "icmp":
        return packet.protocol == {4: 1, 6: 58}[packet.remote.version]
    if word in numbers:
        return packet.protocol == numbers[word]
    before, after = word.split("/")
    if before == "proto":
        return packet.protocol == int(after)
    low, high = map(int, (before.split("-") * 2)[:2])
    protocols = set(numbers.values()) if after == "any" else {numbers[after]}
    return packet.protocol in protocols and packet.port is not None and low <= packet.port <= high
