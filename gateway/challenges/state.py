"""What is known of a user's second factor and logins, without any secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MethodState:
    """A method that the user has, or has begun to set up. `since`: when the set-up began, Unix time."""

    name: str
    label: str
    confirmed: bool
    since: int


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Failed logins from a device since the last good one there, and when the last of them was.
    `locked_until`: see UserState."""

    device: str
    failures: int
    last: int
    locked_until: int


@dataclass(frozen=True, slots=True)
class UserState:
    """`recovery_codes`: how many are left. `failures`: failed logins, of all `devices`. `locked_until`: the
    Unix time before which no login is tried from any device, or from the one that was asked about; 0: they
    are tried now. `lockout.FOREVER`: until somebody unlocks it."""

    user: str
    methods: tuple[MethodState, ...]
    recovery_codes: int
    failures: int
    locked_until: int
    devices: tuple[DeviceState, ...]
