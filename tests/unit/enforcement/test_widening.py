"""What names' new addresses open is logged; where that is too much to tell, so is that."""

from __future__ import annotations

import logging
from ipaddress import ip_address

import pytest
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.policies import Composed, Portal, compose
from wardgate.gateway.enforcement import policy

POLICY = """\
version: 1
tunnel: 10.9.0.0/16
policies:
  "*": {allow: [wiki.example.org]}
"""


def composed(*addresses: str) -> Composed:
    """The policy while the name has these addresses."""
    bundle = Bundle("policy.yaml", {"policy.yaml": POLICY})
    portal = Portal((ip_address("10.9.0.1"),), 80)
    return compose(bundle, {}, portal, lambda _: tuple(map(ip_address, addresses)))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (["10.0.0.1"], ["10.0.0.1", "10.0.0.2"], True),
        (["10.0.0.1"], ["10.0.0.2"], True),
        (["10.0.0.1", "10.0.0.2"], ["10.0.0.2"], False),
    ],
)
def test_what_widens_is_told_with_its_address(
    before: list[str], after: list[str], said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    policy._log_widened(composed(*before), composed(*after))
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * said
    assert ("10.0.0.2" in caplog.text) == said


def test_what_is_too_much_to_tell_is_no_reason_to_stop(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise AnalysisError("compare", "policies", "they have too many users", "split them")

    monkeypatch.setattr(policy, "difference", fails)
    policy._log_widened(composed("10.0.0.1"), composed("10.0.0.2"))
    assert "too much to tell: they have too many users" in caplog.text
