"""Other kernels answer as the reference does."""

from __future__ import annotations


def test_engines_agree(facts):
    found = facts("engines")
    assert found["first"] == []
    assert found["wrong"] == 0
    assert found["policies"] >= 8
    assert found["queries"] >= 400
