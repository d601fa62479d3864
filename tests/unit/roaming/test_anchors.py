"""Which sessions end is decided by where WireGuard says that their peers are."""

from __future__ import annotations

from ipaddress import ip_address

from wardgate.gateway.roaming.anchors import Anchors
from wardgate.gateway.roaming.model import Watched

ALICE, BOB = bytes([1]) * 32, bytes([2]) * 32


def at(text: str, port: int = 51_820):
    return ip_address(text), port


def moved(anchors: Anchors, **where):
    keys = {"alice": ALICE, "bob": BOB}
    endpoints = {keys[name]: place for name, place in where.items()}
    return [one.public_key for one in anchors.moved(endpoints, anchors.newest, "polling")]


def watched(endpoint, *keys):
    anchors = Anchors()
    anchors.reset({key: Watched(number, endpoint) for number, key in enumerate(keys, 1)})
    return anchors


def test_a_peer_where_it_was_keeps_its_session():
    assert not moved(watched(at("192.0.2.1"), ALICE), alice=at("192.0.2.1"))


def test_another_address_or_port_is_a_change_told_once():
    for place in (at("192.0.2.2"), at("192.0.2.1", 4000), at("2001:db8::1")):
        anchors = watched(at("192.0.2.1"), ALICE, BOB)
        (one,) = anchors.moved({ALICE: place, BOB: at("192.0.2.1")}, anchors.newest, "polling")
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
    assert not anchors.moved({ALICE: at("192.0.2.1"), BOB: at("192.0.2.1")}, before, "polling")
    assert anchors.unjudged
    assert not anchors.moved({ALICE: at("192.0.2.2"), BOB: at("192.0.2.1")}, anchors.newest, "polling")
    assert not anchors.unjudged
