"""Devices and sessions of a gate on a real device, seen through packets and through the maps."""

from __future__ import annotations

import ipaddress
import time

import pytest
from fixture_gates import ALICE, BOB, CLOSED, OPEN, SESSION
from wardgate.runtime import clock
from wardgate.runtime.addresses import (
    DeviceError,
    address_of,
    key_of,
    number_of,
    number_of_key,
    parse_address,
)
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import OpenIndexes, generations
from wardgate.runtime.layout.codes import Direction, Reason
from wardgate.runtime.layout.records import FLOWS_A_DEVICE
from wardgate.runtime.maps import Map
from wardgate.runtime.owners import owner_word
from wardgate.runtime.pins import GatePins
from wardgate.runtime.sessions import SessionError, SessionState
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.subjects import SubjectError

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]


@pytest.fixture
def gate(net, gate_name, build):
    with net.at_gateway():
        yield Gate.create_or_adopt(build(SESSION), device=net.device, name=gate_name)


LONG_ENOUGH = 2.0
"""Seconds in which a packet that is sent now passes, however busy the machine is."""


def last_reason(gate: Gate) -> Reason:
    return list(gate.events(0))[-1].reason


def wait_for(gate: Gate, state: SessionState) -> None:
    """Until the session of the net's client is in this state."""
    while gate.sessions.get("10.77.0.2").state is not state:
        time.sleep(0.05)


