"""Sessions: who may use what needs a login, until when.

A device has one session for all its addresses. It lies in the device's record, which programs read
for each packet that an mfa rule decides, while it is changed: each store is of 8 bytes, and between any two
a session lets nothing pass that neither the old one nor the new one would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from wardgate.runtime import clock
from wardgate.runtime.addresses import Address
from wardgate.runtime.codec import RecordValue
from wardgate.runtime.devices import Device, DeviceTable
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout.codes import DEVICE_LOCKED
from wardgate.runtime.layout.records import DEVICE
from wardgate.runtime.views import MapView

_OFFSETS: Final = DEVICE.offsets
_LONGEST: Final = 10 * 365 * 86_400
"""Seconds; more is a mistake, and would reach the end of the 64-bit clock."""


class SessionError(WardgateError):
    """A session that cannot be granted."""


class SessionState(Enum):
    """What a device's session is worth; the values are words for people."""

    NONE = "none"
    AUTHORISED = "authorised"
    EXPIRED = "expired"
    IDLE = "idle"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Session:
    """A device's session. `remaining` and `idle_limit` in seconds: until the deadline, 0 when it is over
    or there is none; how long the device may be silent, None: for ever. `login_age`: seconds since the last
    login, None where there was none since the session was revoked or the device was made."""

    user: str
    addresses: tuple[Address, ...]
    state: SessionState
    remaining: float
    idle_limit: float | None
    login_age: float | None


SESSION_FIELDS: Final = ("flags", "deadline", "idle_limit", "last_active")
"""The fields of a device's record that make its session."""


def state_of(record: RecordValue, now: int) -> SessionState:
    """What programs make of a device's record at `now` (ns of CLOCK_BOOTTIME)."""
    return state_by(*(record[name] for name in SESSION_FIELDS), now=now)


def state_by(flags: int, deadline: int, idle_limit: int, last_active: int, *, now: int) -> SessionState:
    """The same of the fields alone. The order is that of the programs."""
    if flags & DEVICE_LOCKED:
        return SessionState.LOCKED
    if deadline == 0:
        return SessionState.NONE
    if now >= deadline:
        return SessionState.EXPIRED
    if idle_limit and now - last_active > idle_limit:
        return SessionState.IDLE
    return SessionState.AUTHORISED


def session_of(device: Device, now: int) -> Session:
    """The session of a device at `now`."""
    record = device.record
    limit = record["idle_limit"]
    return Session(
        device.user,
        device.addresses,
        state_of(record, now),
        max(record["deadline"] - now, 0) / clock.NS_PER_SECOND,
        limit / clock.NS_PER_SECOND if limit else None,
        max(now - record["login"], 0) / clock.NS_PER_SECOND if record["login"] else None,
    )


