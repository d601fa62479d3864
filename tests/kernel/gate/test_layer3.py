"""A gate on a TUN device, whose packets have no link header."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest
from fixture_gates import OPEN
from wardgate.runtime.attach import Rung
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.interface import InterfaceError, find_interface
from wardgate.runtime.layout.codes import Direction, LinkHeader, Reason
from wardgate.runtime.pins import GatePins

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


@pytest.fixture
def tun(net) -> Iterator[int]:
    """A TUN device `tun0` in the gateway's namespace with 10.78.0.1/24; its other end is an fd."""
    with net.at_gateway():
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        for words in (
            "addr add 10.77.1.1/24 dev tun0",
            "link set tun0 up",
            "route add 10.77.0.128/25 dev tun0",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        yield fd
        os.close(fd)


def datagram(source: str, destination: str) -> bytes:
    payload = struct.pack(">HHHH", 9, 7000, 12, 0) + b"tick"
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    words = struct.unpack(">10H", head)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:] + payload


def arrives(fd: int, source: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("10.77.1.1", 7000))
        os.write(fd, datagram(source, "10.77.1.1"))
        return bool(select.select([receiver], [], [], 0.15)[0])


def leaves(fd: int, destination: str) -> bool:
    while select.select([fd], [], [], 0)[0]:
        os.read(fd, 2048)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.sendto(b"tock", (destination, 7000))
    return bool(select.select([fd], [], [], 0.15)[0])


@pytest.mark.parametrize(
    ("hook", "rungs"),
    [("tc", [Rung.TCX]), ("tc", [Rung.CLSACT]), ("xdp", None), ("xdp", [Rung.XDP_NETLINK_GENERIC])],
)
def test_packets_without_a_link_header_are_judged(tun, gate_name, build, hook, rungs) -> None:
    assert find_interface("tun0").link_header is LinkHeader.NONE
    assert arrives(tun, "10.77.0.130")
    assert leaves(tun, "10.77.0.130")
    gate = Gate.create_or_adopt(build(OPEN), device="tun0", name=gate_name, hook=hook, rungs=rungs)
    gate.set_devices([DeviceSpec.of("alice", "10.77.0.130")])
    assert arrives(tun, "10.77.0.130")
    assert leaves(tun, "10.77.0.130")
    assert not arrives(tun, "10.77.0.131")
    assert not leaves(tun, "10.77.0.131")
    status = gate.status()
    assert status.link_header is LinkHeader.NONE
    for direction in Direction:
        assert set(status.counters[direction]) == {Reason.PASS, Reason.NO_DEVICE}
    gate.detach()
    assert arrives(tun, "10.77.0.131")


def test_a_device_that_becomes_another_kind_gets_fitting_programs(net, gate_name, build) -> None:
    with net.at_gateway():
        gate = Gate.create_or_adopt(build(OPEN), device="gate0", name=gate_name)
        gate.set_devices([DeviceSpec.of("alice", "10.77.0.130")])
        subprocess.run(["ip", "link", "del", "gate0"], check=True)
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"gate0", IFF_TUN | IFF_NO_PI))
        try:
            for words in (
                "addr add 10.77.1.1/24 dev gate0",
                "link set gate0 up",
                "route add 10.77.0.128/25 dev gate0",
            ):
                subprocess.run(["ip", *words.split()], check=True)
            Gate.create_or_adopt(build(OPEN), device="gate0", name=gate_name)
            assert gate.status().link_header is LinkHeader.NONE
            # The programs for Ethernet are of no use for a rollback.
            assert (gate.status().generation, gate.status().previous) == (2, None)
            assert arrives(fd, "10.77.0.130")
            assert not arrives(fd, "10.77.0.131")
        finally:
            os.close(fd)


def test_a_device_of_an_unknown_kind_is_refused(net, gate_name, build) -> None:
    # Loopback is neither a tunnel nor Ethernet.
    with net.at_gateway(), pytest.raises(InterfaceError, match="link type"):
        Gate.create_or_adopt(build(OPEN), device="lo", name=gate_name)
    assert not GatePins(gate_name).exists()
