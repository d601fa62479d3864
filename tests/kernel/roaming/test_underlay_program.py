"""What the watch on the underlay notices of single packets, and that it changes none."""

from __future__ import annotations

import os
import random
import struct
import time
from ipaddress import ip_address

import pytest
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.tun import TunDevice
from wardgate.compiler.explain import packets
from wardgate.compiler.explain.packets import ETHERTYPE_IPV4, UDP
from wardgate.gateway.roaming import layout
from wardgate.gateway.roaming.layout import address_bytes
from wardgate.gateway.roaming.objects import read_program
from wardgate.runtime import links
from wardgate.runtime.fd import Fd
from wardgate.runtime.links import AttachType
from wardgate.runtime.object import load_object
from wardgate.runtime.ringbuf import RingBuffer
from wardgate.runtime.testrun import test_run as run_program

pytestmark = pytest.mark.root

PORT = 51_820
HERE, HERE6 = "192.0.2.1", "2001:db8::1"
THERE, THERE6 = "198.51.100.7", "2001:db8:7::7"
PASS = -1
LEAST = 14 + 40
"""Bytes that the kernel asks for in a frame to run a program on, where it says IPv6."""
INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4


def message(kind: int = DATA, index: int = 7, sender: int = 1, rest: int = 24) -> bytes:
    """A WireGuard message, as far as it is not encrypted."""
    indexes = {INITIATION: (sender,), RESPONSE: (sender, index)}.get(kind, (index,))
    return struct.pack(f"<I{len(indexes)}I", kind, *indexes) + bytes(rest)


def udp(data: bytes, *, source: int = 4000, port: int = PORT) -> bytes:
    return packets.udp(source, port, data)


class Watch:
    """The loaded program. `asked` gives how many urgent and other looks the packets asked for."""

    def __init__(self, loaded) -> None:
        self._loaded = loaded
        self._program = loaded.programs["underlay_watch"]
        self._requests = loaded.maps["asked"]
        wake = loaded.maps["wake"]
        self.ring = RingBuffer(wake.fd, wake.info.max_entries)

    def asked(self, *sent: bytes) -> tuple[int, int]:
        before = self.counts()
        for packet in sent:
            self.see(packets.ethernet(packet))
        return tuple(now - then for now, then in zip(self.counts(), before, strict=True))

    def see(self, frame: bytes) -> None:
        """A frame comes by, and passes unchanged."""
        run = run_program(self._program, frame)
        assert (run.retval, run.data_out) == (PASS, frame)

    def counts(self) -> tuple[int, int]:
        found = layout.REQUESTS.unpack(self._requests.lookup(bytes(4)))
        return found["urgent"], found["lazy"]

    def told(self) -> int:
        """How many times userspace was woken since it asked last."""
        return sum(1 for _ in self.ring.read())

    def listen(self) -> None:
        with self._requests.view() as view:
            for name in ("urgent_told", "lazy_told"):
                view.store(0, layout.REQUESTS.offsets[name], 8, 0)

    def know(self, address: str, port: int = 4000) -> None:
        order = int.from_bytes(port.to_bytes(2, "big"), "little")
        key = layout.SOURCE.pack({"address": address_bytes(ip_address(address)), "port": order})
        self._loaded.maps["sources"].update(key, bytes(4))

    def on(self, index: int) -> Fd:
        """The program on an interface, until the link is closed."""
        return links.create_tcx(self._program.fd, index, AttachType.TCX_INGRESS)

    def know_none(self) -> None:
        sources = self._loaded.maps["sources"]
        for key in list(sources.keys()):
            sources.delete(key)


@pytest.fixture
def watch(underlay_program):
    order = int.from_bytes(PORT.to_bytes(2, "big"), "little")
    with load_object(read_program(underlay_program, layout.UNDERLAY, {"port": order})) as loaded:
        found = Watch(loaded)
        yield found
        found.ring.close()


def four(data: bytes, **options) -> bytes:
    return packets.ipv4(THERE, HERE, UDP, udp(data), **options)


def six(data: bytes, *extensions) -> bytes:
    return packets.ipv6(THERE6, HERE6, UDP, udp(data), extensions=extensions)


OPTIONS = packets.options_header()

NOTICED = {
    "data": four(message()),
    "data v6": six(message()),
    "a keepalive": four(message(rest=0)),
    "an initiation": four(message(INITIATION, rest=140)),
    "a response": six(message(RESPONSE, rest=80)),
    "IPv4 options": four(message(), options=bytes([1] * 40)),
    "an extension header": six(message(), OPTIONS),
    "an authentication header": six(message(), packets.authentication_header()),
    "eight extension headers": six(message(), *[OPTIONS] * 8),
    "more extension headers than anybody sends": six(message(), *[OPTIONS] * 9),
    "a first fragment": packets.fragments(four(message(rest=100)), 64)[0],
    "a first fragment v6": packets.fragments(six(message(rest=100)), 64)[0],
    "a fragment without a message": packets.fragments(four(message(rest=100)), 8)[0],
    "a fragment without a message v6": packets.fragments(six(message(rest=100)), 8)[0],
}

