"""One device of a gate comes, changes or goes: seen through packets, and against a change of all devices."""

from __future__ import annotations

import random

import pytest
from fixture_gates import ALICE, BOB, OPEN, SESSION
from wardgate.runtime.addresses import DeviceError
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import generations
from wardgate.runtime.layout.codes import Reason
from wardgate.runtime.owners import Owners
from wardgate.runtime.pins import GatePins
from wardgate.runtime.sessions import SessionState
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.subjects import SubjectError
from wardgate.runtime.views import MapView

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]

SMALL = ("10.77.0.0", 4)


@pytest.fixture
def gate(net, gate_name, build):
    with net.at_gateway():
        yield Gate.create_or_adopt(build(SESSION), device=net.device, name=gate_name)


def last_reason(gate: Gate) -> Reason:
    return list(gate.events(0))[-1].reason


def known(gate: Gate) -> dict[str, tuple[str, ...]]:
    return {str(one.addresses[0]): (one.user, *map(str, one.addresses)) for one in gate.devices.list()}


def test_a_device_comes_changes_and_goes(net, gate) -> None:
    gate.set_devices([BOB])
    gate.sessions.grant(net.SECOND, 60)
    put = gate.put_device(ALICE)
    assert (put.user, put.addresses, put.record.deadline) == ("alice", ALICE.addresses, 0)
    assert put.slot != gate.devices.find(net.SECOND).slot
    assert not net.from_device(wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.NEEDS_LOGIN
    gate.sessions.grant(net.CLIENT, 60)
    assert net.from_device()
    # With one address in common and of the same user it is the same device.
    moved = gate.put_device(DeviceSpec.of("alice", "fd77::2", net.CLIENT))
    assert (moved.slot, [str(one) for one in moved.addresses]) == (put.slot, [net.CLIENT, "fd77::2"])
    assert net.from_device()
    gate.sessions.lock(net.CLIENT)
    gate.put_device(DeviceSpec.of("alice", "fd77::2"))
    assert gate.devices.find("fd77::2").locked
    assert not net.from_device(wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.NO_DEVICE
    gone = gate.remove_device("fd77::2")
    assert (gone.slot, gone.user) == (put.slot, "alice")
    with pytest.raises(DeviceError, match="no device has this address"):
        gate.remove_device("fd77::2")
    # Nothing of it is left to the next one in its slot.
    again = gate.put_device(ALICE)
    assert again.slot == put.slot
    assert {name: value for name, value in again.record.items() if value} == {"subject": again.record.subject}
    assert gate.sessions.get(net.SECOND).state is SessionState.AUTHORISED
    assert net.from_device(net.SECOND)


def test_a_removal_is_seen_by_the_next_packet_in_both_directions(net, gate) -> None:
    gate.set_devices([ALICE, BOB])
    gate.sessions.grant(net.CLIENT, 60)
    gate.sessions.grant(net.SECOND, 60)
    assert net.from_device()
    assert net.to_device()
    gate.remove_device(net.CLIENT)
    assert not net.from_device(wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.NO_DEVICE
    assert not net.to_device(wait=net.BRIEFLY)
    assert net.from_device(net.SECOND)


def test_what_cannot_be_put_changes_nothing(net, gate) -> None:
    both = DeviceSpec.of("bob", net.SECOND, "fd77::3")
    gate.set_devices([ALICE, both, DeviceSpec.of("alice", "fd77::9")])
    before = known(gate)
    for spec, words in (
        (DeviceSpec.of("carol", "fd77::8", net.SECOND), "10.77.0.3: it is of a device of bob"),
        (DeviceSpec.of("alice", net.CLIENT, "fd77::9"), "they are of 2 devices of alice"),
        (DeviceSpec.of("carol", "10.78.0.1"), "outside the policy's tunnel"),
        (DeviceSpec.of("carol", "fd77::8", "fd77::8"), "given twice"),
        (DeviceSpec((), "carol"), "without an address"),
    ):
        with pytest.raises(DeviceError, match=words):
            gate.put_device(spec)
    with pytest.raises(SubjectError, match="not a user's name"):
        gate.put_device(DeviceSpec(ALICE.addresses, "group:admins"))
    assert not GatePins(gate.name).unfinished.exists()
    assert known(gate) == before


def test_a_full_gate_takes_no_more(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device=net.device, name=gate_name, device_slots=4)
        for number in range(10, 13):
            gate.put_device(DeviceSpec.of(f"user{number}", f"10.77.0.{number}"))
        with pytest.raises(DeviceError, match="room for 3 devices"):
            gate.put_device(ALICE)
        gate.remove_device("10.77.0.11")
        # All subject ids are taken too: that of the device that went goes to another user.
        assert gate.put_device(ALICE).record.subject == 2
        assert net.from_device()
        assert {device.user for device in gate.devices.list()} == {"user10", "user12", "alice"}


def test_addresses_for_which_the_hash_has_no_room_are_not_put(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device=net.device, name=gate_name, device_slots=5)
        many = [f"fd77::{number}" for number in range(2, 6)]
        gate.put_device(DeviceSpec.of("alice", net.CLIENT, *many))
        before = known(gate)
        for spec in (
            DeviceSpec.of("bob", "fd77::8", "fd77::9"),
            DeviceSpec.of("alice", "fd77::2", "fd77::8", "fd77::9"),
        ):
            with pytest.raises(DeviceError, match="no room for more of them"):
                gate.put_device(spec)
            assert known(gate) == before
        assert gate.put_device(DeviceSpec.of("bob", "fd77::8")).user == "bob"
        assert net.from_device()


@pytest.mark.parametrize("index", [None, SMALL])
def test_any_sequence_comes_to_what_setting_all_devices_does(net, gate_name, build, index) -> None:
    """In all generations, which look addresses up in different places."""
    chance = random.Random(f"{index}")
    pool = [f"10.77.0.{number}" for number in range(2, 8)] + [f"fd77::{number}" for number in range(2, 5)]
    devices: list[DeviceSpec] = []
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device=net.device, name=gate_name)
        gate.swap(build(OPEN, index=index, digest="other"))
        for _ in range(40):
            taken = {str(address): spec for spec in devices for address in spec.addresses}
            if devices and chance.random() < 0.4:
                spec = devices.pop(chance.randrange(len(devices)))
                gate.remove_device(chance.choice(spec.addresses))
            else:
                spec = DeviceSpec.of(
                    chance.choice(("alice", "bob")), *chance.sample(pool, chance.randint(1, 3))
                )
                met = [taken[str(address)] for address in spec.addresses if str(address) in taken]
                if any(other.user != spec.user or other is not met[0] for other in met):
                    with pytest.raises(DeviceError):
                        gate.put_device(spec)
                    continue
                devices = [one for one in devices if one not in met] + [spec]
                gate.put_device(spec)
            expected = {(one.user, frozenset(one.addresses)) for one in devices}
            assert {(one.user, frozenset(one.addresses)) for one in gate.devices.list()} == expected
            gate.rollback()
            assert {(one.user, frozenset(one.addresses)) for one in gate.devices.list()} == expected
        slots = {frozenset(one.addresses): one.slot for one in gate.devices.list()}
        gate.set_devices(devices)
        assert {frozenset(one.addresses): one.slot for one in gate.devices.list()} == slots
        with SharedMaps.open(GatePins(gate_name)) as shared:
            records = [record for _, record in shared.typed("devices").items()]
        assert sum(record.subject > 0 for record in records) == len(devices)
        assert len(generations(GatePins(gate_name))) == 2


def test_the_other_devices_are_not_read(net, gate, monkeypatch) -> None:
    gate.set_devices([BOB])

    def refuse(*_: object) -> None:
        raise AssertionError("it reads all devices")

    monkeypatch.setattr(Owners, "known", refuse)
    monkeypatch.setattr(MapView, "column", refuse)
    gate.put_device(ALICE)
    gate.put_device(DeviceSpec.of("alice", net.CLIENT, "10.77.0.9"))
    gate.remove_device("10.77.0.9")
    monkeypatch.undo()
    assert [device.user for device in gate.devices.list()] == ["bob"]
