"""Every kernel's rejections are shown by the line that is at fault, and what led there."""

from __future__ import annotations

import re

import pytest
from rejected_programs import CASES, SLOW


@pytest.mark.parametrize("case", sorted(set(CASES) - set(SLOW)))
def test_a_rejection_is_shown_by_its_line(facts, case):
    expected, found = CASES[case], facts("rejections")[case]
    assert re.search(expected.cause, found["cause"])
    if expected.place:
        assert found["location"] == expected.place
    assert expected.shown in "\n".join(found["excerpt"])
    assert len(found["shown"].splitlines()) <= 3
