"""How long failed logins keep further ones waiting.

Each device of a user counts its own failures since its last good login. From `failures` on (see
ChallengeSettings), no code is looked at before a delay is over, which doubles with each further failure; at
`most_failures` it ends only when somebody unlocks it (NIST SP 800-63B, 5.2.2, allows 100). So whoever has
stolen a device guesses slowly there, and the user's other devices are not kept waiting.

Many devices together have a budget too: the user's sum counts `failures` of each device at most, so that it
takes several devices to reach `user_failures`, and then all of them wait.

These are pure functions of what is stored; times are Unix time in seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from wardgate.gateway.challenges.settings import ChallengeSettings
from wardgate.gateway.records import Failures, Lockout

FOREVER: Final = 253_402_300_799
"""As a time: until somebody unlocks it. The last second that dates in Python have."""
_MOST_DOUBLINGS: Final = 32


def locked_until(lockout: Lockout, device: str | None, at: int, settings: ChallengeSettings) -> int:
    """Until when no login is tried from the device (None: from any), asked at `at`; 0: it is tried.

    A delay that would take longer than the longest there is began before the clock was put back, and is over:
    else a clock that was wrong for a moment locks people out for as long as it was wrong by.
    """
    latest = at + settings.longest_delay_s
    ends = [lockout.until, *(one.until for one in lockout.devices if one.device == device)]
    return max((until for until in ends if at < until <= latest or until == FOREVER), default=0)


def after_failure(
    lockout: Lockout | None, user: str, device: str, at: int, settings: ChallengeSettings
) -> Lockout:
    """What to store after one more login failed."""
    before = lockout or Lockout(user, 0, ())
    others = tuple(one for one in before.devices if one.device != device)
    count = 1 + sum(one.count for one in before.devices if one.device == device)
    until = 0
    if count >= settings.most_failures:
        until = FOREVER
    elif count >= settings.failures:
        until = _end(at, count - settings.failures, settings)
    devices = (*others, Failures(device, count, at, until))
    until_user = before.until
    # Beyond, a device adds nothing to the sum.
    if count <= settings.failures:
        total = _sum(devices, at, settings)
        if total >= settings.user_failures:
            until_user = _end(at, total - settings.user_failures, settings)
    return Lockout(user, until_user, devices)


def without(lockout: Lockout, device: str, at: int) -> Lockout | None:
    """What to store at `at` once the device's failures count no more: after a good login there, or when it is
    removed. A delay of the user stays, so neither is a way around it. None: nothing."""
    others = tuple(one for one in lockout.devices if one.device != device)
    return replace(lockout, devices=others) if others or lockout.until > at else None


def _sum(devices: tuple[Failures, ...], at: int, settings: ChallengeSettings) -> int:
    recent = (one.count for one in devices if one.last + settings.forget_s > at)
    return sum(min(count, settings.failures) for count in recent)


def _end(at: int, further: int, settings: ChallengeSettings) -> int:
    """Of a delay that begins at `at`, with so many failures beyond those of the first one."""
    delay = min(settings.first_delay_s << min(further, _MOST_DOUBLINGS), settings.longest_delay_s)
    return min(at + delay, FOREVER)
