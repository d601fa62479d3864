"""What the program inside WireGuard decides, on peers that are made up in a map: on any kernel."""

from __future__ import annotations

import dataclasses
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest
from wardgate.compiler.explain import packets
from wardgate.gateway.compiling.programs import compile_program
from wardgate.gateway.roaming import layout
from wardgate.gateway.roaming.layout import pack_remote, unpack_remote
from wardgate.gateway.roaming.objects import read_program
from wardgate.gateway.roaming.sources import fentry_source
from wardgate.runtime import clock
from wardgate.runtime.layout.maps import MapLayout, MapType, Scope
from wardgate.runtime.layout.records import DEVICE, Field, Record
from wardgate.runtime.object import load_object
from wardgate.runtime.ringbuf import RingBuffer
from wardgate.runtime.testrun import test_run as run_program

pytestmark = pytest.mark.root

MADE_UP = Record("made_up", "A peer and its device.", (Field("bytes", "u8", "of both", 256),))
MADE_UP_MAP = MapLayout("made_up", MapType.ARRAY, Scope.GATE, 1, None, MADE_UP, 0, True, "The peer.")
PLACES = {"peer_device": 0, "peer_key": 64, "peer_endpoint": 128, "device_key": 32}
HARNESS = """
SEC("tc") int ask_packet(struct __sk_buff *skb)
{
	struct made_up *peer;
	u32 only = 0;

	peer = bpf_map_lookup_elem(&made_up, &only);
	if (!peer)
		return TC_DROP;
	/* The device lies where the peer does. */
	*(u64 *)peer = (u64)peer;
	packet_from((u64)peer, (u64)peer + kernel.peer_endpoint);
	return TC_PASS;
}
"""
OWN, OTHER_DEVICE, ALICE, BOB = (bytes([number]) * 32 for number in (1, 2, 3, 4))
HOME, AWAY, SIX = (
    (ip_address(text), port)
    for text, port in (("192.0.2.1", 4000), ("192.0.2.2", 4000), ("2001:db8::1", 4000))
)
SLOT, DEADLINE = 5, 1 << 60
SECOND = clock.NS_PER_SECOND
FRAME = packets.ethernet(packets.opening("10.9.0.2", "10.0.0.5", packets.TCP, 443))


@pytest.fixture(scope="module")
def program() -> bytes:
    source = fentry_source()
    return compile_program(
        dataclasses.replace(
            source,
            files={**source.files, "harness.c": HARNESS},
            records=[*source.records, MADE_UP],
            maps=[*source.maps, MADE_UP_MAP],
        )
    )


class Kernel:
    """The program, and a peer that sends packets to it."""

    def __init__(self, stack: ExitStack, program: bytes, by_handshake: bool) -> None:
        constants = {**PLACES, "own_key": OWN, "by_handshake": int(by_handshake)}
        spec = read_program(program, layout.KERNEL, constants)
        spec = dataclasses.replace(spec, programs={"ask_packet": spec.programs["ask_packet"]})
        self._loaded = stack.enter_context(load_object(spec, resize={"changes": 4096}))
        changes = self._loaded.maps["changes"]
        self._ring = stack.enter_context(RingBuffer(changes.fd, changes.info.max_entries))

    def watch(self, key: bytes, granted, expected=None) -> None:
        value = {"slot": SLOT, "granted": pack_remote(granted), "expected": pack_remote(expected)}
        self._loaded.maps["peers"].update(key, layout.WATCHED.pack(value))

    def grant(self) -> None:
        device = DEVICE.pack({"subject": 1, "deadline": DEADLINE})
        self._loaded.maps["devices"].update(SLOT.to_bytes(4, "little"), device)

    def handshake(self, key: bytes, remote, ago: float) -> None:
        value = {"remote": pack_remote(remote), "time": clock.now() - int(ago * SECOND)}
        self._loaded.maps["handshakes"].update(key, layout.HANDSHAKE.pack(value))

    def packet(self, key: bytes, endpoint, device: bytes = OWN, family: int | None = None) -> bool:
        """A packet of a peer; whether its session still is there afterwards."""
        address, port = endpoint
        kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
        place = bytearray(MADE_UP.size)
        place[32:64], place[64:96] = device, key
        told = struct.pack("<H", kind if family is None else family) + struct.pack("!H", port)
        told += address.packed if address.version == 4 else bytes(4) + address.packed
        place[128 : 128 + len(told)] = told
        self._loaded.maps["made_up"].update(bytes(4), bytes(place))
        assert run_program(self._loaded.programs["ask_packet"], FRAME, want_data=False).retval == -1
        record = DEVICE.unpack(self._loaded.maps["devices"].lookup(SLOT.to_bytes(4, "little")))
        assert record["deadline"] in (0, DEADLINE)
        assert record["subject"] == 1
        return record["deadline"] != 0

    def told(self) -> list[tuple[bytes, object, object]]:
        events = [layout.ROAMED.unpack(sample) for sample in self._ring.read()]
        now = clock.now()
        assert all(now - 10 * SECOND < event["time"] <= now for event in events)
        return [(one["key"], unpack_remote(one["old"]), unpack_remote(one["new"])) for one in events]

    def lost(self) -> int:
        return layout.LOST.unpack(self._loaded.maps["lost_events"].lookup(bytes(4)))["events"]


