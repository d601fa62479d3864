"""What right policies are read as."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from wardgate.compiler.language import (
    Code,
    PolicyError,
    ResolveError,
    Severity,
    parse_policy_text,
    static_resolver,
)
from wardgate.compiler.language.model import (
    SCTP,
    TCP,
    UDP,
    Action,
    AssertionKind,
    Everything,
    Icmp,
    Packet,
    Ports,
    Position,
    Protocol,
)

OFFICE = """\
version: 1
tunnel: [10.9.0.0/16, "fd09::/64"]
groups:
  group:admins: [alice, bob]
  group:contractors: [carol]
hosts:
  wiki: 10.0.0.5
  lab: [10.1.0.0/16, "fd00:1::/48"]
services:
  web: [80/tcp, 443/tcp]
policies:
  "*":
    allow: ["wiki web", "10.0.0.53 53/any"]
    mfa:   ["lab"]
  group:contractors:
    deny:  ["lab 22/tcp"]
  alice:
    mfa:   ["10.9.9.0/24 22/tcp"]
inbound:
  alice:
    allow: ["lab icmp"]
tests:
  - {as: carol, to: 10.1.2.3, service: 22/tcp, expect: deny}
  - {as: alice, from: "fd00:1::9", service: icmp, expect: allow}
assertions:
  - never: {as: group:contractors, to: 10.1.0.0/16, service: 22/tcp}
  - only: {as: group:admins, from: [lab, wiki], service: [web, 9/udp 10/udp], authed: true}
