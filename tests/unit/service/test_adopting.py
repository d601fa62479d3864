"""What is there already when a gateway starts or stops: its own is taken over, others' are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.service import adopting, removal
from wardgate.gateway.service.adopting import ForeignGateError, guarded, make_gate, own_device
from wardgate.gateway.settings import Settings, read_settings
from wardgate.gateway.wireguard import PrivateKey
from wardgate.runtime.errors import MapMismatchError, WardgateError
from wardgate.runtime.pins import LockError, PinError
from wardgate.runtime.stored import StoredManifestError

OWN, OTHER = PrivateKey(bytes([3] * 32)), PrivateKey(bytes([7] * 32))
FOREIGN = (
    MapMismatchError("open map", "'devices'", "it is of another release", "detach the gate"),
    StoredManifestError("read pin", "manifest", "it was written by another release", "detach the gate"),
    PinError("read pin", "about", "it was written by another release", "detach the gate"),
)
HELD = LockError("change gate", "wg0", "process 7 holds it", "wait for it")


class Machine:
    """What is there: gates by name, and a WireGuard device. `done` is what was done to them."""

    def __init__(self) -> None:
        self.gates: list[str] = []
        self.device: Any = None
        self.enforces: Callable[[], bool] = lambda: True
        self.done: list[str] = []

    def list(self) -> list[str]:
        return self.gates

    def open(self, _name: str) -> Machine:
        return self

    def has_device(self, key: PrivateKey | None) -> None:
        public = key.public_key() if key else None
        self.device = SimpleNamespace(
            state=lambda: SimpleNamespace(public_key=public), destroy=lambda: self.done.append("destroyed")
        )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(adopting, "Gate", made)
    monkeypatch.setattr(adopting, "find_device", lambda _: made.device)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"addresses: 10.9.0.1/16\nendpoint: vpn.example.org:51820\nstate: {tmp_path}\n")
    return read_settings(path)


def raising(error: Exception) -> Callable[[], bool]:
    def judge() -> bool:
        raise error

    return judge


@pytest.mark.parametrize(
    ("gates", "there", "own", "taken"),
    [
        ([], OWN, OWN, True),
        # Made by a process that was killed before it gave it a key.
        ([], None, OWN, True),
        ([], OTHER, OWN, False),
        ([], OWN, None, False),
        (["wg1"], OTHER, OWN, False),
        # Its key was changed on purpose.
        (["wg0"], OTHER, OWN, True),
        (["wg0"], OTHER, None, True),
    ],
)
def test_a_wireguard_device_is_taken_over_where_it_is_ours(
    machine: Machine,
    settings: Settings,
    gates: list[str],
    there: PrivateKey | None,
    own: PrivateKey | None,
    taken: bool,
) -> None:
    machine.gates = gates
    machine.has_device(there)
    if taken:
        assert own_device(settings, own) is machine.device
        return
    with pytest.raises(GatewayError, match="it is not this gateway's") as caught:
        own_device(settings, own)
    assert "ip link delete wg0" in caught.value.remedy


@pytest.mark.usefixtures("machine")
def test_a_name_that_nobody_has_is_free(settings: Settings) -> None:
    assert own_device(settings, OWN) is None


@pytest.mark.parametrize("key", [True, False])
def test_taking_down_begins_with_whether_it_is_ours(
    machine: Machine, settings: Settings, key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("remove_detectors", "remove_masquerade"):
        monkeypatch.setattr(removal, name, lambda *_: machine.done.append("removed"))
    monkeypatch.setattr(removal, "Gate", machine)
    if key:
        settings.private_key.write_text(OWN.reveal())
        settings.private_key.chmod(0o600)
    machine.has_device(OTHER)
    with pytest.raises(GatewayError, match="it is not this gateway's"):
        removal.take_down(settings)
    assert machine.done == []
    if key:
        machine.has_device(OWN)
        removal.take_down(settings)
        assert machine.done == ["destroyed", "removed", "removed"]


def test_what_cannot_be_removed_keeps_nothing_else_from_being_put_back(
    machine: Machine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise WardgateError("remove", "wg0", "it cannot be")

    class Restored:
        def __init__(self, _file: Path) -> None:
            pass

        def restore(self) -> None:
            machine.done.append("restored")

    monkeypatch.setattr(removal, "Gate", machine)
    monkeypatch.setattr(removal, "Forwarding", Restored)
    monkeypatch.setattr(removal, "remove_detectors", fails)
    monkeypatch.setattr(removal, "remove_masquerade", lambda _: machine.done.append("removed"))
    with pytest.raises(WardgateError, match="it cannot be"):
        removal.take_down(settings)
    assert machine.done == ["removed", "restored"]


def test_an_interface_is_guarded_by_a_gate_that_is_on_it(machine: Machine) -> None:
    assert not guarded("wg0")
    machine.gates = ["wg0"]
    assert guarded("wg0")
    for judge in (lambda: False, raising(WardgateError("open gate", "wg0", "it is broken"))):
        machine.enforces = judge
        assert not guarded("wg0")


@pytest.mark.parametrize("error", FOREIGN)
def test_a_gate_of_another_release_is_left_as_it_is(
    machine: Machine, settings: Settings, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.gates, machine.enforces = ["wg0"], raising(error)
    monkeypatch.setattr(machine, "create_or_adopt", lambda *_, **__: raising(error)(), raising=False)
    for work in (lambda: guarded("wg0"), lambda: make_gate(settings, b"")):
        with pytest.raises(ForeignGateError, match="goes on judging packets as before") as caught:
            work()
        assert "`wardgate gateway stop`" in caught.value.remedy
        assert "detach" not in str(caught.value)


@pytest.mark.parametrize("error", [HELD, PinError("open gate", "wg0", "not permitted", "run as root")])
def test_where_nobody_can_tell_nothing_is_decided(machine: Machine, error: Exception) -> None:
    machine.gates, machine.enforces = ["wg0"], raising(error)
    with pytest.raises(type(error)) as caught:
        guarded("wg0")
    assert caught.value is error
