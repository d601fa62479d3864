"""The definition of a policy, the interpreter and the kernel give the same answer to every question."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from random_policies import RandomPolicy, policies, queries
from wardgate.cli.kernel_engine import KernelEngine
from wardgate.compiler import compile_parsed
from wardgate.compiler.backend import BACKENDS
from wardgate.compiler.explain.engines import ReferenceEngine, VmEngine
from wardgate.compiler.language import parse_policy_text

pytestmark = pytest.mark.root

POLICIES, QUERIES, PARTS = 64 if os.environ.get("WARDGATE_CI") == "1" else 40, 200, 8
"""Policies in all, questions about each, and tests among which the policies are divided, so that they
run beside each other. Most of the time goes into compiling: outside CI a few policies do."""


@pytest.mark.parametrize("part", range(PARTS))
def test_engines_agree(part: int) -> None:
    # Shrinking would compile and load hundreds of policies more; the failing one is shown in full.
    @seed(part)
    @settings(
        max_examples=POLICIES // PARTS,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(policies(), st.integers(0, 2**32 - 1))
    def agree(policy: RandomPolicy, number: int) -> None:
        loaded = parse_policy_text(policy.text).policy
        artefact = compile_parsed(loaded, backend=BACKENDS[number % len(BACKENDS)]).data
        reference, vm = ReferenceEngine(loaded), VmEngine(artefact)
        with KernelEngine(artefact) as kernel:
            for query in queries(policy, number, QUERIES):
                expected = reference.answer(query).to_json()
                assert vm.answer(query).to_json() == expected
                assert kernel.answer(query).to_json() == expected

    agree()
