"""Which sessions end is decided by where WireGuard says that their peers are."""

from __future__ import annotations

from ipaddress import ip_address

from wardgate.gateway.roaming.anchors import Anchors, plain
from wardgate.gateway.roaming.model import Watched

ALICE, BOB = bytes([1]) * 32, bytes([2]) * 32


def at(text: str, port: int = 51_820):
    return ip_address(text), port


def moved(anchors: Anchors, **where):
    keys = {"alice": ALICE, "bob": BOB}
    endpoints = {keys[name]: place for name, place in where.items()}
    return [one.public_key for one in look(anchors, endpoints)]


def look(anchors: Anchors, endpoints, newest=None):
    """All of them have changed since the last time."""
    told = {key: plain(place) for key, place in endpoints.items()}
    return anchors.moved(told, told, anchors.newest if newest is None else newest, "polling")


def watched(endpoint, *keys):
    anchors = Anchors()
    anchors.reset({key: Watched(number, endpoint) for number, key in enumerate(keys, 1)})
    return anchors


def test_a_peer_where_it_was_keeps_its_session():
    assert not moved(watched(at("192.0.2.1"), ALICE), alice=at("192.0.2.1"))


def test_another_address_or_port_is_a_change_told_once():
    for place in (at("192.0.2.2"), at("192.0.2.1", 4000), at("2001:db8::1")):
        anchors = watched(at("192.0.2.1"), ALICE, BOB)
        (one,) = look(anchors, {ALICE: place, BOB: at("192.0.2.1")})
        assert (one.public_key, one.old, one.new) == (ALICE, at("192.0.2.1"), place)
        assert (one.cleared, one.detected_by, len(anchors)) == (False, "polling", 1)
        assert not moved(anchors, alice=place)


def test_forms_of_the_same_endpoint_are_no_change():
    assert not moved(watched(at("192.0.2.1"), ALICE), alice=at("::ffff:192.0.2.1"))
    assert not moved(watched(at("fe80::1"), ALICE), alice=at("fe80::1%2"))


def test_no_endpoint_is_no_change():
    anchors = watched(at("192.0.2.1"), ALICE)
    assert not moved(anchors, alice=None)
    assert not moved(anchors)
    assert moved(anchors, alice=at("192.0.2.2")) == [ALICE]


def test_a_session_whose_endpoint_nobody_knew_ends_with_the_first():
    assert moved(watched(None, ALICE), alice=at("192.0.2.1")) == [ALICE]


def test_peers_without_a_session_may_be_anywhere():
    anchors = watched(at("192.0.2.1"), ALICE)
    assert not moved(anchors, bob=at("192.0.2.9"))
    anchors.forget(ALICE)
    assert not moved(anchors, alice=at("192.0.2.9"))


def test_an_announced_endpoint_is_no_change():
    anchors = watched(at("192.0.2.1"), ALICE)
    anchors.expect(ALICE, at("192.0.2.7"))
    anchors.expect(BOB, at("192.0.2.7"))
    assert not moved(anchors, alice=at("192.0.2.7"), bob=at("192.0.2.7"))
    assert not moved(anchors, alice=at("192.0.2.1"))
    assert moved(anchors, alice=at("192.0.2.8")) == [ALICE]


def test_a_dump_does_not_judge_what_was_granted_after_it_began():
    anchors = watched(at("192.0.2.1"), ALICE, BOB)
    before = anchors.newest
    anchors.watch(ALICE, Watched(1, at("192.0.2.2")))
    assert not look(anchors, {ALICE: at("192.0.2.1"), BOB: at("192.0.2.1")}, before)
    assert anchors.unjudged
    assert not look(anchors, {ALICE: at("192.0.2.2"), BOB: at("192.0.2.1")})
    assert not anchors.unjudged


def test_a_session_is_judged_though_its_peer_did_not_move_since():
    """It was granted for a place that the peer had left before the last dump."""
    anchors, where = Anchors(), {ALICE: at("192.0.2.2")}
    assert not look(anchors, where)
    anchors.watch(ALICE, Watched(1, at("192.0.2.1")))
    (one,) = anchors.moved(where, (), anchors.newest, "polling")
    assert (one.old, one.new) == (at("192.0.2.1"), at("192.0.2.2"))


def test_a_peer_that_did_not_move_is_judged_once():
    anchors = watched(at("192.0.2.1"), ALICE)
    assert not look(anchors, {ALICE: at("192.0.2.1")})
    # What is told of others is not looked at again.
    assert not anchors.moved({ALICE: at("192.0.2.9")}, (), anchors.newest, "polling")


def test_a_session_that_waits_for_a_dump_stays_waiting():
    anchors = Anchors()
    before = anchors.newest
    anchors.watch(ALICE, Watched(1, at("192.0.2.1")))
    assert not anchors.moved({ALICE: at("192.0.2.2")}, (), before, "polling")
    assert anchors.unjudged
    assert anchors.moved({ALICE: at("192.0.2.2")}, (), anchors.newest, "polling")
