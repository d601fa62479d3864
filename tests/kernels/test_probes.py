"""The probes say of each kernel what it has."""

from __future__ import annotations

from wardgate.runtime.layout.features import ARTEFACT_FEATURES, TCX_LINK

LACKS = {"6.1": {TCX_LINK}, "6.12": set()}
"""What a series doesn't have: TCX came with 6.6."""


def test_features(guest, facts):
    found = facts("probes")
    assert {name for name, (present, _) in found.items() if present is not True} == LACKS[guest["series"]]
    assert set(ARTEFACT_FEATURES) < found.keys()


def test_evidence(guest, facts):
    found = facts("probes")
    if guest["series"] == "6.1":
        assert found[TCX_LINK] == [False, "attach: Invalid argument (EINVAL)"]
    assert all(evidence for _, evidence in found.values())
