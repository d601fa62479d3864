"""What the store says should be enforced, kept up to date by its changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from wardgate.gateway.records import (
    APPLIED,
    DEVICES,
    SESSIONS,
    TOKENS,
    USERS,
    Applied,
    Device,
    Session,
    User,
)
from wardgate.gateway.store import Batch, Snapshot

T = TypeVar("T")

PREFIXES: Final = tuple(kind.prefix for kind in (DEVICES, USERS, SESSIONS, APPLIED))
"""Of all that a world knows of. The audit log, which has no end, is not of it."""


@dataclass(slots=True)
class Changes:
    """What differs from before, as lists of what to do, in the order in which to do it.

    `removed`: devices that are gone, or were as they are no longer. `locks`: devices that stay, whose lock
    may be another. `ended`: devices that stay, whose session is gone from the store. `added`: devices that
    are new, or as they are now. `members`: who is in which group; `applied`: which policy.
    """

    removed: list[Device] = field(default_factory=list)
    locks: list[Device] = field(default_factory=list)
    ended: list[Device] = field(default_factory=list)
    added: list[Device] = field(default_factory=list)
    members: bool = False
    applied: bool = False


class World:
    """Devices, users, sessions, the ends of tokens and the number of the policy, by the store."""

    def __init__(self) -> None:
        self.revision = 0
        self.devices: dict[str, Device] = {}
        self.users: dict[str, User] = {}
        self.sessions: dict[str, Session] = {}
        self.expiries: dict[str, int] = {}
        self.applied: Applied | None = None
        self._by_address: dict[str, str] = {}
        self._by_key: dict[str, str] = {}

    def locked(self, device: Device) -> bool:
        """Whether nothing of the device may pass that needs a session; so for one whose user is not there."""
        user = self.users.get(device.user)
        return device.locked or user is None or user.locked

    def members(self) -> dict[str, list[str]]:
        """Memberships that the store gives: `group:NAME` to users, in order. Any thread may ask: what it gets
        is what was so at one moment."""
        found: dict[str, list[str]] = {}
        users = self.users.copy()
        for name in sorted(users):
            for group in users[name].groups:
                found.setdefault(group, []).append(name)
        return found

    def at_address(self, address: str) -> Device | None:
        """The device that has a tunnel address, in its usual form."""
        return self.devices.get(self._by_address.get(address, ""))

    def with_key(self, public_key: str) -> Device | None:
        """The device that has a public key, in base64."""
        return self.devices.get(self._by_key.get(public_key, ""))

    def devices_of(self, user: str) -> list[Device]:
        """A user's devices."""
        return [device for device in self.devices.values() if device.user == user]

    def replace(self, snapshot: Snapshot) -> None:
        """Know what is in a snapshot of PREFIXES, and nothing else."""
        fresh = World()
        for entry in snapshot.entries:
            fresh._set(entry.key, entry.value)
        # Each as a whole: another thread may be reading what was.
        self.users = fresh.users
        self.devices = fresh.devices
        self.sessions = fresh.sessions
        self.expiries = fresh.expiries
        self.applied = fresh.applied
        self._by_address = fresh._by_address
        self._by_key = fresh._by_key
        self.revision = snapshot.revision

    def update(self, batch: Batch) -> Changes:
        """Take over the changes of one revision; what they are about."""
        changes = Changes()
        locks: set[str] = set()
        for change in batch.changes:
            if change.key.startswith(DEVICES.prefix):
                self._device(change.key, change.value, changes, locks)
            elif change.key.startswith(USERS.prefix):
                self._user(change.key, change.value, changes, locks)
            elif change.key.startswith(SESSIONS.prefix):
                if change.value is None:
                    session = self.sessions.pop(SESSIONS.names(change.key)[0], None)
                    device = self.devices.get(session.device) if session else None
                    if device:
                        changes.ended.append(device)
                else:
                    self._set(change.key, change.value)
            elif change.key.startswith(TOKENS.prefix):
                self._set(change.key, change.value)
            elif change.key.startswith(APPLIED.prefix):
                self._set(change.key, change.value)
                changes.applied = True
        fresh = {device.id for device in changes.added}
        changes.locks = [self.devices[name] for name in sorted(locks - fresh) if name in self.devices]
        self.revision = batch.revision
        return changes

    def _device(self, key: str, value: bytes | None, changes: Changes, locks: set[str]) -> None:
        before = self.devices.get(DEVICES.names(key)[0])
        self._set(key, value)
        after = self.devices.get(DEVICES.names(key)[0])
        if before is not None and (after is None or _enforced(before) != _enforced(after)):
            changes.removed.append(before)
        if after is not None and (before is None or _enforced(before) != _enforced(after)):
            changes.added.append(after)
        elif after is not None:
            locks.add(after.id)

    def _user(self, key: str, value: bytes | None, changes: Changes, locks: set[str]) -> None:
        before = self.users.get(USERS.names(key)[0])
        self._set(key, value)
        after = self.users.get(USERS.names(key)[0])
        changes.members |= (before.groups if before else ()) != (after.groups if after else ())
        locks.update(device.id for device in self.devices_of(USERS.names(key)[0]))

    def _set(self, key: str, value: bytes | None) -> None:
        if key.startswith(DEVICES.prefix):
            name = DEVICES.names(key)[0]
            self._forget(self.devices.pop(name, None))
            if value is not None:
                device = self.devices[name] = DEVICES.decode(key, value)
                self._by_address.update(dict.fromkeys(device.addresses, name))
                self._by_key[device.public_key] = name
        elif key.startswith(USERS.prefix):
            _put(self.users, USERS.names(key)[0], None if value is None else USERS.decode(key, value))
        elif key.startswith(SESSIONS.prefix):
            session = None if value is None else SESSIONS.decode(key, value)
            _put(self.sessions, SESSIONS.names(key)[0], session)
        elif key.startswith(TOKENS.prefix):
            expires = None if value is None else TOKENS.decode(key, value).expires
            _put(self.expiries, TOKENS.names(key)[0], expires)
        elif key.startswith(APPLIED.prefix):
            self.applied = None if value is None else APPLIED.decode(key, value)

    def _forget(self, device: Device | None) -> None:
        if device is None:
            return
        for index, names in ((self._by_address, device.addresses), (self._by_key, (device.public_key,))):
            for name in names:
                if index.get(name) == device.id:
                    del index[name]


def _put(records: dict[str, T], name: str, record: T | None) -> None:
    if record is None:
        records.pop(name, None)
    else:
        records[name] = record


def _enforced(device: Device) -> tuple[Iterable[str] | str | None, ...]:
    """What the kernel is told of a device, but its lock."""
    return (device.user, device.addresses, device.public_key, device.preshared_key)