class Sessions:
    """The sessions of a gate.

    Answers have all of the device's addresses, which takes the longer the more devices there are; with
    `whole` False, the one that was asked for.
    """

    def __init__(self, locked: Callable[[], AbstractContextManager[DeviceTable]]) -> None:
        self._locked = locked

    def grant(
        self, address: str | Address, duration_s: float, idle_s: float | None = None, *, whole: bool = True
    ) -> Session:
        """After a login: authorise the device for `duration_s` seconds from now, while it is not silent for
        longer than `idle_s`. A grant replaces the one before, and a session that is good stays so meanwhile.
        SessionError where the device is locked or the times make no sense, DeviceError where no device has
        the address."""
        _check_times("grant session", address, duration_s, idle_s)
        with self._slot(address) as (table, slot, view):
            now = clock.now()
            state = _state(view, slot, now)
            if state is SessionState.LOCKED:
                raise SessionError("grant session", str(address), "the device is locked", "unlock it first")
            deadline = now + clock.nanoseconds(duration_s)
            idle = clock.nanoseconds(idle_s) if idle_s else 0
            # The other fields are of the old session or of the new one, and programs see any of both. So
            # first comes a deadline before which the new one is good whatever they say; none, where the old
            # one is over and a part of the new would bring it back. The new one's own comes last.
            until = min(deadline, now + idle) if idle else deadline
            view.store(slot, _OFFSETS["deadline"], 8, until if state is SessionState.AUTHORISED else 0)
            view.store(slot, _OFFSETS["last_active"], 8, now)
            view.store(slot, _OFFSETS["idle_limit"], 8, idle)
            view.store(slot, _OFFSETS["login"], 8, now)
            view.store(slot, _OFFSETS["deadline"], 8, deadline)
            return _read(table, address, whole)

    def extend(self, address: str | Address, duration_s: float) -> Session:
        """Without a login: let the device's session last `duration_s` seconds from now, if it would end
        before. What rules say of the login's age goes by the last login still. SessionError where there is no
        session that is good, or the time makes no sense, DeviceError where no device has the address."""
        _check_times("extend session", address, duration_s, None)
        with self._slot(address) as (table, slot, view):
            now = clock.now()
            state = _state(view, slot, now)
            if state is not SessionState.AUTHORISED:
                raise SessionError(
                    "extend session",
                    str(address),
                    f"there is none that is good: {state.value}",
                    "grant one, after a login",
                )
            deadline = max(view.load(slot, _OFFSETS["deadline"], 8), now + clock.nanoseconds(duration_s))
            view.store(slot, _OFFSETS["deadline"], 8, deadline)
            return _read(table, address)

    def revoke(self, address: str | Address, *, whole: bool = True) -> Session:
        """End the device's session: its next packet needs another. DeviceError."""
        with self._slot(address) as (table, slot, view):
            view.store(slot, _OFFSETS["deadline"], 8, 0)
            view.store(slot, _OFFSETS["login"], 8, 0)
            return _read(table, address, whole)

    def lock(self, address: str | Address, *, whole: bool = True) -> Session:
        """Refuse what needs a session, whatever the session, until `unlock`. DeviceError."""
        with self._slot(address) as (table, slot, view):
            flags = view.load(slot, _OFFSETS["flags"], 4)
            view.store(slot, _OFFSETS["flags"], 4, flags | DEVICE_LOCKED)
            return _read(table, address, whole)

    def unlock(self, address: str | Address, *, whole: bool = True) -> Session:
        """Let the session count again, if it is still good. DeviceError."""
        with self._slot(address) as (table, slot, view):
            flags = view.load(slot, _OFFSETS["flags"], 4)
            view.store(slot, _OFFSETS["flags"], 4, flags & ~DEVICE_LOCKED)
            return _read(table, address, whole)

    def get(self, address: str | Address, *, whole: bool = True) -> Session:
        """The device's session; DeviceError."""
        with self._locked() as table:
            return _read(table, address, whole)

    def list(self) -> list[Session]:
        """The sessions of all devices, by address; a device that never had one is in it too."""
        with self._locked() as table:
            now = clock.now()
            return [session_of(device, now) for device in table.list()]

    @contextmanager
    def _slot(self, address: str | Address) -> Iterator[tuple[DeviceTable, int, MapView]]:
        with self._locked() as table:
            slot = table.slot_of(address)
            with table.shared.raw("devices").view() as view:
                yield table, slot, view


def _check_times(operation: str, address: str | Address, duration_s: float, idle_s: float | None) -> None:
    for what, seconds in (("duration", duration_s), ("idle limit", idle_s)):
        if seconds is not None and not 0 < seconds <= _LONGEST:
            raise SessionError(
                operation, str(address), f"a {what} of {seconds} s", "give more than 0, at most 10 years"
            )


def _state(view: MapView, slot: int, now: int) -> SessionState:
    flags = view.load(slot, _OFFSETS["flags"], 4)
    times = (view.load(slot, _OFFSETS[name], 8) for name in SESSION_FIELDS[1:])
    return state_by(flags, *times, now=now)


def _read(table: DeviceTable, address: str | Address, whole: bool = True) -> Session:
    return session_of(table.find(address) if whole else table.at(address), clock.now())
