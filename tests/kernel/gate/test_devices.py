"""Devices and sessions of a gate on a real device, seen through packets and through the maps."""

from __future__ import annotations

import ipaddress
import time

import pytest
from wardgate.runtime import clock
from wardgate.runtime.devices import DeviceError, DeviceSpec, DeviceTable
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import TUNNEL_INDEX, generations
from wardgate.runtime.layout.codes import Direction, Reason
from wardgate.runtime.maps import Map
from wardgate.runtime.pins import GatePins
from wardgate.runtime.sessions import SessionError, SessionState
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.subjects import SubjectError

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]

OPEN, SESSION, CLOSED = 1, 2, 3
ALICE = DeviceSpec.of("alice", "10.77.0.2")
BOB = DeviceSpec.of("bob", "10.77.0.3")


@pytest.fixture
def gate(net, gate_name, build):
    with net.at_gateway():
        yield Gate.create_or_adopt(build(SESSION), device=net.device, name=gate_name)


def last_reason(gate: Gate) -> Reason:
    return list(gate.events(0))[-1].reason


def test_a_session_opens_and_every_way_to_end_it_closes(net, gate) -> None:
    gate.set_devices([ALICE])
    assert not net.from_device()
    assert last_reason(gate) is Reason.NEEDS_LOGIN
    session = gate.sessions.grant(net.CLIENT, 60)
    assert (session.user, session.state) == ("alice", SessionState.AUTHORISED)
    assert 59 < session.remaining <= 60
    assert net.from_device()
    assert net.to_device()
    assert gate.sessions.revoke(net.CLIENT).state is SessionState.NONE
    assert not net.from_device()
    assert not net.to_device()
    assert last_reason(gate) is Reason.NEEDS_LOGIN
    gate.sessions.grant(net.CLIENT, 0.2)
    assert net.from_device()
    time.sleep(0.25)
    assert gate.sessions.get(net.CLIENT).state is SessionState.EXPIRED
    assert not net.from_device()
    assert last_reason(gate) is Reason.SESSION_EXPIRED


def test_a_session_ends_with_idleness_until_another_grant(net, gate) -> None:
    gate.set_devices([ALICE])
    gate.sessions.grant(net.CLIENT, 60, idle_s=0.3)
    assert net.from_device()
    time.sleep(0.4)
    session = gate.sessions.get(net.CLIENT)
    assert (session.state, session.idle_limit) == (SessionState.IDLE, 0.3)
    assert not net.from_device()
    assert last_reason(gate) is Reason.IDLE
    gate.sessions.grant(net.CLIENT, 60)
    assert net.from_device()
    assert gate.sessions.get(net.CLIENT).idle_limit is None


def test_a_lock_outweighs_a_session(net, gate) -> None:
    gate.set_devices([ALICE])
    gate.sessions.grant(net.CLIENT, 60)
    assert gate.sessions.lock(net.CLIENT).state is SessionState.LOCKED
    assert gate.devices.find(net.CLIENT).locked
    assert not net.from_device()
    assert last_reason(gate) is Reason.LOCKED
    with pytest.raises(SessionError, match="unlock it first"):
        gate.sessions.grant(net.CLIENT, 60)
    assert gate.sessions.unlock(net.CLIENT).state is SessionState.AUTHORISED
    assert net.from_device()


@pytest.mark.parametrize(("duration", "idle"), [(0, None), (-1, None), (1e12, None), (60, 0), (60, -5)])
def test_senseless_times_are_refused(net, gate, duration, idle) -> None:
    gate.set_devices([ALICE])
    with pytest.raises(SessionError):
        gate.sessions.grant(net.CLIENT, duration, idle)
    assert gate.sessions.get(net.CLIENT).state is SessionState.NONE


def test_sessions_need_a_device(gate) -> None:
    for act in (gate.sessions.revoke, gate.sessions.lock, gate.sessions.unlock, gate.sessions.get):
        with pytest.raises(DeviceError, match="no device has this address"):
            act("10.77.0.9")
    with pytest.raises(DeviceError, match="not an IP address"):
        gate.sessions.grant("alice", 60)


