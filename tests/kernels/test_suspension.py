"""Sessions are not prolonged by suspend: their time runs out while the machine sleeps."""

from __future__ import annotations


def test_session_ends_during_sleep(facts, record_property):
    seen = facts("suspension")
    record_property("seconds", seen["seconds"])
    assert seen["before"] == "pass"
    assert seen["seconds"]["monotonic"] < seen["session"] < seen["seconds"]["boottime"]
    # The very next packet.
    assert seen["after"] == "session expired"
    assert seen["again"] == "pass"
