"""Delays after failed logins, on the records alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.challenges import ChallengeSettings, LockedError
from wardgate.gateway.challenges import lockout as lockouts
from wardgate.gateway.challenges.lockout import FOREVER, after_failure, without
from wardgate.gateway.records import Lockout

SETTINGS = ChallengeSettings("x")
DAY = 86_400


def failed(*devices: str, lockout: Lockout | None = None, at: int = 1_000) -> Lockout:
    """What is stored after failures from these devices, one after the other."""
    for device in devices:
        lockout = after_failure(lockout, "alice", device, at, SETTINGS)
    assert lockout is not None
    return lockout


def locked_until(lockout: Lockout, device: str | None, at: int) -> int:
    """Until when a login waits, by these settings."""
    return lockouts.locked_until(lockout, device, at, SETTINGS)


def test_a_device_waits_after_its_failures_and_the_delay_doubles_up_to_its_most() -> None:
    lockout = failed(*["a"] * 4)
    assert locked_until(lockout, "a", 1_000) == 0
    delays = []
    at = 1_000
    for _ in range(10):
        lockout = failed("a", lockout=lockout, at=at)
        until = locked_until(lockout, "a", at)
        delays.append(until - at)
        assert locked_until(lockout, "a", until - 1) == until
        assert locked_until(lockout, "a", until) == 0
        at = until
    assert delays == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_at_the_most_failures_a_device_waits_for_somebody() -> None:
    assert locked_until(failed(*["a"] * 99), "a", 1_000) == 1_000 + 3_600
    lockout = failed(*["a"] * 100)
    assert locked_until(lockout, "a", 1_000) == FOREVER
    assert locked_until(lockout, "a", 50 * 365 * DAY) == FOREVER
    assert locked_until(lockout, "b", 1_000) == 0


def test_a_delay_beyond_all_dates_is_one_for_ever() -> None:
    settings = ChallengeSettings("x", failures=1, first_delay_s=10**15, longest_delay_s=10**15)
    lockout = after_failure(None, "alice", "a", 1_000, settings)
    assert locked_until(lockout, "a", 1_000) == FOREVER
    assert "ask an administrator" in str(LockedError("alice", FOREVER))


@given(st.lists(st.integers(0, 4_000), max_size=200))
def test_one_device_alone_never_keeps_another_waiting(pauses: list[int]) -> None:
    lockout, at = None, 1_000
    for pause in pauses:
        at += pause
        lockout = after_failure(lockout, "alice", "stolen", at, SETTINGS)
        assert locked_until(lockout, "laptop", at) == 0


def test_several_devices_keep_all_waiting() -> None:
    lockout = failed(*"aaaaabbbbbcccccdddd")
    assert locked_until(lockout, "e", 1_000) == 0
    # What is beyond a device's own failures adds nothing.
    assert locked_until(failed(*"aaaa", lockout=lockout), "e", 1_000) == 0
    for count, delay in enumerate((30, 60, 120)):
        lockout = failed("dgh"[count], lockout=lockout)
        assert locked_until(lockout, "never seen", 1_000) == 1_000 + delay
        assert locked_until(lockout, None, 1_000) == 1_000 + delay


def test_devices_that_have_used_up_their_failures_do_not_keep_all_waiting_longer() -> None:
    lockout = failed(*"aaaaabbbbbcccccddddd")
    for at in range(1_030, 100_000, 3_600):
        lockout = failed(*"abcd", lockout=lockout, at=at)
        assert locked_until(lockout, "e", at) == 0


def test_old_failures_of_other_devices_are_forgotten_by_the_sum() -> None:
    lockout = failed(*"aaaaabbbbbccccc")
    recent = failed(*"ddddd", lockout=lockout, at=1_000 + DAY - 1)
    assert locked_until(recent, "e", 1_000 + DAY - 1)
    later = failed(*"ddddd", lockout=lockout, at=1_000 + DAY)
    assert locked_until(later, "e", 1_000 + DAY) == 0
    # The device itself forgets nothing.
    assert locked_until(failed("a", lockout=lockout, at=1_000 + DAY), "a", 1_000 + DAY) == 1_000 + DAY + 60


def test_a_device_that_counts_no_more_leaves_the_others() -> None:
    lockout = failed(*"aaab")
    left = without(lockout, "a", 1_000)
    assert left is not None
    assert [(one.device, one.count) for one in left.devices] == [("b", 1)]
    assert without(left, "b", 1_000) is None
    assert without(left, "c", 1_000) == left
    # The user's delay stays until it is over.
    delayed = Lockout("alice", 1_030, failed("a").devices)
    assert without(delayed, "a", 1_029) == Lockout("alice", 1_030, ())
    assert without(delayed, "a", 1_030) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"issuer": " "}, "issuer"),
        ({"issuer": "a:b"}, "issuer"),
        ({"issuer": "a\nb"}, "issuer"),
        ({"drift_steps": -1}, "drift_steps"),
        ({"drift_steps": 11}, "drift_steps"),
        ({"failures": 0}, "failures"),
        ({"failures": 21}, "user_failures"),
        ({"most_failures": 4}, "most_failures"),
        ({"first_delay_s": 0}, "first_delay_s"),
        ({"first_delay_s": 3_601}, "first_delay_s"),
        ({"setup_lifetime_s": 0}, "setup_lifetime_s"),
        ({"recovery_codes": 0}, "recovery_codes"),
    ],
)
def test_settings_that_nobody_can_mean(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ChallengeSettings(**{"issuer": "x", **values})  # type: ignore[arg-type]


def test_a_clock_that_was_wrong_for_a_moment_keeps_nobody_waiting() -> None:
    year = 365 * DAY
    lockout = failed(*"aaaaabbbbbcccccddddd", at=1_000 + year)
    assert locked_until(lockout, "a", 1_000 + year) == locked_until(lockout, None, 1_000 + year)
    # The clock is put back: what was to end in a year is over.
    assert locked_until(lockout, "a", 1_000) == locked_until(lockout, None, 1_000) == 0
    # The failures count as before: the next one waits, and for longer.
    lockout = failed("a", lockout=lockout, at=1_000)
    assert locked_until(lockout, "a", 1_000) == 1_060


def test_what_only_an_administrator_ends_goes_on_whatever_the_clock_says() -> None:
    lockout = failed(*["a"] * 100, at=1_000 + DAY)
    assert locked_until(lockout, "a", 1_000) == FOREVER
