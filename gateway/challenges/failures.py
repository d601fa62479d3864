"""Failed logins as part of a change: whether one more may be tried, and what the audit log says of it.

How long they keep others waiting is `lockout`'s.
"""

from __future__ import annotations

from datetime import UTC, datetime

from wardgate.gateway.challenges import lockout as lockouts
from wardgate.gateway.challenges.errors import LockedError
from wardgate.gateway.challenges.settings import ChallengeSettings
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import LOCKOUTS, Lockout


async def admitted(
    change: Change, user: str, device: str, settings: ChallengeSettings
) -> Lockout | LockedError | None:
    """The user's failed logins, or None, where one more may be tried from the device; else the error."""
    failed = await change.get(LOCKOUTS, user)
    until = lockouts.locked_until(failed, device, change.at, settings) if failed else 0
    return LockedError(user, until) if until else failed


def count(
    change: Change, failed: Lockout | None, user: str, device: str, settings: ChallengeSettings
) -> Lockout:
    """One more; what is stored now."""
    counted = lockouts.after_failure(failed, user, device, change.at, settings)
    change.put(LOCKOUTS, counted, user)
    return counted


def forgive(change: Change, failed: Lockout | None, user: str, device: str) -> None:
    """Those of the device count no more."""
    left = lockouts.without(failed, device, change.at) if failed else None
    if left is None:
        change.delete(LOCKOUTS, user)
    else:
        change.put(LOCKOUTS, left, user)


def tell(change: Change, before: Lockout | None, after: Lockout, device: str, method: str) -> None:
    """Have the audit log say that a login was refused, and what is locked from now on."""
    change.tell("refused login", after.user, device=device, method=method)
    for one in after.devices:
        if one.device == device and one.until > change.at:
            change.tell("locked logins", after.user, device=device, until=_time(one.until))
    if after.until > max(before.until if before else 0, change.at):
        change.tell("locked logins", after.user, device="all", until=_time(after.until))


async def forget_device(change: Change, user: str, device: str) -> None:
    """As part of a change that removes a user's device: its failed logins count no more."""
    failed = await change.get(LOCKOUTS, user)
    if failed is not None and any(one.device == device for one in failed.devices):
        forgive(change, failed, user, device)


def _time(until: int) -> str:
    if until == lockouts.FOREVER:
        return "an administrator unlocks them"
    return datetime.fromtimestamp(until, UTC).isoformat().replace("+00:00", "Z")
