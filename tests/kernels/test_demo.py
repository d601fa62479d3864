"""The demo finds the kernel's own WireGuard, and every packet fares as the policy says."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("guest", ["6.1"], indirect=True)
def test_demo(facts):
    seen = facts("demo")
    assert seen["status"] == 0, seen["stdout"] + seen["stderr"]
    assert "tunnel between clients and gateway: kernel WireGuard\n" in seen["stderr"]
    assert "ingress by clsact, egress by clsact\n" in seen["stderr"]
    count, _, rest = seen["stdout"].splitlines()[-1].partition(" of ")
    assert int(count) > 20
    assert rest.startswith(f"{count} packets fared as the reference says")
