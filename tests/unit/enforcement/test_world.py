"""What is told change by change is what a snapshot says, and each change is told as what it asks to do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.enforcement import World
from wardgate.gateway.records import (
    APPLIED,
    DEVICES,
    SESSIONS,
    TOKENS,
    USERS,
    Applied,
    Device,
    Kind,
    Session,
    Token,
    User,
)
from wardgate.gateway.store import Batch, Change, Entry, Snapshot

DEVICE = Device("d1", "alice", "laptop", "k1", ("10.9.0.2",), None, None, False, 1)
USER = User("alice", ("group:a",), False, 1)
SESSION = Session("d1", "alice", "totp", 1, 1, 1, 9, 0, "boot", "")


def put(kind: Kind[object], record: object, *names: str) -> Change:
    return Change(kind.key(*names), kind.encode(record))


def gone(kind: Kind[object], *names: str) -> Change:
    return Change(kind.key(*names), None)


def world_of(*changes: Change) -> World:
    world = World()
    world.update(Batch(1, changes))
    return world


KNOWN = (put(USERS, USER, "alice"), put(DEVICES, DEVICE, "d1"), put(SESSIONS, SESSION, "d1"))


def test_a_new_device_is_added_and_nothing_else() -> None:
    changes = World().update(Batch(1, KNOWN))
    assert (changes.added, changes.removed, changes.locks, changes.ended) == ([DEVICE], [], [], [])
    assert changes.members
    assert not changes.applied


def test_when_tokens_expire_is_known_as_long_as_they_are_there() -> None:
    token = Token("t1", "d", "alice", (), (), None, 1, 70, 10, "uid:0 (root)")
    there = put(TOKENS, token, "t1")
    world = world_of(there)
    assert world.expiries == {"t1": 70}
    again = World()
    again.replace(Snapshot(1, (Entry(there.key, there.value or b"", 1, 1),)))
    assert again.expiries == world.expiries
    world.update(Batch(2, (gone(TOKENS, "t1"),)))
    again.replace(Snapshot(2, ()))
    assert world.expiries == again.expiries == {}


def test_a_device_that_is_another_now_is_removed_first() -> None:
    rekeyed = replace(DEVICE, public_key="k2")
    changes = world_of(*KNOWN).update(Batch(2, (put(DEVICES, rekeyed, "d1"),)))
    assert (changes.removed, changes.added) == ([DEVICE], [rekeyed])


def test_a_name_or_a_lock_moves_no_device() -> None:
    renamed = replace(DEVICE, name="tower", locked=True)
    changes = world_of(*KNOWN).update(Batch(2, (put(DEVICES, renamed, "d1"),)))
    assert (changes.removed, changes.added, changes.locks) == ([], [], [renamed])


def test_a_user_is_locked_with_all_devices_and_one_who_is_gone_too() -> None:
    world = world_of(*KNOWN)
    assert not world.locked(DEVICE)
    changes = world.update(Batch(2, (put(USERS, replace(USER, locked=True), "alice"),)))
    assert changes.locks == [DEVICE]
    assert world.locked(DEVICE)
    assert not changes.members
    changes = world.update(Batch(3, (gone(USERS, "alice"),)))
    assert (changes.locks, changes.members) == ([DEVICE], True)
    assert world.locked(DEVICE)


def test_a_session_that_is_gone_has_ended_unless_its_device_went_with_it() -> None:
    assert world_of(*KNOWN).update(Batch(2, (gone(SESSIONS, "d1"),))).ended == [DEVICE]
    both = (gone(DEVICES, "d1"), gone(SESSIONS, "d1"))
    changes = world_of(*KNOWN).update(Batch(2, both))
    assert (changes.removed, changes.ended) == ([DEVICE], [])


def test_a_device_is_found_by_address_and_key_as_they_are_now() -> None:
    world = world_of(*KNOWN)
    assert world.at_address("10.9.0.2") == DEVICE
    moved = replace(DEVICE, addresses=("10.9.0.3",), public_key="k2")
    other = replace(DEVICE, id="d2", addresses=("10.9.0.2",), public_key="k1")
    world.update(Batch(2, (put(DEVICES, moved, "d1"), put(DEVICES, other, "d2"))))
    assert world.at_address("10.9.0.2") == other
    assert world.at_address("10.9.0.3") == moved
    assert (world.with_key("k1"), world.with_key("k2"), world.with_key("")) == (other, moved, None)


def test_the_policy_and_members() -> None:
    world = world_of(*KNOWN, put(USERS, replace(USER, name="bob"), "bob"))
    assert world.members() == {"group:a": ["alice", "bob"]}
    assert world.update(Batch(2, (put(APPLIED, Applied(3, 2), "policy"),))).applied
    assert world.applied == Applied(3, 2)


NAMES = st.sampled_from(["a", "b", "c"])
DEVICE_RECORDS = st.builds(
    lambda name, user, key, address, locked: put(
        DEVICES, Device(name, user, name, key, (address,), None, None, locked, 1), name
    ),
    NAMES,
    NAMES,
    st.sampled_from(["k1", "k2", "k3"]),
    st.sampled_from(["10.9.0.2", "10.9.0.3"]),
    st.booleans(),
)
USER_RECORDS = st.builds(
    lambda name, groups, locked: put(USERS, User(name, tuple(groups), locked, 1), name),
    NAMES,
    st.sets(st.sampled_from(["group:a", "group:b"])),
    st.booleans(),
)
CHANGES = st.one_of(
    DEVICE_RECORDS,
    USER_RECORDS,
    NAMES.map(lambda name: put(SESSIONS, replace(SESSION, device=name), name)),
    st.builds(gone, st.sampled_from([DEVICES, USERS, SESSIONS]), NAMES),
)


@given(st.lists(st.lists(CHANGES, max_size=3, unique_by=lambda change: change.key), max_size=6))
def test_changes_lead_where_a_snapshot_does(batches: list[list[Change]]) -> None:
    followed, entries = World(), {}
    devices: dict[str, Device] = {}
    for revision, changes in enumerate(batches, 1):
        told = followed.update(Batch(revision, tuple(changes)))
        for change in changes:
            entries[change.key] = change.value
        # Who does what is told has the devices that there are.
        for device in told.removed:
            del devices[device.id]
        for device in told.added:
            assert device.id not in devices
            devices[device.id] = device
    there = tuple(Entry(key, value, 1, 1) for key, value in sorted(entries.items()) if value is not None)
    told_at_once = World()
    told_at_once.replace(Snapshot(len(batches), there))
    assert followed.devices == told_at_once.devices
    assert followed.users == told_at_once.users
    assert followed.sessions.keys() == told_at_once.sessions.keys()
    assert followed.members() == told_at_once.members()
    assert devices.keys() == followed.devices.keys()
    for name, device in devices.items():
        assert (device.public_key, device.addresses) == (
            followed.devices[name].public_key,
            followed.devices[name].addresses,
        )