def test_a_session_opens_and_every_way_to_end_it_closes(net, gate) -> None:
    gate.set_devices([ALICE])
    assert not net.from_device(wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.NEEDS_LOGIN
    session = gate.sessions.grant(net.CLIENT, 60)
    assert (session.user, session.state) == ("alice", SessionState.AUTHORISED)
    assert 59 < session.remaining <= 60
    assert net.from_device()
    assert net.to_device()
    assert gate.sessions.revoke(net.CLIENT).state is SessionState.NONE
    assert not net.from_device(wait=net.BRIEFLY)
    assert not net.to_device(wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.NEEDS_LOGIN
    gate.sessions.grant(net.CLIENT, LONG_ENOUGH)
    assert net.from_device()
    wait_for(gate, SessionState.EXPIRED)
    assert not net.from_device(wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.SESSION_EXPIRED


def test_an_answer_about_one_address_differs_in_the_addresses_alone(net, gate) -> None:
    other = "fd77::2"
    gate.set_devices([DeviceSpec.of("alice", net.CLIENT, other), BOB])
    for act in (
        lambda address, **given: gate.sessions.grant(address, 60, 30, **given),
        gate.sessions.lock, gate.sessions.get, gate.sessions.unlock, gate.sessions.revoke,
    ):  # fmt: skip
        whole, part = act(net.CLIENT), act(other, whole=False)
        assert whole.addresses == (ipaddress.ip_address(net.CLIENT), ipaddress.ip_address(other))
        assert part.addresses == (ipaddress.ip_address(other),)
        assert (whole.user, whole.state, whole.idle_limit) == (part.user, part.state, part.idle_limit)
    assert gate.devices.slot_of(other) == gate.devices.find(net.CLIENT).slot
    for act in (gate.sessions.get, gate.sessions.revoke, gate.sessions.lock):
        with pytest.raises(DeviceError):
            act("10.77.0.9", whole=False)
    with pytest.raises(DeviceError):
        gate.devices.slot_of("10.77.0.9")


def test_a_session_ends_with_idleness_until_another_grant(net, gate) -> None:
    gate.set_devices([ALICE])
    gate.sessions.grant(net.CLIENT, 60, idle_s=LONG_ENOUGH)
    assert net.from_device()
    wait_for(gate, SessionState.IDLE)
    assert gate.sessions.get(net.CLIENT).idle_limit == LONG_ENOUGH
    assert not net.from_device(wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.IDLE
    gate.sessions.grant(net.CLIENT, 60)
    assert net.from_device()
    assert gate.sessions.get(net.CLIENT).idle_limit is None


def test_a_lock_outweighs_a_session(net, gate) -> None:
    gate.set_devices([ALICE])
    gate.sessions.grant(net.CLIENT, 60)
    assert gate.sessions.lock(net.CLIENT).state is SessionState.LOCKED
    assert gate.devices.find(net.CLIENT).locked
    assert not net.from_device(wait=net.BRIEFLY)
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
    assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.NO_DEVICE
    gate.set_devices([both, BOB])
    assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
    assert last_reason(gate) is Reason.NEEDS_LOGIN
    # Another user of the same address is another device.
    gate.set_devices([DeviceSpec.of("carol", "fd77::5", net.CLIENT), BOB])
    assert gate.sessions.get(net.CLIENT).state is SessionState.NONE
    assert not net.from_device(wait=net.BRIEFLY)


def test_an_address_moves_to_another_device(net, gate) -> None:
    gate.set_devices([DeviceSpec.of("alice", "fd77::2", net.CLIENT), DeviceSpec.of("bob", "fd77::3")])
    gate.sessions.grant("fd77::2", 60)
    gate.set_devices([DeviceSpec.of("alice", "fd77::2"), DeviceSpec.of("bob", "fd77::3", net.CLIENT)])
    assert gate.sessions.get("fd77::2").state is SessionState.AUTHORISED
    assert gate.devices.find(net.CLIENT).user == "bob"
    assert not net.from_device(wait=net.BRIEFLY)


def test_a_reused_slot_inherits_nothing(net, gate, gate_name) -> None:
    gate.set_devices([ALICE])
    gate.sessions.grant(net.CLIENT, 60, 30)
    assert net.from_device()
    slot = gate.devices.find(net.CLIENT).slot
    with SharedMaps.open(GatePins(gate_name)) as shared:
        flows, limits = shared.typed("flows"), shared.typed("limits")
        for key in ((slot, 0), (slot, FLOWS_A_DEVICE - 1), (slot + 1, 0)):
            flows[dict(zip(("slot", "place"), key, strict=True))] = {"last_seen": clock.now()}
        limits[slot] = {"next": 7, "suppressed": 9}
        gate.sessions.lock(net.CLIENT)
        gate.set_devices([])
        assert len(gate.devices) == 0
        gate.set_devices([BOB])
        assert gate.devices.find(net.SECOND).slot == slot
        assert dict(gate.devices[net.SECOND]) == {
            "subject": 2, "flags": 0, "deadline": 0, "idle_limit": 0, "last_active": 0, "login": 0,
        }  # fmt: skip
        assert [(key.slot, key.place) for key in flows] == [(slot + 1, 0)]
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


WHOLE, SMALL, SHIFTED = ("10.77.0.0", 256), ("10.77.0.0", 3), ("10.77.0.3", 8)
LAST = DeviceSpec.of("carol", "10.77.0.200", "fd77::9")


def range_of(index: tuple[str, int]) -> range:
    first = number_of(parse_address(index[0]))
    return range(first, first + index[1])


def places(gate_name: str) -> list[dict[str, set[str]]]:
    """Where each generation's addresses lead to a device: by its index, and by the hash."""
    found = []
    with Map.open_pin(GatePins(gate_name).maps / "addresses") as others:
        hashed = {str(address_of(number_of_key(key))) for key, _ in others.items()}
    for generation in generations(GatePins(gate_name)):
        with OpenIndexes(generation) as opened:
            indexed = {
                str(address_of(index.covers[place]))
                for index in opened.indexes
                for place, owner in enumerate(index.owners())
                if owner
            }
        found.append({"index": indexed, "hash": hashed})
    return found


@pytest.mark.parametrize(
    ("before", "after"), [(WHOLE, None), (None, SMALL), (SMALL, SHIFTED), (SHIFTED, WHOLE)]
)
def test_generations_with_other_indexes_know_the_same_devices(net, gate_name, build, before, after) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN, index=before), device=net.device, name=gate_name)
        gate.set_devices([ALICE, LAST])
        gate.swap(build(OPEN, index=after, digest="other"))
        assert net.from_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
        gate.set_devices([BOB, LAST])
        assert not net.from_device(wait=net.BRIEFLY)
        assert net.from_device(net.SECOND)
        assert [device.user for device in gate.devices.list()] == ["bob", "carol"]
        assert gate.devices.find("10.77.0.200").addresses == LAST.addresses
        gate.rollback()
        assert not net.from_device(wait=net.BRIEFLY)
        assert net.from_device(net.SECOND)
        assert [device.user for device in gate.devices.list()] == ["bob", "carol"]
        everything = {"10.77.0.3", "10.77.0.200", "fd77::9"}
        covered = [
            {a for a in everything if index and number_of(parse_address(a)) in range_of(index)}
            for index in (before, after)
        ]
        assert [place["index"] for place in places(gate_name)] == covered
        assert places(gate_name)[0]["hash"] == everything - (covered[0] & covered[1])
        # What only the generation before last looked up in the hash leaves it.
        gate.swap(build(OPEN, index=before, digest="third"))
        assert places(gate_name)[0]["hash"] == everything - covered[0]


def test_an_index_of_the_same_addresses_is_shared(net, gate_name, build) -> None:
    def index_maps() -> list[int]:
        found = []
        for generation in generations(GatePins(gate_name)):
            with Map.open_pin(generation.path / "tunnel4") as one:
                found.append(one.info.id)
        return found

    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device=net.device, name=gate_name)
        gate.set_devices([ALICE])
        gate.swap(build(CLOSED))
        first, second = index_maps()
        assert first == second
        gate.swap(build(OPEN, index=SMALL))
        second, third = index_maps()
        assert first == second != third
        assert net.from_device()


def test_a_gate_has_room_outside_the_indexes_for_one_address_of_a_device(net, gate_name, build) -> None:
    specs = [DeviceSpec.of("alice", f"10.77.0.{n}", f"fd77::{n}", f"fd77::1:{n}") for n in (2, 3, 4)]
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device=net.device, name=gate_name, device_slots=5)
        gate.set_devices(specs[:2])
        with pytest.raises(DeviceError, match=r"6 are outside.*room for 5"):
            gate.set_devices(specs)
        assert len(gate.devices.list()) == 2
        with pytest.raises(DeviceError, match="6 are outside"):
            gate.swap(build(OPEN, index=None))
        assert len(generations(GatePins(gate_name))) == 1
        gate.set_devices([DeviceSpec(spec.addresses[:2], spec.user) for spec in specs[:2]])
        gate.swap(build(OPEN, index=None))
        assert net.from_device()


