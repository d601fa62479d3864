"""Searches whose first step is wider than where they may begin: LLVM makes an OR of that addition, of which
the verifier takes more to be possible than there is."""

from __future__ import annotations

import pytest
from wardgate.cli.kernel_engine import KernelEngine
from wardgate.compiler.backend import BACKENDS
from wardgate.compiler.compile import compile_parsed
from wardgate.compiler.explain.engines import ReferenceEngine
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text

pytestmark = pytest.mark.root

SIX = ("::/0", "::/1", "::/48", "::/64", "::ab:bee6/127", "fd00::/16", "fd00:1::/32", "fd00:1:0:0:8000::/65")
FOUR = (
    "0.0.0.0/0",
    "0.0.0.0/1",
    "0.0.0.0/12",
    "0.0.0.0/16",
    "0.9.9.6/31",
    "192.0.0.0/8",
    "192.1.0.0/16",
    "192.1.9.0/25",
)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("prefixes", [SIX, FOUR], ids=["IPv6", "IPv4"])
@pytest.mark.parametrize("count", range(3, 9))
def test_the_verifier_follows(prefixes: tuple[str, ...], count: int, backend: str) -> None:
    chosen = prefixes[-count:]
    rules = ", ".join(f'"{prefix} {port}/tcp"' for port, prefix in enumerate(chosen, 1))
    text = f'version: 1\ntunnel: ["fd09::/112"]\npolicies: {{"*": {{allow: [{rules}]}}}}\n'
    policy = parse_policy_text(text).policy
    reference = ReferenceEngine(policy)
    with KernelEngine(compile_parsed(policy, backend=backend).data) as kernel:
        for port, prefix in enumerate(chosen, 1):
            query = Query.parse("alice", prefix.partition("/")[0], f"{port}/tcp")
            assert kernel.answer(query).to_json() == reference.answer(query).to_json()
