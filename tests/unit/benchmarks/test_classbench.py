"""The conversion of ClassBench filter sets, which is fixed: rule by rule what it must say."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from benchmarks import classbench

# As ClassBench writes them: tabs between the fields, one at the end.
LINES = (
    "@10.1.2.3/32\t192.0.2.7/32\t0 : 65535\t443 : 443\t0x06/0xFF\t0x0000/0x0200\t\n",
    "@10.1.2.3/32\t192.0.2.0/24\t0 : 65535\t0 : 65535\t0x06/0xFF\t0x1000/0x1000\t\n",
    "@10.9.0.0/16\t198.51.100.9/30\t1024 : 65535\t0 : 1023\t0x11/0xFF\t0x0000/0x0000\t\n",
    "@10.9.0.0/16\t198.51.100.0/24\t0 : 65535\t0 : 65535\t0x00/0x00\t0x0000/0x0000\t\n",
    "@0.0.0.0/0\t198.51.100.4/32\t0 : 65535\t53 : 53\t0x00/0x00\t0x0000/0x0000\t\n",
    "@0.0.0.0/0\t0.0.0.0/0\t0 : 65535\t0 : 65535\t0x01/0xFF\t0x0000/0x0000\t\n",
    "@0.0.0.0/0\t203.0.113.0/24\t0 : 65535\t0 : 65535\t0x2F/0xFF\t0x0000/0x0000\t\n",
    "@0.0.0.0/0\t203.0.113.1/32\t0 : 65535\t5000 : 5010\t0x84/0xFF\t0x0000/0x0000\t\n",
    # Port 0 alone has no rule, and what is no filter is passed over.
    "@0.0.0.0/0\t203.0.113.2/32\t0 : 65535\t0 : 0\t0x06/0xFF\t0x0000/0x0000\t\n",
    "# a remark\n",
    "\n",
)
RULES = (
    "192.0.2.7/32 443/tcp",
    "192.0.2.0/24 tcp",
    "198.51.100.8/30 1-1023/udp",
    "198.51.100.0/24",
    "198.51.100.4/32 53/any",
    "0.0.0.0/0 icmp",
    "203.0.113.0/24 proto/47",
    "203.0.113.1/32 5000-5010/sctp",
)


def group_of(source: str) -> str:
    return f"group:g{zlib.crc32(source.encode()) % 100}"


def action_of(line: str) -> str:
    share = zlib.crc32(line.encode()) % 100
    return "allow" if share < 70 else "mfa" if share < 90 else "deny"


def test_each_filter_becomes_the_rule_that_the_conversion_fixes() -> None:
    expected: dict[str, dict[str, list[str]]] = {}
    for line, rule in zip(LINES, RULES, strict=False):
        group = group_of(line[1:].split()[0])
        expected.setdefault(group, {}).setdefault(action_of(line), []).append(rule)
    assert classbench.document(LINES)["policies"] == expected


def test_what_stands_around_the_rules() -> None:
    found = classbench.document(LINES)
    assert list(found) == ["version", "tunnel", "groups", "policies"]
    assert (found["version"], found["tunnel"]) == (1, ["100.64.0.0/10"])
    assert list(found["groups"]) == [f"group:g{number}" for number in range(100)]


def test_users_are_drawn_from_the_seed_in_the_fixed_order() -> None:
    generator = random.Random(1)
    expected: dict[str, list[str]] = {f"group:g{number}": [] for number in range(100)}
    for number in range(1_000):
        count = generator.randint(1, 5)
        for group in generator.sample(sorted(expected), count):
            expected[group].append(f"user{number}")
    assert classbench.document(LINES)["groups"] == expected


def test_a_file_becomes_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "filters"
    path.write_text("".join(LINES))
    generated = classbench.convert(path)
    assert sorted(rule.text for rule in generated.policy.rules) == sorted(RULES)
    assert (generated.shape.rules, generated.shape.versions, len(generated.users)) == (
        len(RULES),
        (4,),
        1_000,
    )


def test_a_file_without_filters_is_an_error() -> None:
    with pytest.raises(classbench.FilterError):
        classbench.document(["nothing here\n"])
