"""Programs find the same in every form of the tables, in the interpreter and in the kernel."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest
from validated_policies import POLICIES
from wardgate.cli.kernel_engine import KernelEngine
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain.engines import ReferenceEngine, VmEngine
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.plan import Plan
from wardgate.compiler.semantics.partition import representatives

pytestmark = pytest.mark.root

QUERIES = 150
PORTED = {6: "tcp", 17: "udp", 132: "sctp"}
EXTENSION_HEADERS = (0, 43, 44, 60)

FORMS = [
    ("office", Plan("plain", "plain", "trie", 0, 9, 256, 65_536)),
    ("office", Plan("paged", "paged", "search", 0, 0, 0, 0)),
    ("office", Plan("ranked", "paged", "search", 9, 12, 256, 0)),
    ("office", Plan("ranked", "plain", "search", 20, 3, 0, 4_096)),
    ("subnets", Plan("ranked", "plain", "trie", 0, 0, 0, 0)),
    ("subnets", Plan("paged", "plain", "trie", 0, 20, 0, 0)),
    ("everything", Plan("plain", "paged", "search", 3, 1, 0, 0)),
    ("office", Plan("plain", "plain", "trie", 0, 0, 256, 0, "code")),
    ("subnets", Plan("paged", "plain", "trie", 0, 0, 0, 0, "code")),
    ("everything", Plan("plain", "plain", "code", 0, 0, 0, 0, "code")),
    ("wide", Plan("ranked", "paged", "search", 6, 4, 0, 0)),
    ("wide", Plan("paged", "plain", "search", 11, 7, 0, 0)),
]
"""Every variant, with even and odd numbers of steps; keys of both halves, and of shared bits that begin
with 0 and with 1."""


@cache
def policy(name: str) -> Policy:
    return parse_policy_text(POLICIES[name]).policy


def queries(name: str) -> Iterator[Query]:
    """At the edges of what the policy tells apart; some of them, the same each time."""
    chance = random.Random(name)
    for _ in range(QUERIES):
        inbound = chance.random() < 0.3
        asked = representatives(policy(name), inbound=inbound)
        user, remote = chance.choice(asked.users), chance.choice(asked.remotes)
        protocol, port = chance.choice(asked.services)
        if remote.version == 6 and (protocol in EXTENSION_HEADERS or remote.ipv4_mapped):
            continue
        service = f"{max(port or 0, 1)}/{PORTED[protocol]}" if protocol in PORTED else f"proto/{protocol}"
        yield Query.parse(user, str(remote), service, authed=chance.random() < 0.5, inbound=inbound)


@pytest.mark.parametrize(("name", "plan"), FORMS, ids=str)
def test_every_form(name: str, plan: Plan) -> None:
    artefact = compile_parsed(policy(name), choose=lambda _: plan).data
    reference, vm = ReferenceEngine(policy(name)), VmEngine(artefact)
    with KernelEngine(artefact) as kernel:
        for query in queries(name):
            expected = reference.answer(query).to_json()
            assert vm.answer(query).to_json() == expected
            assert kernel.answer(query).to_json() == expected
