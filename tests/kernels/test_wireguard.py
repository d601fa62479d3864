"""The gateway's code for the kernel's WireGuard, on kernels that have it."""

from __future__ import annotations

import pytest

PEERS, FEW = 1000, 100


@pytest.fixture
def device(facts):
    return facts("wireguard")["device"]


@pytest.fixture
def tunnel(facts):
    return facts("wireguard")["tunnel"]


def test_device(device):
    """It is made, configured once, found again, and removed."""
    assert device["made"] == ["kernel", False, [], ["wireguard", False]]
    assert device["configured"] == [True, False]
    assert device["state"] == [True, 51820, 7]
    assert device["adopted"] == ["kernel", True, PEERS]
    assert device["destroyed"] == [None, None]
    assert device["gone"][0] == "the device was removed"
    assert device["gone"][1]


def test_peers(device, record_property):
    """A thousand are added, changed and removed; each time the device has what was wanted."""
    for step, seconds in device["seconds"].items():
        record_property(step, seconds)
    assert device["as wanted"] == [0, 0, 0, 0]
    # Nothing; one added, the two that exchange addresses, one removed; all but a few; one changed.
    assert device["reconciled"] == [[0, 0, 0], [1, 2, 1], [1, 0, PEERS - FEW], [0, 1, 0]]
    assert device["endpoint"] == "[fe80::5%1]:9"
    assert device["removed"] == 0


def test_a_dump_is_whole(device):
    """Also one during which peers come and go."""
    assert set(device["while it changes"]) == {FEW}


def test_port_in_use(device):
    assert device["port"] == ["EADDRINUSE", True]


def test_tunnel(tunnel):
    """Nothing passes before it is activated, and nothing is left of it."""
    assert tunnel["prepared"] == [["wireguard", False], ["10.9.0.1/16", "fd09::1/64"]]
    assert tunnel["activated"] == [["wireguard", True], ["10.10.0.0/16", "10.9.0.0/16", "fd09::/64"]]
    assert tunnel["endpoint"] == ["192.0.2.2", True]
    assert tunnel["handshake"] == [True, True, True]
    assert tunnel["left"] == [None, []]


def test_sessions_go_on(tunnel):
    """While other peers, and the settings of this one, change."""
    assert tunnel["undisturbed"] == [True, True, True, ["10.9.0.2/32", "10.9.0.3/32"]]
