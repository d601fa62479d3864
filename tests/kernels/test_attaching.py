"""The ladder takes the right rung on each kernel, and what it made can be swapped, adopted and removed."""

from __future__ import annotations

import pytest

TC = {"6.1": "clsact", "6.12": "tcx"}
NO_TCX = {"6.1": [["tcx", "Invalid argument (EINVAL)"]], "6.12": []}
NO_DRIVER = [["xdp-link-driver", "Operation not supported (ENOTSUP)"]]
TC_CASES = {"tc on wireguard": None, "tc on veth": None, "tc by clsact": "clsact"}
"""The rung; None: the best there is."""
XDP_CASES = {
    "xdp on wireguard": ("xdp-link-generic", NO_DRIVER),
    "xdp on veth": ("xdp-link-driver", []),
    "xdp by netlink": ("xdp-netlink-generic", []),
}


def check_life(seen, rungs):
    """Made, swapped, rolled back, adopted and removed by these rungs."""
    for moment, generation in (("made", 1), ("swapped", 2), ("rolled back", 1), ("adopted", 1)):
        assert seen[moment] == {hook: [rung, generation] for hook, rung in rungs.items()}
    assert seen["enforcing"]
    assert seen["sessions"] == {"AUTHORISED": 1}
    assert seen["left"] == []


@pytest.mark.parametrize("case", TC_CASES)
def test_tc(facts, guest, case):
    seen, forced = facts("attaching")[case], TC_CASES[case]
    rung = forced or TC[guest["series"]]
    check_life(seen, {"ingress": rung, "egress": rung})
    refused = [] if forced else NO_TCX[guest["series"]]
    assert seen["refused"] == {"ingress": refused, "egress": refused}


@pytest.mark.parametrize("case", XDP_CASES)
def test_xdp(facts, guest, case):
    seen, (rung, refused) = facts("attaching")[case], XDP_CASES[case]
    check_life(seen, {"xdp": rung, "egress": TC[guest["series"]]})
    assert seen["refused"] == {"xdp": refused, "egress": NO_TCX[guest["series"]]}


def test_tcx_alone(facts, guest):
    seen = facts("attaching")["tc by tcx alone"]
    if guest["series"] == "6.1":
        assert seen == {"error": "tcx: Invalid argument (EINVAL)", "left": []}
    else:
        check_life(seen, {"ingress": "tcx", "egress": "tcx"})