IGNORED = {
    "another port": packets.ipv4(THERE, HERE, UDP, udp(message(), port=53)),
    "the port as a source": packets.ipv4(THERE, HERE, UDP, udp(message(), source=PORT, port=4000)),
    "TCP to the port": packets.ipv4(THERE, HERE, packets.TCP, packets.tcp(4000, PORT)),
    "ICMP": packets.ipv4(THERE, HERE, packets.ICMP, packets.icmp_echo()),
    "a cookie, which changes no endpoint": four(message(COOKIE, rest=56)),
    "what is no message": four(message(99)),
    "less than a message": four(b"\4\0\0\0"),
    "an empty datagram": four(b""),
    "a cut UDP header": packets.ipv4(THERE, HERE, UDP, b"\x0f\xa0\xca"),
    "a later fragment": packets.fragments(four(message(rest=100)), 64)[1],
    "a later fragment v6": packets.fragments(six(message(rest=100)), 64)[1],
    "a cut IPv6 extension": packets.ipv6(THERE6, HERE6, 60, b"\x11"),
    "ESP": packets.ipv6(THERE6, HERE6, 50, bytes(40)),
}


@pytest.mark.parametrize("packet", NOTICED.values(), ids=NOTICED)
def test_noticed_once(watch, packet):
    assert watch.asked(packet) == (1, 0)
    assert watch.asked(*[packet] * 5) == (0, 0)


@pytest.mark.parametrize("packet", IGNORED.values(), ids=IGNORED)
def test_not_noticed(watch, packet):
    assert watch.asked(packet, packet) == (0, 0)


def test_other_protocols_pass(watch):
    before = watch.counts()
    watch.see(packets.ethernet(four(message()), ETHERTYPE_IPV4 + 6))
    assert watch.counts() == before


def test_an_interface_without_a_link_header(watch):
    """On a TUN device a packet begins with its IP header."""
    with NetNamespace("underlay") as namespace:
        device = TunDevice(namespace, "tun0")
        with Links(namespace) as opened:
            opened.up("tun0")
            index = opened.index("tun0")
        with namespace.enter(), watch.on(index):
            before = watch.counts()
            for packet in (NOTICED["data"], NOTICED["an extension header"], IGNORED["another port"]):
                os.write(device.fd, packet)
            assert watch.counts() == (before[0] + 2, before[1])
        device.close()


def test_each_source_is_noticed(watch):
    """Another address, another port, the same as IPv6."""
    assert watch.asked(four(message())) == (1, 0)
    assert watch.asked(packets.ipv4("198.51.100.8", HERE, UDP, udp(message()))) == (1, 0)
    assert watch.asked(packets.ipv4(THERE, HERE, UDP, udp(message(), source=4001))) == (1, 0)
    assert watch.asked(six(message())) == (1, 0)


def test_a_peer_that_stays_asks_for_nothing_but_its_new_keys(watch):
    watch.know(THERE)
    assert watch.asked(*[four(message(index=1))] * 3) == (0, 1)
    assert watch.asked(*[four(message(index=2))] * 3, four(message(index=1))) == (0, 1)
    assert watch.asked(*[four(message(INITIATION, rest=140))] * 3) == (0, 1)
    assert watch.asked(four(message(RESPONSE, index=1, rest=80))) == (0, 1)
    assert watch.asked(four(message(RESPONSE, index=1, sender=5, rest=80))) == (0, 0)


def test_a_source_that_stays_unknown_is_asked_about_again(watch):
    assert watch.asked(four(message())) == (1, 0)
    time.sleep(1.05)
    assert watch.asked(*[four(message())] * 3) == (1, 0)


def test_a_place_that_a_peer_left_is_urgent_again(watch):
    watch.know(THERE)
    assert watch.asked(four(message())) == (0, 1)
    watch.know_none()
    time.sleep(1.05)
    assert watch.asked(four(message())) == (1, 0)


def test_userspace_is_woken_once_until_it_looked(watch):
    assert watch.asked(*(four(message(index=number)) for number in range(20))) == (20, 0)
    assert watch.told() == 1
    watch.know(THERE6)
    assert watch.asked(six(message())) == (0, 1)
    assert watch.told() == 1
    watch.listen()
    assert watch.asked(four(message(index=99)), four(message(index=100))) == (2, 0)
    assert watch.told() == 1


def test_forged_sources_are_counted_and_no_more(watch):
    """Whatever comes, userspace is woken once; memory is bounded by the map of sightings."""
    chance = random.Random(4)
    sent = [
        packets.ipv4(
            str(ip_address(chance.getrandbits(32))), HERE, UDP, udp(message(index=chance.getrandbits(32)))
        )
        for _ in range(3000)
    ]
    assert watch.asked(*sent) == (3000, 0)
    assert watch.told() == 1


def test_damaged_packets_pass(watch):
    chance = random.Random(5)
    for packet in NOTICED.values():
        for _ in range(40):
            damaged = bytearray(packet)
            for _ in range(chance.randrange(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.getrandbits(8)
            frame = packets.ethernet(packet)[:14] + damaged[: chance.randrange(len(damaged) + 1)]
            watch.see(frame.ljust(LEAST, b"\0"))
