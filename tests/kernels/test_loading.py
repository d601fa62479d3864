"""Every kernel's verifier accepts what both backends make, and is far from its limit."""

from __future__ import annotations

import pytest
from wardgate.compiler.backend import BACKENDS

POLICIES = ("closed", "empty", "everything", "four", "office", "six")
PROGRAMS = {"gate_ingress", "gate_egress", "gate_xdp"}
MOST = 100_000
"""Instructions that the verifier may walk: a tenth of its limit, 1,000,000 (BPF_COMPLEXITY_LIMIT_INSNS)."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_loads(facts, guest, policy, backend, record_property):
    programs = facts("loading")[f"{policy}-{backend}"]
    assert programs.keys() == PROGRAMS
    for name, cost in programs.items():
        assert isinstance(cost, dict), f"{guest['release']} rejects {name}: {cost}"
        # Into the report of the run: what the verifier walked, on which kernel.
        record_property(f"{guest['release']} {policy}-{backend} {name} verified", cost["verified"])
        assert 0 < cost["verified"] < MOST
        assert cost["jited"] > 0


def test_nothing_else_was_loaded(facts):
    assert facts("loading").keys() == {f"{policy}-{backend}" for policy in POLICIES for backend in BACKENDS}