def test_a_device_has_one_session_for_all_its_addresses(net, gate) -> None:
    gate.set_devices([DeviceSpec.of("alice", net.CLIENT, net.SECOND, "fd77::2")])
    gate.sessions.grant("fd77::2", 60)
    assert net.from_device()
    assert net.from_device(net.SECOND)
    (session,) = gate.sessions.list()
    assert [str(address) for address in session.addresses] == [net.CLIENT, net.SECOND, "fd77::2"]


def test_devices_that_stay_keep_their_sessions(net, gate) -> None:
    gate.set_devices([ALICE, BOB])
    gate.sessions.grant(net.CLIENT, 60)
    gate.sessions.grant(net.SECOND, 60)
    slot = gate.devices.find(net.CLIENT).slot
    both = DeviceSpec.of("alice", "fd77::5", net.CLIENT)
    gate.set_devices([both])
    assert gate.devices.find("fd77::5").slot == slot
    assert net.from_device()
    assert not net.from_device(net.SECOND)
    assert last_reason(gate) is Reason.NO_DEVICE
    gate.set_devices([both, BOB])
    assert not net.from_device(net.SECOND)
    assert last_reason(gate) is Reason.NEEDS_LOGIN
    # Another user of the same address is another device.
    gate.set_devices([DeviceSpec.of("carol", "fd77::5", net.CLIENT), BOB])
    assert gate.sessions.get(net.CLIENT).state is SessionState.NONE
    assert not net.from_device()


def test_an_address_moves_to_another_device(net, gate) -> None:
    gate.set_devices([DeviceSpec.of("alice", "fd77::2", net.CLIENT), DeviceSpec.of("bob", "fd77::3")])
    gate.sessions.grant("fd77::2", 60)
    gate.set_devices([DeviceSpec.of("alice", "fd77::2"), DeviceSpec.of("bob", "fd77::3", net.CLIENT)])
    assert gate.sessions.get("fd77::2").state is SessionState.AUTHORISED
    assert gate.devices.find(net.CLIENT).user == "bob"
    assert not net.from_device()


def test_a_reused_slot_inherits_nothing(net, gate, gate_name) -> None:
    gate.set_devices([ALICE])
    gate.sessions.grant(net.CLIENT, 60, 30)
    assert net.from_device()
    slot = gate.devices.find(net.CLIENT).slot
    flow = {
        "slot": slot, "device_port": 5, "remote_port": 6, "remote": bytes(16), "protocol": 17, "opener": 0,
        "reserved": 0,
    }  # fmt: skip
    with SharedMaps.open(GatePins(gate_name)) as shared:
        flows, limits = shared.typed("flows"), shared.typed("limits")
        flows[flow] = {"last_seen": clock.now()}
        flows[{**flow, "slot": slot + 1}] = {"last_seen": clock.now()}
        limits[slot] = {"next": 7, "suppressed": 9}
        gate.sessions.lock(net.CLIENT)
        gate.set_devices([])
        assert len(gate.devices) == 0
        gate.set_devices([BOB])
        assert gate.devices.find(net.SECOND).slot == slot
        assert dict(gate.devices[net.SECOND]) == {
            "subject": 2, "flags": 0, "deadline": 0, "idle_limit": 0, "last_active": 0,
        }  # fmt: skip
        assert [key.slot for key in flows] == [slot + 1]
        assert limits[slot] == {"next": 0, "suppressed": 0}


def test_bad_devices_change_nothing(net, gate) -> None:
    gate.set_devices([ALICE])
    for specs, words in (
        ([ALICE, DeviceSpec.of("bob", net.CLIENT)], "given twice, for alice and bob"),
        ([DeviceSpec.of("bob", "10.78.0.1")], "outside the policy's tunnel"),
        ([DeviceSpec.of("bob", "fd78::1")], "outside the policy's tunnel"),
        ([DeviceSpec((), "bob")], "without an address"),
        ([DeviceSpec((ipaddress.ip_address("::ffff:10.77.0.4"),), "bob")], "write 10.77.0.4"),
    ):
        with pytest.raises(DeviceError, match=words):
            gate.set_devices(specs)
    for user in ("", "group:admins", "a" * 64, "ä", "-x"):
        with pytest.raises(SubjectError, match="not a user's name"):
            gate.set_devices([DeviceSpec((ipaddress.ip_address("10.77.0.4"),), user)])
    assert [device.user for device in gate.devices.list()] == ["alice"]


