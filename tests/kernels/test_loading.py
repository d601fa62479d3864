"""Every kernel's verifier accepts what both backends make, and is far from its limit."""

from __future__ import annotations

import pytest

ARTEFACTS = (
    "closed-llvmlite", "empty-llvmlite", "everything-clang", "everything-llvmlite", "four-llvmlite",
    "fresh-clang", "fresh-llvmlite", "office-clang", "office-llvmlite", "six-llvmlite",
)  # fmt: skip
PROGRAMS = {"gate_ingress", "gate_egress", "gate_xdp"}
MOST = 5_000
"""Instructions that the verifier may walk; its own limit is 1,000,000 (BPF_COMPLEXITY_LIMIT_INSNS)."""


@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_loads(facts, guest, artefact, record_property):
    programs = facts("loading")[artefact]
    assert programs.keys() == PROGRAMS
    for name, cost in programs.items():
        assert isinstance(cost, dict), f"{guest['release']} rejects {name}: {cost}"
        # Into the report of the run: what the verifier walked, on which kernel.
        record_property(f"{guest['release']} {artefact} {name} verified", cost["verified"])
        assert 0 < cost["verified"] < MOST
        assert cost["jited"] > 0


def test_nothing_else_was_loaded(facts):
    assert facts("loading").keys() == set(ARTEFACTS)
