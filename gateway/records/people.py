"""Users, their devices, and what proves that they are who they are.

Times are whole seconds of Unix time (UTC), except where a field says that it is of CLOCK_BOOTTIME: those are
nanoseconds, and mean something only during the boot that the record names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A user that the gateway knows. `groups`: memberships besides those that the policy's text gives, as
    `group:NAME`. `locked`: nothing of the user's passes that needs a session, and nobody may log in."""

    name: str
    groups: tuple[str, ...]
    locked: bool
    created: int


@dataclass(frozen=True, slots=True)
class Device:
    """A user's machine: a WireGuard peer. `id` never changes, `name` is the user's, unique among theirs.

    `public_key`: base64. `addresses`: tunnel addresses, at most one of each version of IP. `preshared_key`:
    sealed (see challenges.sealing), or None. `keepalive`: seconds, or None.
    """

    id: str
    user: str
    name: str
    public_key: str
    addresses: tuple[str, ...]
    preshared_key: str | None
    keepalive: int | None
    locked: bool
    created: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Which device has a tunnel address, a public key, or a name among its user's."""

    device: str


@dataclass(frozen=True, slots=True)
class Token:
    """A permission to enrol a device. `digest`: SHA-256 of its secret part, in hex; the secret is not kept.

    `user`: whose device it will be. `groups`: what the user is made a member of. `addresses`: what the device
    gets, or none for free ones. `replaces`: the id of the device whose key is replaced, or None. `uses`: how
    often it may still be used.
    """

    id: str
    digest: str
    user: str
    groups: tuple[str, ...]
    addresses: tuple[str, ...]
    replaces: str | None
    uses: int
    expires: int
    created: int
    created_by: str


@dataclass(frozen=True, slots=True)
class Session:
    """That a device's user has logged in. The kernel enforces it; this mirrors what the kernel was told.

    `device`: its id. `method`: how. `began`, `last_login`: Unix time. `login`, `deadline`, `idle_limit` (0:
    none): ns of CLOCK_BOOTTIME in the boot `boot` (/proc/sys/kernel/random/boot_id); of another boot it is
    over. `endpoint`: where the peer was when it logged in, `ADDRESS:PORT`, or empty where that was unknown.
    """

    device: str
    user: str
    method: str
    began: int
    last_login: int
    login: int
    deadline: int
    idle_limit: int
    boot: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A second factor of a user. `sealed`: its secret, encrypted (see challenges.sealing). `confirmed`: the
    user has shown that it works; `failures`: how often in vain, before. `used`: what must not be used again,
    for TOTP the number of the last time step that was accepted."""

    user: str
    method: str
    sealed: str
    confirmed: bool
    failures: int
    used: int
    created: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """A user's recovery codes that are not spent, as digests in hex (see challenges.recovery)."""

    user: str
    digests: tuple[str, ...]
    created: int


@dataclass(frozen=True, slots=True)
class Posed:
    """A question that a login from a device waits to be answered (see challenges.posed). `ticket`: what the
    answer comes with. `sealed`: what it is judged by, encrypted. `expires`: from then on it is over."""

    device: str
    user: str
    method: str
    ticket: str
    sealed: str
    expires: int


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed logins from a device since the last good one there: how many, when the last one was, and until
    when no more are tried (see challenges.lockout)."""

    device: str
    count: int
    last: int
    until: int


@dataclass(frozen=True, slots=True)
class Lockout:
    """Failed logins of a user by device, and until when none are tried from any device."""

    user: str
    until: int
    devices: tuple[Failures, ...]
