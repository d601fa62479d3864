"""Names that nothing is about."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from small_policies import DOCUMENTS, GROUPS, HOSTS, NAMED, build
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.load import LoadedPolicy
from wardgate.compiler.lint.names import idle_names


def idle(text: str) -> list[str]:
    return [f"{one.code}:{one.name}" for one in idle_names(parse_policy_text(f"version: 1\n{text}"))]


def test_groups() -> None:
    text = "groups: {group:a: [x], group:b: [y], group:c: [z], group:d: []}\npolicies: "
    claim = "\nassertions: [{never: {as: group:c, to: 10.0.0.1}}]"
    assert idle(text + "{group:a: {allow: [10.0.0.1]}}" + claim) == [
        "unused-group:group:b",
        "unused-group:group:d",
    ]
    assert idle(text.replace("policies", "inbound") + "{group:a: {allow: [10.0.0.1]}}")[0] == (
        "unused-group:group:b"
    )


def test_hosts() -> None:
    text = "hosts: {a: 10.0.0.1, b: 10.0.0.2, c: 10.0.0.3, d: 10.0.0.4}\npolicies: {x: {allow: [a]}}\n"
    text += "tests: [{as: x, to: b, service: icmp, expect: deny}]\n"
    text += "assertions: [{never: {as: x, from: [c, 10.0.0.9]}}]"
    assert idle(text) == ["unused-host:d"]


def test_services_through_services() -> None:
    text = "services: {web: [80/tcp, tls], tls: 443/tcp, old: [older], older: 79/tcp, asked: 1/udp}\n"
    text += "policies: {x: {allow: [10.0.0.1 22/tcp web]}}\n"
    text += "tests: [{as: x, to: 10.0.0.1, service: asked, expect: deny}]"
    assert idle(text) == ["unused-service:old", "unused-service:older"]


def test_users_in_no_group() -> None:
    rules = "{alice: {allow: [10.0.0.1]}, '*': {allow: [10.0.0.2]}, alcie: {allow: [10.0.0.3]}}"
    text = f"groups: {{group:a: [alice]}}\npolicies: {rules}\ninbound: {{alcie: {{allow: [10.0.0.4]}}}}"
    assert idle(text) == ["unused-group:group:a", "ungrouped-user:alcie"]
    # Where there are no groups, everybody is in none.
    assert idle(f"policies: {rules}") == []


@given(DOCUMENTS)
@settings(max_examples=30)
def test_names_are_idle_if_the_policy_is_well_formed_without_them(document: dict[str, Any]) -> None:
    words = " ".join(
        rule for section in document.values() for lists in section.values() for rules in lists.values()
        for rule in rules
    ).split()  # fmt: skip
    subjects = {rule.subject for rule in build(document).rules}
    expected = {f"unused-group:{group}" for group in GROUPS if group not in subjects}
    expected |= {f"unused-host:{host}" for host in HOSTS if host not in words}
    expected |= {f"unused-service:{name}" for name in NAMED if name not in words}
    found = {f"{one.code}:{one.name}" for one in idle_names(loaded_of(document))}
    assert found == expected


def loaded_of(document: dict[str, Any]) -> LoadedPolicy:
    head = {"version": 1, "groups": GROUPS, "hosts": HOSTS, "services": NAMED}
    return parse_policy_text(json.dumps({**head, **document}), "p.json")
