"""The support matrix names tests that are there."""

from __future__ import annotations

import re


def test_evidence_exists(repository):
    text = (repository / "docs/kernels.md").read_text()
    named = set(re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", text))
    assert len(named) > 10
    for path, function in named:
        source = (repository / path).read_text()
        assert not function or f"def {function}(" in source, f"{path} has no {function}"
