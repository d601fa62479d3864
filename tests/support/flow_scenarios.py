"""What the programs remember of datagrams, as scenarios that any plane can run: whose flow makes room for
whose, and that a reply is known by all of its addresses and ports, not by the place of its flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from packet_scenarios import A4, A6, B4, udp
from planes import SECOND, Plane, before
from wardgate.compiler.explain import packets
from wardgate.runtime.layout.codes import Reason
from wardgate.runtime.layout.records import FLOW, FLOW_KEY, FLOWS_A_DEVICE

POLICY = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
policies:
  "*":
    allow: ["10.3.0.0/16 udp sctp icmp", "fd00:3::/48 udp sctp icmp"]
inbound:
  "*":
    mfa: ["10.3.0.0/16 9100/udp"]
"""
HOST, HOST6 = "10.3.0.9", "fd00:3::9"

Scenario = Callable[[Plane], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def sctp(source: str, destination: str, sport: int, dport: int) -> bytes:
    return packets.ip(source, destination, packets.SCTP, packets.sctp(sport, dport))


def answered(plane: Plane, sent: bytes) -> bool:
    """Whether the answer to a packet of a device comes back."""
    seen = plane.to(packets.reply(sent))
    # Where the inbound policy has rules about the remote, they are the reason.
    assert seen.passed or seen.reason in (Reason.NO_FLOW, Reason.NO_RULE)
    return seen.passed


def flows(plane: Plane) -> dict[tuple[int, int], dict]:
    """Slot and place to record."""
    found = {tuple(FLOW_KEY.unpack(key).values()): FLOW.unpack(value) for key, value in plane.items("flows")}
    return {(slot, place): record for (slot, place), record in found.items()}


def forget(plane: Plane) -> None:
    for key, _ in plane.items("flows"):
        plane.delete("flows", key)


def put(plane: Plane, slot: int, place: int, record: dict) -> None:
    plane.update("flows", FLOW_KEY.pack({"slot": slot, "place": place}), FLOW.pack(record))


def place_of(plane: Plane, packet: bytes, *, inbound: bool = False) -> int:
    """Where the packet's flow is put while no other is known."""
    forget(plane)
    assert (plane.to if inbound else plane.out)(packet).passed
    ((_, place),) = flows(plane)
    forget(plane)
    return place


def places_of(plane: Plane, slot: int, packet: bytes) -> tuple[int, int]:
    """Where the packet's flow is put, and where if that place is taken."""
    first = place_of(plane, packet)
    put(plane, slot, first, {"last_seen": plane.now()})
    assert plane.out(packet).passed
    (second,) = {place for _, place in flows(plane)} - {first}
    forget(plane)
    return first, second


def in_one_place(plane: Plane, ones: Iterable[bytes], others: Iterable[bytes]) -> tuple[bytes, bytes]:
    """One packet of each whose flows are put in the same place."""
    known = {place_of(plane, packet): packet for packet in ones}
    return next((known[place], other) for other in others if (place := place_of(plane, other)) in known)


@scenario
def a_flood_makes_its_own_device_forget(plane: Plane) -> None:
    alice, bob = plane.device("alice", A4, A6), plane.device("bob", B4)
    quiet = [udp(B4, f"10.3.9.{number}", 4000, 53) for number in range(10)]
    assert all(plane.out(packet).passed for packet in quiet)
    for number in range(3 * FLOWS_A_DEVICE):
        host = f"fd00:3::1:{number:x}" if number % 2 else f"10.3.{number >> 8}.{number & 255}"
        newest = udp(A6 if number % 2 else A4, host, 4000, 53)
        assert plane.out(newest).passed
        if not number % 50:
            assert answered(plane, newest)
    held = Counter(slot for slot, _ in flows(plane))
    assert held[bob] == len(quiet)
    assert FLOWS_A_DEVICE // 2 < held[alice] <= FLOWS_A_DEVICE
    assert all(place < FLOWS_A_DEVICE for _, place in flows(plane))
    assert all(answered(plane, packet) for packet in quiet)


@scenario
def no_place_makes_a_stranger_a_reply(plane: Plane) -> None:
    """With one flow in every place, any lookup finds it; only its own reply passes."""
    slot = plane.device("alice", A4, A6)
    for device, host in ((A4, HOST), (A6, HOST6)):
        forget(plane)
        known = udp(device, host, 4000, 53)
        assert plane.out(known).passed
        (record,) = flows(plane).values()
        for place in range(FLOWS_A_DEVICE):
            put(plane, slot, place, record)
        assert answered(plane, known)
        strangers = [
            udp(device, host, 4001, 53),
            udp(device, host, 4000, 54),
            udp(device, host, 53, 4000),
            udp(device, host[:-1] + "8", 4000, 53),
            sctp(device, host, 4000, 53),
        ]
        if ":" in host:
            # The low half alone, and the high half alone, are another address.
            strangers += [udp(device, "fd00:3:0:1::9", 4000, 53), udp(device, "fd00:3::a", 4000, 53)]
        for stranger in strangers:
            assert not answered(plane, stranger)
        echo = packets.icmpv6_echo if ":" in device else packets.icmp_echo
        protocol = packets.ICMPV6 if ":" in device else packets.ICMP
        assert not answered(plane, packets.ip(device, host, protocol, echo(4000)))


@scenario
def flows_in_one_place_are_apart(plane: Plane) -> None:
    slot = plane.device("alice", A4, A6)
    ports, numbers = range(4000, 4040), range(5000, 6000)
    kinds = {
        "device port": ([udp(A4, HOST, n, 53) for n in ports], (udp(A4, HOST, n, 53) for n in numbers)),
        "remote port": ([udp(A4, HOST, 1, n) for n in ports], (udp(A4, HOST, 1, n) for n in numbers)),
        "remote": (
            [udp(A4, f"10.3.1.{n}", 1, 53) for n in range(40)],
            (udp(A4, f"10.3.{n >> 8}.{n & 255}", 1, 53) for n in numbers),
        ),
        "remote, IPv6": (
            [udp(A6, f"fd00:3::1:{n:x}", 1, 53) for n in ports],
            (udp(A6, f"fd00:3::2:{n:x}", 1, 53) for n in numbers),
        ),
        "version": ([udp(A4, HOST, n, 53) for n in ports], (udp(A6, HOST6, n, 53) for n in numbers)),
    }
    pairs = {kind: in_one_place(plane, *packets_of) for kind, packets_of in kinds.items()}
    # Here nothing else may differ, so the port that both have is what is searched for.
    pairs["protocol"] = next(
        pair
        for number in range(1, 5000)
        if place_of(plane, (pair := (udp(A4, HOST, number, 53), sctp(A4, HOST, number, 53)))[0])
        in places_of(plane, slot, pair[1])
    )
    for kind, (one, other) in pairs.items():
        forget(plane)
        assert plane.out(one).passed
        assert answered(plane, one), kind
        assert not answered(plane, other), kind
        assert plane.out(other).passed
        assert answered(plane, one), kind
        assert answered(plane, other), kind


@scenario
def who_opened_a_flow_is_part_of_it(plane: Plane) -> None:
    """A flow that the remote opened, by the inbound policy, lets nothing in as a reply to the device."""
    slot = plane.device("alice", A4)
    plane.session(slot, deadline=plane.now() + 600 * SECOND)

    def pair(port: int) -> tuple[bytes, bytes]:
        return udp(HOST, A4, port, 9100), udp(A4, HOST, 9100, port)

    asked, sent = next(
        both
        for both in map(pair, range(1, 5000))
        if place_of(plane, both[0], inbound=True) in places_of(plane, slot, both[1])
    )
    assert plane.to(asked).passed
    assert [record["opener"] for record in flows(plane).values()] == [1]
    assert plane.to(asked).passed
    plane.session(slot)
    assert plane.to(asked).reason is Reason.NEEDS_LOGIN
    assert plane.out(sent).passed
    assert plane.to(asked).passed
    assert sorted(record["opener"] for record in flows(plane).values()) == [0, 1]


@scenario
def devices_with_the_same_flow_are_apart(plane: Plane) -> None:
    alice, bob = plane.device("alice", A4), plane.device("bob", B4)
    hers, his = udp(A4, HOST, 4000, 53), udp(B4, HOST, 4000, 53)
    assert plane.out(hers).passed
    assert not answered(plane, his)
    assert plane.out(his).passed
    (place,) = {place for _, place in flows(plane)}
    assert flows(plane).keys() == {(alice, place), (bob, place)}
    plane.delete("flows", FLOW_KEY.pack({"slot": alice, "place": place}))
    assert answered(plane, his)
    assert not answered(plane, hers)


@scenario
def the_quieter_flow_makes_room(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    packet, now = udp(A4, HOST, 4000, 53), plane.now()
    first, second = places_of(plane, slot, packet)
    assert first != second
    for ages, chosen in (((20, 10), first), ((10, 20), second), ((10, 300), second), ((300, 10), first)):
        forget(plane)
        for place, age in zip((first, second), ages, strict=True):
            put(plane, slot, place, {"last_seen": before(now, age * SECOND), "device_port": 1})
        assert plane.out(packet).passed
        ports = {place: record["device_port"] for (_, place), record in flows(plane).items()}
        assert ports == {first: 1, second: 1, chosen: 4000}


@scenario
def a_known_flow_stays_where_it_is(plane: Plane) -> None:
    """Also in its second place, when the first has become free."""
    slot = plane.device("alice", A4)
    packet = udp(A4, HOST, 4000, 53)
    _, second = places_of(plane, slot, packet)
    assert plane.out(packet).passed
    ((_, record),) = flows(plane).items()
    forget(plane)
    put(plane, slot, second, {**record, "last_seen": before(plane.now(), 2 * SECOND)})
    earlier = plane.now() - SECOND
    assert plane.out(packet).passed
    ((place, found),) = flows(plane).items()
    assert place == (slot, second)
    assert found["last_seen"] > earlier
    assert {**found, "last_seen": 0} == {**record, "last_seen": 0}
    # What another processor has noted later is not set back.
    later = plane.now() + 100 * SECOND
    put(plane, slot, second, {**record, "last_seen": later})
    assert plane.out(packet).passed
    assert answered(plane, packet)
    assert flows(plane)[slot, second]["last_seen"] == later
