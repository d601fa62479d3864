"""A gate on a kernel WireGuard device judges real packets, through logins, swaps and rollbacks."""

from __future__ import annotations

import pytest

HOOKS = ("tc", "xdp")
BEFORE_LOGIN = {
    "allowed udp": "pass",
    "allowed tcp": "pass",
    "allowed tcp v6": "pass",
    "allowed icmp": "pass",
    "allowed icmp v6": "pass",
    "inbound": "pass",
    "mfa tcp": "needs login",
    "mfa icmp": "needs login",
    "mfa tcp v6": "needs login",
    "mfa udp, carol": "needs login",
    "denied, carol": "deny rule",
    "no bucket, bob": "no bucket",
    "no rule, carol": "no rule",
    "not asked for": "no flow",
}
"""`pass`: the packet arrived, and the answer to it came back; else the reason that the gate gave."""
AFTER_LOGIN = {"mfa tcp": "pass", "mfa icmp": "pass", "mfa tcp v6": "pass", "mfa udp, carol": "pass"}


@pytest.fixture(params=HOOKS)
def seen(facts, request):
    return facts(f"traffic {request.param}")


def test_rungs(facts, guest):
    tc = {"6.1": "clsact", "6.12": "tcx"}[guest["series"]]
    assert facts("traffic tc")["rungs"] == {"ingress": tc, "egress": tc}
    assert facts("traffic xdp")["rungs"] == {"xdp": "xdp-link-generic", "egress": tc}


def test_before_login(seen):
    assert seen["before login"] == BEFORE_LOGIN


def test_sessions(seen):
    assert seen["after login"] == {**AFTER_LOGIN, "denied, carol": "deny rule"}
    assert seen["after logout of carol"] == {**AFTER_LOGIN, "mfa udp, carol": "needs login"}


def test_swap_and_rollback(seen):
    """Policies change in both directions at once; sessions stay."""
    assert seen["generations"] == [2, 1]
    assert seen["after a swap"] == {
        "allowed tcp": "deny rule", "allowed udp": "pass", "mfa tcp": "pass", "inbound": "no flow",
    }  # fmt: skip
    assert seen["after a rollback"] == {"allowed tcp": "pass", "mfa tcp": "pass", "inbound": "pass"}
