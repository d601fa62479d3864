"""The JSON Schema of the language, held against the parser: it takes what the parser takes, and what it
refuses the parser refuses."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies
from small_policies import DOCUMENTS, GROUPS, HOSTS, NAMED
from wardgate.cli.main import main
from wardgate.compiler.language import PolicyError, parse_policy_text
from wardgate.compiler.language.json_schema import policy_schema

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = policy_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

CLAIMS: dict[str, Any] = {
    "tests": [
        {"as": "alice", "to": "10.0.0.5", "service": "443/tcp", "expect": "allow"},
        {"as": "nobody", "from": "fd00::1", "service": "proto/47", "expect": "deny"},
    ],
    "assertions": [
        {"never": {"as": "group:g", "to": ["10.0.0.0/8", "both"], "service": ["web", "22/tcp icmp"]}},
        {"always": {"as": "*", "from": "::/0", "authed": True}},
        {"only": {"as": "bob", "to": "wide", "authed": "false"}},
    ],
    "tunnel": ["10.9.0.0/16", "fd09::/64"],
}


def well_formed(document: Any) -> bool:
    try:
        parse_policy_text(json.dumps(document), "p.json", files={"more.yaml": "policies: {}"})
    except PolicyError:
        return False
    return True


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_everything_has_a_description() -> None:
    def look(schema: Any, path: str) -> None:
        for key, value in schema.get("properties", {}).items():
            assert value.get("description"), f"{path}/{key}"
            look(value, f"{path}/{key}")
        for name, value in schema.get("definitions", {}).items():
            look(value, name)

    look(SCHEMA, "")


def test_the_example_validates() -> None:
    VALIDATOR.validate(yaml.safe_load((ROOT / "examples" / "office.yaml").read_text()))


@given(policies())
@settings(max_examples=25)
def test_random_policies_validate(policy: RandomPolicy) -> None:
    VALIDATOR.validate(json.loads(policy.text))


def whole(document: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "groups": GROUPS, "hosts": HOSTS, "services": NAMED, **CLAIMS, **document}


@given(DOCUMENTS)
@settings(max_examples=50)
def test_small_policies_with_claims_validate(document: dict[str, Any]) -> None:
    assert well_formed(whole(document))
    VALIDATOR.validate(whole(document))


ODD = (
    None, 0, 1, 2.5, True, "", " ", "x", "*", "group:g", "group:", "10.0.0.5", "10.0.0.5/33", "80", "80/tcp",
    "80/TCP", "10.0.0.5 0/tcp", "10.0.0.5 65536/tcp", "10.0.0.5 80/tcp, 22/tcp", "10.0.0.5\t22/tcp  icmp ",
    "tcp", "a b", "[x]", "allow", "pass", "yes", "a.example.org", "fe80::1%eth0", "http://x", "-x", "é",
    "proto/256", "10.0.0.5 within 1h", "10.0.0.5 within", "within", "10.0.0.5 within 1h within 1h",
    [], ["x", "x"], [[]], [None], {}, {"x": 1}, {"allow": "10.0.0.5"}, {"as": "x"},
    ["more.yaml"], "more.yaml",
)  # fmt: skip
KEYS = (
    "x", "*", "group:g", "alice", "allow", "permit", "to", "from", "as", "authed", "include", "tcp", "1", "",
)  # fmt: skip


def mutated(document: Any, chance: random.Random) -> Any:
    """The document with something in it replaced, removed, added or renamed."""
    document = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []

    def look(node: Any) -> None:
        if isinstance(node, dict | list):
            for key in node if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                look(node[key])

    look(document)
    node, key = chance.choice(places)
    kind = chance.choice(("replace", "replace", "remove", "add", "rename"))
    if kind == "replace":
        node[key] = copy.deepcopy(chance.choice(ODD))
    elif kind == "remove":
        del node[key]
    elif isinstance(node, list):
        node.append(copy.deepcopy(chance.choice(ODD)))
    elif kind == "add":
        node[chance.choice(KEYS)] = copy.deepcopy(chance.choice(ODD))
    else:
        node[chance.choice(KEYS)] = node.pop(key)
    return document


@given(DOCUMENTS, st.integers(0, 1 << 32))
@settings(max_examples=150)
def test_what_it_refuses_the_parser_refuses(document: dict[str, Any], seed: int) -> None:
    chance = random.Random(seed)
    document = whole(document)
    for _ in range(chance.randint(1, 3)):
        document = mutated(document, chance)
        if not document:
            return
    if not VALIDATOR.is_valid(document):
        assert not well_formed(document), next(VALIDATOR.iter_errors(document))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("versoin", 1),
        ("version", "1"),
        ("version", 2),
        ("groups", {"admins": ["alice"]}),
        ("groups", {"group:admins": ["group:ops"]}),
        ("hosts", {"wiki": []}),
        ("hosts", {"tcp": "10.0.0.1"}),
        ("hosts", {"80": "10.0.0.1"}),
        ("services", {"web": ["0/tcp"]}),
        ("services", {"web": "80/http"}),
        ("services", {"web": "proto/256"}),
        ("policies", {"*": ["10.0.0.5"]}),
        ("policies", {"*": {"permit": ["10.0.0.5"]}}),
        ("policies", {"*": {"allow": ["10.0.0.5 70000/tcp"]}}),
        ("policies", {"*": {"allow": [None]}}),
        ("policies", {"*": {"allow": ["10.0.0.5 within 15m"]}}),
        ("policies", {"*": {"deny": ["10.0.0.5 22/tcp within 15m"]}}),
        ("policies", {"*": {"mfa": ["10.0.0.5 within"]}}),
        ("policies", {"*": {"mfa": ["10.0.0.5 within 15"]}}),
        ("policies", {"*": {"mfa": ["10.0.0.5 within 15m 22/tcp"]}}),
        ("policies", {"*": {"mfa": ["within 15m"]}}),
        ("hosts", {"within": ["10.0.0.1"]}),
        ("policies", {"a user": {"allow": ["10.0.0.5"]}}),
        ("tests", [{"as": "alice", "to": "10.0.0.5", "service": "80/tcp"}]),
        ("tests", [{"as": "alice", "to": "10.0.0.5", "service": "80/tcp", "expect": "pass"}]),
        ("tests", [{"as": "alice", "service": "80/tcp", "expect": "allow"}]),
        ("tests", [{"as": "a", "to": "10.0.0.5", "from": "10.0.0.6", "service": "icmp", "expect": "deny"}]),
        ("assertions", [{"never": {"to": "10.0.0.5"}}]),
        ("assertions", [{"never": {"as": "*", "to": []}}]),
        ("assertions", [{"sometimes": {"as": "*", "to": "10.0.0.5"}}]),
        ("assertions", [{}]),
    ],
)
def test_common_mistakes_are_refused(key: str, value: Any) -> None:
    document = {"version": 1, "policies": {"*": {"allow": ["10.0.0.5"]}}, key: value}
    assert not VALIDATOR.is_valid(document)
    assert not well_formed(document)
