"""The best detector that works on this machine, with the compilers that are installed."""

from __future__ import annotations

import os

import pytest
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.gateway.roaming import DETECTORS, OnRoam, Tunnel, open_detector
from wardgate.gateway.roaming.pins import RoamingPins

pytestmark = pytest.mark.root


@pytest.fixture
def gate():
    """A name whose pins are looked at in the end."""
    name = f"choosing{os.getpid()}"
    yield name
    assert not RoamingPins(name).root.exists()


@pytest.fixture
def namespace():
    with NetNamespace("choosing") as made, made.enter(), Links(made) as links:
        links.add_veth("eth0", made, "wg0")
        yield made


def choose(gate: str, **options):
    return open_detector(Tunnel(gate, "wg0", 51_820, bytes([1]) * 32, **options), dict, OnRoam.CHALLENGE)


@pytest.mark.usefixtures("namespace")
def test_with_wireguard_go_the_underlay_is_watched(gate):
    detector = choose(gate, in_kernel=False)
    try:
        status = detector.status()
        assert status.detector == "underlay"
        assert status.carriers == ("eth0", "lo")
        assert [one.detector for one in status.refused] == ["fentry"]
    finally:
        detector.close()


@pytest.mark.usefixtures("namespace")
def test_without_a_gate_nothing_is_done_in_the_kernel(gate):
    """Whether this kernel has WireGuard or not, its detector is refused and says why."""
    detector = choose(gate, in_kernel=True)
    try:
        (refused,) = detector.status().refused
        assert refused.detector == DETECTORS[0]
        assert "WireGuard is neither" in refused.cause or gate in refused.cause
    finally:
        detector.close()
