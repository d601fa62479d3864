"""On kernel WireGuard, a session ends before a packet from another endpoint is judged."""

from __future__ import annotations

import pytest


@pytest.fixture
def seen(facts):
    return facts("roaming")


def test_no_packet_passes_after_the_address_changed(seen):
    sent, roam = seen["sent"], seen["roam"]
    assert roam["before"] == {"alice": sent, "bob": sent}
    assert roam["after"] == 0
    # They did come through the tunnel, from the new address: what needs no session passed.
    assert roam["allowed after"] == 5
    assert (roam["old"], roam["new"]) == ("192.0.2.2:51820", "192.0.2.74:51820")
    assert roam["sessions"]["alice"] == "none"


def test_the_service_is_told_once(seen):
    assert seen["roam"]["events"] == [
        {
            "user": "alice", "old": "192.0.2.2:51820", "new": "192.0.2.74:51820",
            "cleared": True, "by": "fentry",
        }
    ]  # fmt: skip
    assert seen["roam"]["more events"] == 0


def test_others_keep_their_sessions(seen):
    assert seen["roam"]["bob after"] == seen["sent"]
    assert seen["roam"]["sessions"]["bob"] == "authorised"


def test_a_login_where_the_device_is_now_counts(seen):
    assert seen["roam"]["after login"] == seen["sent"]


def test_endpoints_that_are_configured(seen):
    """One that was announced changes nothing; one that was not, or another one, ends the session."""
    configured = seen["configured"]
    assert configured["unannounced"] == "none"
    assert configured["announced"] == "authorised"
    assert configured["another"] == "none"
    assert [one["new"] for one in configured["events"]] == ["192.0.2.250:4000", "192.0.2.252:4000"]


def test_another_device_with_the_same_peer_does_not_matter(seen):
    assert seen["others"] == {"session": "authorised", "events": 0}


def test_it_works_without_a_process_and_is_adopted(seen):
    assert seen["adopted at first"] is False
    alone = seen["nobody there"]
    assert (alone["before"], alone["after"], alone["session"]) == (seen["sent"], 0, "none")
    assert (alone["adopted"], alone["watched"]) == (True, 2)
    assert [one["user"] for one in alone["events"]] == ["alice"]


def test_by_handshake(seen):
    """Old keys from another address, and new ones after that, are no reason for a challenge; new keys that a
    new address needs are."""
    by_handshake, sent = seen["by handshake"], seen["sent"]
    # Another program, put in the place of the one before; what was watched still is.
    assert (by_handshake["adopted"], by_handshake["watched"]) == (False, 2)
    assert (by_handshake["before"], by_handshake["moved"], by_handshake["new keys there"]) == (sent,) * 3
    assert by_handshake["session"] == "authorised"
    assert (by_handshake["moved with new keys"], by_handshake["session then"]) == (0, "none")
    assert by_handshake["events"] == ["alice"]


def test_a_session_for_an_unknown_endpoint_ends_with_the_first_packet(seen):
    unknown = seen["unknown endpoint"]
    assert (unknown["before"], unknown["arrived"], unknown["old"]) == ("authorised", 0, [None])


def test_what_is_forgotten_is_not_watched(seen):
    assert seen["unknown endpoint"]["forgotten"] == seen["sent"]


def test_ipv6(seen):
    six, sent = seen["six"], seen["sent"]
    assert (six["before"], six["from IPv4"], six["after login"], six["to another"]) == (sent, 0, sent, 0)
    assert six["ends"] == ["2001:db8:c::2:51820", "2001:db8:c::3:51820"]
    assert (six["with its keys"], six["with new keys"]) == (sent, 0)
    assert six["ends by handshake"] == ["2001:db8:c::5:51820"]


def test_nothing_is_left(seen):
    assert seen["left"] is False