def test_a_gate_has_room_for_as_many_devices_as_it_was_made_for(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device=net.device, name=gate_name, device_slots=4)
        many = [DeviceSpec.of(f"user{n}", f"10.77.0.{n}") for n in range(10, 14)]
        with pytest.raises(DeviceError, match="room for 3"):
            gate.set_devices(many)
        gate.set_devices(many[:3])
        # All slots and all subject ids are taken, and go to others.
        gate.set_devices([*many[2:], ALICE])
        assert net.from_device()
        assert {device.user for device in gate.devices.list()} == {"user12", "user13", "alice"}
        again = Gate.create_or_adopt(build(SESSION), device=net.device, name=gate_name, device_slots=1000)
        assert again.status().slots == 4


@pytest.mark.parametrize("index", [True, False])
def test_both_kinds_of_lookup_see_the_same_devices(net, gate_name, build, index) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN, index=not index), device=net.device, name=gate_name)
        gate.set_devices([ALICE])
        gate.swap(build(OPEN, index=index))
        assert net.from_device()
        assert not net.from_device(net.SECOND)
        gate.set_devices([BOB])
        assert not net.from_device()
        assert net.from_device(net.SECOND)
        gate.rollback()
        assert not net.from_device()
        assert net.from_device(net.SECOND)


def test_users_and_classes_follow_the_policy_of_each_generation(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(
            build(CLOSED, OPEN, subjects={"alice": 2}), device=net.device, name=gate_name
        )
        gate.swap(build(CLOSED, OPEN, subjects={"bob": 2}))
        gate.set_devices([ALICE, BOB])
        assert not net.from_device()
        assert net.from_device(net.SECOND)
        gate.rollback()
        assert net.from_device()
        assert not net.from_device(net.SECOND)


def test_what_a_crash_left_of_a_device_is_cleaned(net, gate, gate_name, build) -> None:
    gate.set_devices([ALICE])
    gate.sessions.grant(net.CLIENT, 60)
    pins = GatePins(gate_name)
    with SharedMaps.open(pins) as shared:
        addresses, devices = shared.typed("addresses"), shared.typed("devices")
        # A slot that no address leads to, and an address that leads to an empty slot.
        devices[7] = {"subject": 1, "deadline": 1 << 60}
        addresses[ipaddress.ip_address("fd77::7").packed] = 9
        gate.set_devices([ALICE, BOB])
        assert devices[7].subject == 0
        assert devices[7].deadline == 0
        assert {device.user for device in gate.devices.list()} == {"alice", "bob"}
        assert DeviceTable(shared).slot_of(net.SECOND) != 9
    assert gate.sessions.get(net.CLIENT).state is SessionState.AUTHORISED
    (generation,) = generations(pins)
    with Map.open_pin(generation.path / TUNNEL_INDEX.name) as raw, raw.view() as view:
        view.store(2, 0, 4, 0)
    assert not net.from_device()
    Gate.create_or_adopt(build(SESSION), device=net.device, name=gate_name)
    assert net.from_device()


def test_devices_are_a_mapping_of_records(net, gate) -> None:
    gate.set_devices([DeviceSpec.of("alice", net.CLIENT, "fd77::2")])
    assert [str(address) for address in gate.devices] == [net.CLIENT, "fd77::2"]
    assert gate.devices[net.CLIENT] == gate.devices[ipaddress.ip_address("fd77::2")]
    assert gate.devices[net.CLIENT].subject == 1
    assert "10.77.0.99" not in gate.devices
    with pytest.raises(KeyError):
        gate.devices["10.77.0.99"]
    status = gate.status()
    assert (status.devices, status.sessions[SessionState.NONE]) == (1, 1)
    assert status.counters[Direction.FROM_DEVICE] == {}