@pytest.mark.parametrize("bits", [16, 32])
def test_classes_are_as_wide_as_the_policy_says(net, gate_name, build, bits) -> None:
    users = [f"user{number}" for number in range(9)]
    with net.at_gateway():
        gate = Gate.create_or_adopt(
            build(CLOSED, OPEN, subjects={users[7]: 2}, class_bits=bits), device=net.device, name=gate_name
        )
        gate.set_devices([DeviceSpec.of(user, f"10.77.0.{10 + n}") for n, user in enumerate(users)])
        gate.set_devices([DeviceSpec.of(users[7], net.CLIENT), DeviceSpec.of(users[6], net.SECOND)])
        assert net.from_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
        assert last_reason(gate) is Reason.DENY_RULE
        gate.swap(build(CLOSED, OPEN, subjects={users[6]: 2}, class_bits=48 - bits))
        assert not net.from_device(wait=net.BRIEFLY)
        assert net.from_device(net.SECOND)


def test_users_and_classes_follow_the_policy_of_each_generation(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(
            build(CLOSED, OPEN, subjects={"alice": 2}), device=net.device, name=gate_name
        )
        gate.swap(build(CLOSED, OPEN, subjects={"bob": 2}))
        gate.set_devices([ALICE, BOB])
        assert not net.from_device(wait=net.BRIEFLY)
        assert net.from_device(net.SECOND)
        gate.rollback()
        assert net.from_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)


def test_what_a_crash_left_of_a_device_is_cleaned(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(SESSION), device=net.device, name=gate_name)
        gate.set_devices([ALICE, DeviceSpec.of("dora", "fd77::4")])
        gate.sessions.grant(net.CLIENT, 60)
        gate.swap(build(SESSION, index=SHIFTED))
        gate.rollback()
        pins = GatePins(gate_name)
        dora = gate.devices.find("fd77::4").slot
        current, previous = generations(pins)
        with SharedMaps.open(pins) as shared, OpenIndexes(current) as now, OpenIndexes(previous) as before:
            addresses, devices = shared.typed("addresses"), shared.typed("devices")
            # A slot that no address leads to, and addresses that lead to an empty slot or to another's.
            devices[7] = {"subject": 1, "deadline": 1 << 60}
            astray = {"fd77::7": (9, 1), "fd77::8": (dora, 1), "fd77::b": (1 << 20, 1)}
            for address, (slot, subject) in astray.items():
                addresses[parse_address(address).packed] = {"slot": slot, "subject": subject}
            # Addresses that only a generation knows that is not in force.
            before.indexes[0].set({number_of(parse_address("10.77.0.5")): owner_word(dora, 2)})
            # One that it does not know, and one that it shall not know any more.
            addresses.discard(key_of(number_of(parse_address(net.CLIENT))))
            now.indexes[0].set({number_of(parse_address("10.77.0.6")): owner_word(dora, 2)})
            gate.set_devices([ALICE, BOB, DeviceSpec.of("dora", "fd77::4", "10.77.0.6")])
            assert devices[7] == dict.fromkeys(devices[7], 0)
            assert [device.user for device in gate.devices.list()] == ["alice", "bob", "dora"]
            assert gate.devices.find("10.77.0.6").slot == gate.devices.find("fd77::4").slot == dora
            assert {str(address_of(number_of_key(key.address))) for key in addresses} == {
                net.CLIENT, "fd77::4",
            }  # fmt: skip
            assert before.indexes[0].get(number_of(parse_address("10.77.0.5"))) == 0
        assert gate.sessions.get(net.CLIENT).state is SessionState.AUTHORISED
        assert net.from_device()
        gate.rollback()
        assert net.from_device()


def test_a_killed_change_of_devices_is_mended_before_anything_else(net, gate_name, build) -> None:
    """Also before a rollback, which does not look at devices otherwise."""
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device=net.device, name=gate_name)
        gate.set_devices([ALICE, BOB])
        gate.swap(build(OPEN, index=None))
        pins = GatePins(gate_name)
        pins.unfinished.mkdir()
        with SharedMaps.open(pins) as shared:
            # Alice's device went where the generation in force looks, and no further.
            shared.raw("addresses").delete(key_of(number_of(parse_address(net.CLIENT))))
        assert net.from_device(net.SECOND)
        assert not net.from_device(wait=net.BRIEFLY)
        gate.rollback()
        assert not pins.unfinished.exists()
        assert net.from_device(net.SECOND)
        assert not net.from_device(wait=net.BRIEFLY)
        assert [device.user for device in gate.devices.list()] == ["bob"]


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