"""


def tcp(low: int, high: int | None = None) -> Ports:
    return Ports(frozenset({TCP}), low, low if high is None else high)


def udp(port: int) -> Ports:
    return Ports(frozenset({UDP}), port, port)


def services_of(text: str) -> tuple[object, ...]:
    loaded = parse_policy_text(f'version: 1\npolicies: {{"*": {{allow: ["10.0.0.1 {text}"]}}}}\n')
    assert loaded.warnings == ()
    return loaded.policy.rules[0].services


def test_a_whole_policy() -> None:
    loaded = parse_policy_text(OFFICE, "office.yaml")
    policy = loaded.policy
    assert loaded.warnings == ()
    assert policy.tunnel == (IPv4Network("10.9.0.0/16"), IPv6Network("fd09::/64"))
    assert policy.tunnel_positions == (Position("office.yaml", 2, 10), Position("office.yaml", 2, 23))
    assert policy.groups == {"group:admins": ("alice", "bob"), "group:contractors": ("carol",)}
    assert policy.users == ("alice", "bob", "carol")
    assert [(rule.id, rule.subject, rule.action, rule.inbound, rule.text) for rule in policy.rules] == [
        (1, "*", Action.ALLOW, False, "wiki web"),
        (2, "*", Action.ALLOW, False, "10.0.0.53 53/any"),
        (3, "*", Action.MFA, False, "lab"),
        (4, "group:contractors", Action.DENY, False, "lab 22/tcp"),
        (5, "alice", Action.MFA, False, "10.9.9.0/24 22/tcp"),
        (6, "alice", Action.ALLOW, True, "lab icmp"),
    ]
    assert policy.rules[0].destinations == (IPv4Network("10.0.0.5/32"),)
    assert policy.rules[0].services == (tcp(80), tcp(443))
    assert policy.rules[0].position == Position("office.yaml", 13, 13)
    assert policy.rules[2].destinations == (IPv4Network("10.1.0.0/16"), IPv6Network("fd00:1::/48"))
    assert policy.rules[2].services == (Everything(),)
    assert [test.packet for test in policy.tests] == [
        Packet(ip_address("10.1.2.3"), TCP, 22),
        Packet(ip_address("fd00:1::9"), 58, None, inbound=True),
    ]
    assert policy.tests[0].text == "{as: carol, to: 10.1.2.3, service: 22/tcp, expect: deny}"
    assert policy.tests[1].position == Position("office.yaml", 24, 5)
    never, only = policy.assertions
    assert (never.kind, never.subject, never.authed) == (AssertionKind.NEVER, "group:contractors", None)
    assert never.services == (tcp(22),)
    assert (only.kind, only.inbound, only.authed) == (AssertionKind.ONLY, True, True)
    assert len(only.destinations) == 3
    assert only.services == (
        tcp(80),
        tcp(443),
        Ports(frozenset({UDP}), 9, 9),
        Ports(frozenset({UDP}), 10, 10),
    )
    assert (
        only.text == "only: {as: group:admins, from: [lab, wiki], service: [web, 9/udp 10/udp], authed: true}"
    )


@pytest.mark.parametrize(
    ("text", "services"),
    [
        ("", (Everything(),)),
        ("22/tcp", (tcp(22),)),
        ("1-65535/tcp", (tcp(1, 65535),)),
        ("53-53/any", (Ports(frozenset({TCP, UDP, SCTP}), 53, 53),)),
        ("tcp", (tcp(0, 65535),)),
        ("proto/6", (tcp(0, 65535),)),
        ("udp proto/17", (Ports(frozenset({UDP}), 0, 65535),)),
        ("proto/132", (Ports(frozenset({SCTP}), 0, 65535),)),
        ("icmp", (Icmp(),)),
        ("proto/0 proto/1 proto/255", (Protocol(0), Protocol(1), Protocol(255))),
        ("80/tcp icmp 80/tcp", (tcp(80), Icmp())),
    ],
)
def test_services(text: str, services: tuple[object, ...]) -> None:
    assert services_of(text) == services


def test_named_services_contain_others_in_any_order() -> None:
    policy = parse_policy_text(
        "version: 1\n"
        "services: {all: [web, mail, 80/tcp], web: [80/tcp, 443/tcp], mail: [imap], imap: 993/tcp}\n"
        "policies: {a: {allow: [10.0.0.1 all icmp]}}\n"
    ).policy
    assert policy.rules[0].services == (tcp(80), tcp(443), tcp(993), Icmp())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10.0.0.1", None),
        ("10.0.0.1 within 1s", 1),
        ("10.0.0.1 22/tcp icmp within 15m", 900),
        ("10.0.0.1 22/tcp within 1h30m", 5_400),
        ("10.0.0.1\\twithin  30d", 2_592_000),
    ],
)
def test_how_recent_a_login_has_to_be(text: str, seconds: int | None) -> None:
    (rule,) = parse_policy_text(f'version: 1\npolicies: {{a: {{mfa: ["{text}"]}}}}\n').policy.rules
    assert rule.within == seconds
    assert rule.services == (Everything(),) if "tcp" not in text else rule.services[0] == tcp(22)
    assert rule.text == " ".join(text.replace("\\t", " ").split())


def test_the_same_words_under_another_action_are_read_anew() -> None:
    with pytest.raises(PolicyError, match="ask for none"):
        parse_policy_text(
            "version: 1\npolicies: {a: {mfa: [10.0.0.1 within 15m], allow: [10.0.0.1 within 15m]}}\n"
        )


def test_a_chain_of_named_services_may_be_long() -> None:
    chain = "".join(f"  s{number}: s{number + 1}\n" for number in range(5_000))
    policy = parse_policy_text(
        f"version: 1\nservices:\n{chain}  s5000: 22/tcp\npolicies: {{a: {{allow: 10.0.0.1 s0}}}}\n"
    ).policy
    assert policy.rules[0].services == (tcp(22),)


def test_scalars_are_texts_whatever_yaml_would_make_of_them() -> None:
    policy = parse_policy_text(
        "version: 1\ngroups: {group:on: [yes, no, 0o17, 0x16, 1e3, 2024-01-01]}\n"
        "hosts: {off: 10.0.0.1}\nservices: {yes: 22/tcp}\n"
        "policies:\n  true: {allow: [off yes]}\n  007: {deny: off}\n"
    ).policy
    assert policy.groups == {"group:on": ("yes", "no", "0o17", "0x16", "1e3", "2024-01-01")}
    assert [(rule.subject, rule.text) for rule in policy.rules] == [("true", "off yes"), ("007", "off")]


def test_rules_in_every_scalar_style_are_one_line_and_placed() -> None:
    policy = parse_policy_text(
        "version: 1\npolicies:\n  a:\n    allow:\n      - 10.0.0.1   22/tcp   # why\n      - '10.0.0.2'\n"
        '      - "10.0.0.3\\t80/tcp"\n      - |\n        10.0.0.4\n        81/tcp\n'
        "      - 10.0.0.5\n        82/tcp\n"
        "    deny: fd00::1 22/tcp\n"
    ).policy
    assert [(rule.text, rule.position.line, rule.position.column) for rule in policy.rules] == [
        ("10.0.0.1 22/tcp", 5, 9),
        ("10.0.0.2", 6, 9),
        ("10.0.0.3 80/tcp", 7, 9),
        ("10.0.0.4 81/tcp", 8, 9),
        ("10.0.0.5 82/tcp", 11, 9),
        ("fd00::1 22/tcp", 13, 11),
    ]


def test_a_byte_order_mark_and_crlf_are_no_part_of_the_text() -> None:
    text = b"\xef\xbb\xbfversion: 1\r\npolicies:\r\n  a: {allow: [10.0.0.1, 10.0.0.1/33]}\r\n"
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(text)
    (error,) = caught.value.errors
    assert (error.position.line, error.position.column) == (3, 34)
    assert error.source_line == "  a: {allow: [10.0.0.1, 10.0.0.1/33]}"


def test_a_prefix_with_host_bits_is_masked_with_a_warning() -> None:
    loaded = parse_policy_text(
        'version: 1\ntunnel: 10.9.0.1/16\npolicies: {a: {allow: ["10.0.0.9/24 22/tcp", "fd00::1/64"]}}\n'
    )
    assert loaded.policy.tunnel == (IPv4Network("10.9.0.0/16"),)
    assert [rule.destinations[0] for rule in loaded.policy.rules] == [
        ip_network("10.0.0.0/24"),
        ip_network("fd00::/64"),
    ]
    assert [(w.severity, w.code, w.position.line, w.position.column) for w in loaded.warnings] == [
        (Severity.WARNING, Code.HOST_BITS, 2, 9),
        (Severity.WARNING, Code.HOST_BITS, 3, 25),
        (Severity.WARNING, Code.HOST_BITS, 3, 47),
    ]
    assert "10.0.0.0/24" in loaded.warnings[1].message


def test_prefixes_of_every_length() -> None:
    rules = ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.1/32", "::/0", "fd00::1/128", "::", "::1.2.3.4"]
    policy = parse_policy_text(f"version: 1\npolicies: {{a: {{allow: {rules!r}}}}}".replace("'", '"')).policy
    assert [str(rule.destinations[0]) for rule in policy.rules] == [
        "0.0.0.0/0", "128.0.0.0/1", "10.0.0.1/32", "::/0", "fd00::1/128", "::/128", "::102:304/128",
    ]  # fmt: skip


def test_other_warnings() -> None:
    loaded = parse_policy_text(
        "version: 1\ngroups: {group:g: [a, b, a], group:empty: []}\npolicies: {c: {deny: [10.0.0.1]}}\n"
        "tests: [{as: d, to: 10.0.0.1, service: icmp, expect: deny}]\n"
        "assertions:\n  - never: {as: group:empty, to: 10.0.0.1}\n  - only: {as: group:empty, to: 10.0.0.1}\n"
    )
    assert [(w.code, w.position.line, w.position.column) for w in loaded.warnings] == [
        (Code.NOTHING_ALLOWED, 1, 1),
        (Code.DUPLICATE_ENTRY, 2, 26),
        (Code.UNKNOWN_USER, 4, 14),
        (Code.CLAIM, 6, 17),
    ]
    assert all(warning.remedy for warning in loaded.warnings)
    assert loaded.policy.groups["group:g"] == ("a", "b")


class Resolver:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[object]:
        self.asked.append(name)
        if name == "broken.example.org":
            raise OSError("no network")
        if name == "link.example.org":
            return [ip_address("fe80::1%eth0")]
        return [ip_address(a) for a in ("fd00::2", "10.0.0.9", "fd00::1", "10.0.0.9", "::ffff:10.0.0.8")]


def test_dns_names_are_asked_once_and_give_sorted_addresses() -> None:
    resolver = Resolver()
    policy = parse_policy_text(
        "version: 1\nhosts: {site: [www.example.org, 10.0.0.9]}\n"
        "policies: {a: {allow: [site 443/tcp, WWW.example.org, host.example.org. icmp]}}\n",
        resolver=resolver,  # type: ignore[arg-type]
    ).policy
    addresses = ["10.0.0.8", "10.0.0.9", "fd00::1", "fd00::2"]
    assert resolver.asked == ["www.example.org", "host.example.org."]
    assert policy.resolved == {name: tuple(map(ip_address, addresses)) for name in sorted(resolver.asked)}
    assert [str(prefix.network_address) for prefix in policy.rules[0].destinations] == addresses
    assert policy.rules[1].destinations == policy.rules[0].destinations


def test_a_name_in_hosts_is_not_asked_of_dns() -> None:
    policy = parse_policy_text(
        "version: 1\nhosts: {wiki.example.org: 10.0.0.1}\npolicies: {a: {allow: wiki.example.org}}\n"
    ).policy
    assert policy.resolved == {}
    assert str(policy.rules[0].destinations[0]) == "10.0.0.1/32"


def test_dns_failures_are_errors_at_every_place() -> None:
    names = ["broken.example.org", "link.example.org", "broken.example.org"]
    text = f"version: 1\npolicies: {{a: {{allow: [{', '.join(names)}]}}}}\n"
    resolver = Resolver()
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(text, resolver=resolver)  # type: ignore[arg-type]
    assert [d.code for d in caught.value.errors] == [Code.DNS] * 3
    assert "no network" in caught.value.errors[0].message
    assert "one link" in caught.value.errors[1].message
    assert resolver.asked == names[:2]
    with pytest.raises(PolicyError, match="no resolver was given"):
        parse_policy_text(text)


def test_static_resolver() -> None:
    resolver = static_resolver({"A.example.org.": ["10.0.0.1", ip_address("fd00::1")]})
    assert [str(address) for address in resolver("a.EXAMPLE.org")] == ["10.0.0.1", "fd00::1"]
    with pytest.raises(ResolveError):
        resolver("b.example.org")
