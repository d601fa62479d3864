"""Buckets of any size, and policies of many rules: the engines agree, and the kernel takes them."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest
from wardgate.cli.kernel_engine import KernelEngine
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain.engines import ReferenceEngine, VmEngine
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import ICMP, TCP, UDP

pytestmark = pytest.mark.root


def bucket_policy(rules: int) -> str:
    """One bucket: a rule for each of `rules` ports, every third needs login, every seventh denies."""
    lines = [
        f'    {"deny" if n % 7 == 0 else "mfa" if n % 3 == 0 else "allow"}: ["10.0.0.0/24 {n}/tcp"]'
        for n in range(1, rules + 1)
    ]
    groups = "".join(f"  group:g{n}: [alice]\n" for n in range(1, rules + 1))
    policies = "".join(f"  group:g{n}:\n{line}\n" for n, line in enumerate(lines, 1))
    return f"version: 1\ntunnel: [10.9.0.0/24]\ngroups:\n{groups}policies:\n{policies}"


@pytest.mark.parametrize("rules", [1, 127, 128, 129, 5_000])
def test_a_bucket_of_any_size(rules: int) -> None:
    policy = parse_policy_text(bucket_policy(rules)).policy
    artefact = compile_parsed(policy)
    assert [len(bucket.rules) for bucket in artefact.lowered.buckets] == [rules]
    reference, vm = ReferenceEngine(policy), VmEngine(artefact.data)
    ports = {1, 2, 3, 6, 7, 21, 126, 127, 128, 129, 130, rules - 1, rules, rules + 1, 65_535} - {0}
    with KernelEngine(artefact.data) as kernel:
        for port in sorted(ports):
            for authed in (False, True):
                query = Query.parse("alice", "10.0.0.9", f"{port}/tcp", authed=authed)
                expected = reference.answer(query)
                verdict = (
                    "deny" if port > rules or port % 7 == 0 else "mfa" if port % 3 == 0 else "allow"
                )  # fmt: skip
                assert expected.verdict.label == verdict
                assert vm.answer(query).to_json() == kernel.answer(query).to_json() == expected.to_json()


def many_rules(count: int) -> str:
    draw = random.Random(20_000)
    lines: dict[str, list[str]] = {}
    for _ in range(count):
        address = IPv4Address(0x0A000000 | draw.randrange(1 << 24))
        length = draw.choice([12, 16, 20, 24, 28, 32, 32, 32])
        service = draw.choice(
            [
                "",
                "22/tcp",
                f"{draw.randrange(1, 65536)}/tcp",
                f"{draw.randrange(1, 30000)}-{draw.randrange(30000, 65536)}/udp",
                "icmp",
            ]
        )
        action = draw.choice(["allow", "allow", "mfa", "deny"])
        prefix = IPv4Address(int(address) >> (32 - length) << (32 - length))
        lines.setdefault(f"group:g{draw.randrange(40)} {action}", []).append(
            f"{prefix}/{length} {service}".strip()
        )
    policies: dict[str, dict[str, list[str]]] = {}
    for key, rules in lines.items():
        group, action = key.split()
        policies.setdefault(group, {})[action] = rules
    text = ["version: 1", "tunnel: [100.64.0.0/16]", "groups:"]
    members: dict[str, list[str]] = {f"group:g{n}": [] for n in range(40)}
    for user in range(100):
        for group in draw.sample(sorted(members), 3):
            members[group].append(f"u{user}")
    text += [f"  {group}: [{', '.join(users)}]" for group, users in members.items()]
    text.append("policies:")
    for group, actions in policies.items():
        text.append(f"  {group}:")
        for action, rules in actions.items():
            text.append(f"    {action}:")
            text += [f'      - "{rule}"' for rule in rules]
    return "\n".join(text) + "\n"


def test_twenty_thousand_rules() -> None:
    policy = parse_policy_text(many_rules(20_000)).policy
    assert len(policy.rules) == 20_000
    artefact = compile_parsed(policy)
    small = compile_parsed(parse_policy_text(many_rules(200)).policy)
    reference = ReferenceEngine(policy)
    draw = random.Random(1)
    with KernelEngine(artefact.data) as kernel, KernelEngine(small.data):
        for _ in range(300):
            rule = draw.choice(policy.rules)
            prefix = rule.destinations[0]
            remote = prefix[draw.choice([0, -1])]
            protocol, port = draw.choice(
                [(TCP, 22), (TCP, draw.randrange(1, 65536)), (UDP, 29_999), (ICMP, None)]
            )
            label = "icmp" if port is None else f"{port}/{'tcp' if protocol == TCP else 'udp'}"
            query = Query.parse(f"u{draw.randrange(100)}", str(remote), label, authed=draw.random() < 0.5)
            assert kernel.answer(query).to_json() == reference.answer(query).to_json()