@pytest.fixture
def kernel(program) -> Iterator[Callable[..., Kernel]]:
    with ExitStack() as stack:

        def make(*, by_handshake: bool = False) -> Kernel:
            made = Kernel(stack, program, by_handshake)
            made.watch(ALICE, HOME)
            made.grant()
            return made

        yield make


def test_a_peer_at_home_keeps_its_session(kernel):
    made = kernel()
    assert all(made.packet(ALICE, HOME) for _ in range(3))
    assert made.told() == []


@pytest.mark.parametrize("away", [AWAY, (HOME[0], 4001), SIX, (ip_address("::ffff:c000:201"), 4001)])
def test_a_packet_from_elsewhere_ends_it_and_is_told_once(kernel, away):
    made = kernel()
    assert not made.packet(ALICE, away)
    assert not made.packet(ALICE, away)
    ((key, old, new),) = made.told()
    assert (key, old) == (ALICE, HOME)
    assert pack_remote(new) == pack_remote(away)


def test_a_session_that_is_granted_again_for_home_ends_again(kernel):
    """While the peer is elsewhere: the grant came too late."""
    made = kernel()
    made.packet(ALICE, AWAY)
    made.grant()
    assert not made.packet(ALICE, AWAY)
    assert len(made.told()) == 2


def test_ipv6_at_home(kernel):
    made = kernel()
    made.watch(ALICE, SIX)
    assert made.packet(ALICE, SIX)
    assert not made.packet(ALICE, (ip_address("2001:db8::2"), SIX[1]))


def test_what_is_announced_changes_nothing(kernel):
    made = kernel()
    made.watch(ALICE, HOME, AWAY)
    assert made.packet(ALICE, AWAY)
    assert made.packet(ALICE, HOME)
    assert not made.packet(ALICE, SIX)


def test_an_unknown_endpoint_is_none(kernel):
    made = kernel()
    made.watch(ALICE, None)
    assert not made.packet(ALICE, HOME)
    assert made.told() == [(ALICE, None, HOME)]


def test_peers_that_are_not_watched(kernel):
    assert kernel().packet(BOB, AWAY)


def test_the_same_peer_of_another_device(kernel):
    made = kernel()
    assert made.packet(ALICE, AWAY, device=OTHER_DEVICE)
    assert made.told() == []


def test_what_wireguard_takes_for_no_endpoint(kernel):
    assert kernel().packet(ALICE, AWAY, family=socket.AF_UNIX)


def test_without_a_session_nothing_is_told(kernel):
    made = kernel()
    made.packet(ALICE, AWAY)
    made.told()
    assert not made.packet(ALICE, SIX)
    assert made.told() == []


@pytest.mark.parametrize(
    ("last", "stays"),
    [
        (None, True),
        ((AWAY, 1.0), False),
        ((SIX, 170.0), False),
        ((SIX, 190.0), True),
        ((HOME, 1.0), True),
    ],
    ids=["none", "there", "elsewhere", "long ago", "at home"],
)
def test_by_handshake_data_from_elsewhere_depends_on_the_keys(kernel, last, stays):
    made = kernel(by_handshake=True)
    if last is not None:
        made.handshake(ALICE, *last)
    assert made.packet(ALICE, AWAY) is stays
    assert len(made.told()) == (not stays)


def test_an_event_that_finds_no_place_is_counted(kernel):
    """The session ends all the same."""
    made, moves = kernel(), 60
    for _ in range(moves):
        made.grant()
        assert not made.packet(ALICE, AWAY)
    assert made.lost() > 0
    assert len(made.told()) == moves - made.lost()


def test_random_endpoints(kernel):
    """Equal ones, and those that differ in one bit."""
    chance, made = random.Random(3), kernel()
    for _ in range(200):
        six = chance.random() < 0.5
        number, port = chance.getrandbits(128 if six else 32), chance.randrange(1, 65_536)
        home = (ip_address(number.to_bytes(16 if six else 4, "big")), port)
        made.watch(ALICE, home)
        made.grant()
        assert made.packet(ALICE, home)
        flipped = number ^ 1 << chance.randrange(128 if six else 32)
        away = (ip_address(flipped.to_bytes(16 if six else 4, "big")), port)
        assert not made.packet(ALICE, away)
        assert made.told() == [(ALICE, unpack_remote(pack_remote(home)), unpack_remote(pack_remote(away)))]
