"""The benchmark of a gateway's load counts logins that worked, and none that did not."""

from __future__ import annotations

import asyncio

from portal_desk import office
from wardgate.gateway.portal import PortalSettings, portal_app

from benchmarks.gateway_load import Visitor, spread

ALICE, BOB, NOBODY = "10.9.0.2", "10.9.0.3", "10.9.0.9"


def attempt(code: str, address: str) -> bool:
    """A login in the office of portal_desk, where 222222 is right for alice."""
    app = portal_app(office(), PortalSettings(("10.9.0.1",)))
    return asyncio.run(Visitor(app, address).log_in(code))


def test_a_login_is_counted_if_the_portal_says_so() -> None:
    assert attempt("222222", ALICE)
    assert not attempt("000000", ALICE)
    assert not attempt("222222", BOB)
    assert not attempt("222222", NOBODY)


def test_percentiles_are_of_what_was_measured() -> None:
    assert spread([0.3, 0.1, 0.2]) == {"p50": 0.2, "p99": 0.3, "max": 0.3}
    assert spread([1.0]) == {"p50": 1.0, "p99": 1.0, "max": 1.0}
    assert spread([n / 100 for n in range(1, 201)])["p99"] == 1.98
