"""A device gets the peers that are wanted, whatever it had, and is told no more than that takes."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.gateway.wireguard import Endpoint, Peer, PeerConflictError, PrivateKey, WireGuardError
from wireguard_peers import RememberedDevice, key, peer_sets, preshared

TEN, NINE = ip_network("10.0.0.10/32"), ip_network("10.0.0.9/32")


def holding(peers) -> RememberedDevice:
    """A device that has these peers, and was told nothing since."""
    device = RememberedDevice()
    device.add(peers)
    device.told.clear()
    return device


def settings_of(peers) -> dict:
    """What reconciling is about."""
    return {peer.public_key: (peer.allowed_ips, peer.preshared_key, peer.keepalive) for peer in peers}


@given(peer_sets(), peer_sets(), st.randoms())
def test_the_device_has_what_is_wanted(before, wanted, chance):
    device = holding(before)
    chance.shuffle(wanted)
    endpoints = {public: peer.endpoint for public, peer in device.held.items()}
    done = device.reconcile(wanted)
    assert settings_of(device.peers().values()) == settings_of(wanted)

    old, new = settings_of(before), settings_of(wanted)
    assert set(done.added) == set(new) - set(old)
    assert set(done.removed) == set(old) - set(new)
    assert set(done.changed) == {one for one in set(old) & set(new) if old[one] != new[one]}
    # No peer is told anything but those, each once: sessions of the others are left alone.
    assert sorted(change.public_key for change in device.told) == sorted(
        [*done.added, *done.removed, *done.changed]
    )
    # Peers that stay keep the endpoint that they were last heard from.
    assert all(device.held[one].endpoint == endpoints[one] for one in set(old) & set(new))
    assert not device.reconcile(wanted)


@given(peer_sets(), st.randoms())
def test_adding_again_changes_nothing(peers, chance):
    device = holding(peers)
    before = device.peers()
    chance.shuffle(peers)
    device.add(peers)
    assert device.peers() == before


@pytest.mark.parametrize("seed", range(6))
def test_allowed_ips_move_in_any_order(seed):
    a, b, c = (Peer(key(number), (TEN,) if number == 1 else ()) for number in (1, 2, 3))
    device = holding([a, replace(b, allowed_ips=(NINE,)), c])
    wanted = [a, b, c]
    wanted[0] = replace(a, allowed_ips=(NINE,))
    wanted[2] = replace(c, allowed_ips=(TEN,))
    random.Random(seed).shuffle(wanted)
    device.reconcile(wanted)
    assert {one: peer.allowed_ips for one, peer in device.held.items()} == {
        key(1): (NINE,), key(2): (), key(3): (TEN,),
    }  # fmt: skip


def test_more_allowed_ips_are_added_without_replacing():
    device = holding([Peer(key(1), (TEN,))])
    device.reconcile([Peer(key(1), (TEN, NINE))])
    (change,) = device.told
    assert (change.replace_allowed_ips, change.allowed_ips, change.update_only) == (False, (NINE,), True)


def test_what_is_removed_goes_first():
    device = holding([Peer(key(1), ()), Peer(key(2), ())])
    device.reconcile([Peer(key(3), ()), Peer(key(2), (TEN,))])
    assert [change.public_key for change in device.told] == [key(1), key(2), key(3)]


def test_an_endpoint_is_for_new_peers():
    endpoint = Endpoint(ip_address("192.0.2.1"), 5)
    device = holding([Peer(key(1), ())])
    assert not device.reconcile([Peer(key(1), (), endpoint=endpoint)])
    device.reconcile([Peer(key(2), (), endpoint=endpoint)])
    assert device.held[key(2)].endpoint == endpoint


@pytest.mark.parametrize(
    ("peers", "cause"),
    [
        ([Peer(key(1), ()), Peer(key(1), (TEN,))], "twice"),
        ([Peer(key(1), (TEN,)), Peer(key(2), (NINE, TEN))], "10.0.0.10/32 is an allowed IP of"),
    ],
)
def test_peers_that_cannot_be_had_together(peers, cause):
    device = holding([Peer(key(9), ())])
    for ask in (device.add, device.reconcile):
        with pytest.raises(PeerConflictError, match=cause):
            ask(peers)
    assert not device.told


def test_the_device_is_no_peer_of_itself():
    device, own = RememberedDevice(), PrivateKey.generate()
    device.configure(own, 1)
    with pytest.raises(PeerConflictError, match="the device itself"):
        device.reconcile([Peer(own.public_key(), ())])


def test_only_settings_that_differ_are_set():
    device, own = RememberedDevice(), PrivateKey.generate()
    assert device.configure(own, 51820, fwmark=7)
    assert not device.configure(own, 51820)
    assert not device.configure(own, 51820, 7)
    change = device.configure(own, 51821)
    assert (change.private_key, change.listen_port, change.fwmark) == (None, 51821, None)
    assert device.state().fwmark == 7
    assert device.configure(own, 51821, fwmark=0).fwmark == 0
    with pytest.raises(ValueError, match="70000"):
        device.configure(own, 70000)


def test_removing_what_is_not_there_is_fine():
    device = holding([Peer(key(1), ())])
    device.remove([key(2), key(1), key(1)])
    assert not device.peers()


def test_a_closed_device_is_not_used():
    device = RememberedDevice()
    with device:
        device.add([Peer(key(1), (), preshared(1))])
    for use in (device.peers, device.state, device.destroy, lambda: device.reconcile([])):
        with pytest.raises(WireGuardError, match="closed"):
            use()
    assert not device.removed


def test_keepalives_have_bounds():
    for seconds in (0, 65536, -1):
        with pytest.raises(ValueError, match="keepalive"):
            Peer(key(1), (), keepalive=seconds)
