"""Programs read a device's record while its session is granted, and a grant may be killed between two stores:
nothing passes by that which neither the session before nor the new one lets pass, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations_with_replacement
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wardgate.runtime import clock
from wardgate.runtime.codec import RecordValue
from wardgate.runtime.devices import Device
from wardgate.runtime.layout.records import DEVICE
from wardgate.runtime.sessions import SessionError, Sessions, SessionState, session_of

NOW, SECOND = 10**13, 10**9
READ = ("deadline", "idle_limit", "last_active", "login")
"""The fields of a session in the order in which a program reads them (bpf_templates/device.h)."""
WITHIN = (None, 1, 15, 100)
NAMES = {offset: name for name, offset in DEVICE.offsets.items()}

Fields = dict[str, int]


class View:
    """A device's record, and what it was after each store."""

    def __init__(self, fields: Fields) -> None:
        self.states = [{"flags": 0, **fields}]

    def load(self, _slot: int, offset: int, _size: int) -> int:
        return self.states[-1][NAMES[offset]]

    def store(self, _slot: int, offset: int, _size: int, value: int) -> None:
        self.states.append({**self.states[-1], NAMES[offset]: value})


def sessions_of(view: View) -> Sessions:
    def find(_address: object) -> Device:
        return Device(1, "alice", (), RecordValue({"subject": 1, **view.states[-1]}))

    @contextmanager
    def opened() -> Iterator[View]:
        yield view

    raw = SimpleNamespace(view=opened)
    table: Any = SimpleNamespace(slot_of=lambda _: 1, find=find, shared=SimpleNamespace(raw=lambda _: raw))

    @contextmanager
    def locked() -> Iterator[Any]:
        yield table

    return Sessions(locked)


def passes(fields: Fields, at: int, within: int | None) -> bool:
    """As `session` of device.h, for a device that is not locked."""
    if not fields["deadline"] or at >= fields["deadline"]:
        return False
    if fields["idle_limit"] and at - fields["last_active"] > fields["idle_limit"]:
        return False
    return within is None or (bool(fields["login"]) and at - fields["login"] <= within * SECOND)


def seconds(least: int = 0) -> st.SearchStrategy[int]:
    return st.sampled_from([n for n in (0, 1, 2, 5, 14, 16, 50, 90, 101) if n >= least])


@st.composite
def before(draw: st.DrawFn) -> Fields:
    login = NOW - draw(seconds()) * SECOND
    return {
        "deadline": draw(st.sampled_from([0, NOW - SECOND, *(NOW + n * SECOND for n in (1, 3, 60, 200))])),
        "idle_limit": draw(seconds()) * SECOND,
        "last_active": max(login, NOW - draw(seconds()) * SECOND),
        "login": login,
    }


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.mark.usefixtures("still")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(before(), seconds(1), st.none() | seconds(1))
def test_a_grant_is_never_more_than_the_old_session_or_the_new(
    old: Fields, duration: int, idle: int | None
) -> None:
    view = View(old)
    sessions_of(view).grant("10.9.0.2", duration, idle)
    new = view.states[-1]
    assert new == {
        "flags": 0, "deadline": NOW + duration * SECOND, "idle_limit": (idle or 0) * SECOND,
        "last_active": NOW, "login": NOW,
    }  # fmt: skip
    for within in WITHIN:
        # What a killed grant leaves, at any time.
        for state in view.states:
            for at in (NOW + n * SECOND // 2 for n in (0, 1, 3, 9, 20, 31, 61, 121, 170, 201, 399, 500)):
                assert passes(old, at, within) or passes(new, at, within) or not passes(state, at, within)
        # What a program makes of it that reads one field after the other meanwhile.
        for moments in combinations_with_replacement(range(len(view.states)), len(READ)):
            read = {name: view.states[moment][name] for name, moment in zip(READ, moments, strict=True)}
            assert passes(new, NOW, within)
            assert passes(read, NOW, within) or not passes(old, NOW, within)


@pytest.mark.usefixtures("still")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before(), seconds(1))
def test_an_extension_is_for_a_good_session_and_is_no_login(old: Fields, duration: int) -> None:
    view = View(old)
    if not passes(old, NOW, None):
        with pytest.raises(SessionError, match="after a login"):
            sessions_of(view).extend("10.9.0.2", duration)
        assert view.states == [{"flags": 0, **old}]
        return
    sessions_of(view).extend("10.9.0.2", duration)
    deadline = max(old["deadline"], NOW + duration * SECOND)
    assert view.states[1:] == [{"flags": 0, **old, "deadline": deadline}]


@pytest.mark.usefixtures("still")
def test_revoking_forgets_the_login() -> None:
    view = View({"deadline": NOW + SECOND, "idle_limit": 0, "last_active": NOW, "login": NOW - SECOND})
    session = sessions_of(view).revoke("10.9.0.2")
    assert (session.state, session.login_age) == (SessionState.NONE, None)
    assert not any(passes(state, NOW, None) for state in view.states[1:])


def test_a_login_has_an_age_while_its_session_is_over() -> None:
    device = Device(1, "alice", (), RecordValue({**dict.fromkeys(NAMES.values(), 0), "login": NOW}))
    assert session_of(device, NOW + 90 * SECOND).login_age == 90
