"""A device that sends from another place has to log in again; nobody can make that happen to another."""

from __future__ import annotations

import random
import re
import signal
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from gateway_api import Api
from gateway_site import (
    BRIEFLY_S,
    LAB,
    LAB6,
    OPEN,
    OUTSIDE,
    PATIENCE_S,
    PORT,
    Machine,
    Site,
    eventually,
    site,
)
from wardgate.cli.demo.gateway.networks import UPLINK

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]

FLOOD = 30_000
"""Packets with sources that are none."""
BURST, RATE, LAST_S = 12, 4.0, 5.0
"""Looks of the watch: at once, a second after that, and how long after the last packet (roaming/pace.py)."""
DATA = 4
"""WireGuard's type of a message that carries a packet (its protocol page, "Subsequent Messages")."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def api(running: Site) -> Iterator[Api]:
    with Api(running.socket) as found:
        yield found


def connected(running: Site, user: str) -> Machine:
    machine = running.connected(f"{user}s-laptop", user)
    machine.set_up()
    return machine


@pytest.fixture(scope="module")
def alice(running: Site) -> Machine:
    return connected(running, "alice")


@pytest.fixture(scope="module")
def bob(running: Site) -> Machine:
    machine = connected(running, "bob")
    machine.log_in_again()
    return machine


def is_authorised(api: Api, user: str) -> bool:
    states = {one["device"]["user"]: one["state"] for one in api.get("/sessions")}
    return bool(states[user] == "authorised")


def flow(machine: Machine) -> socket.socket:
    """Datagrams to the laboratory, the first of which was answered."""
    with machine.namespace.enter():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((LAB, 7000))
    sock.settimeout(PATIENCE_S)
    sock.send(b"first")
    assert sock.recv(16) == b"first"
    sock.settimeout(0.2)
    return sock


def answers(sock: socket.socket) -> bool:
    """Whether a datagram comes back, of which none is left from before."""
    word = str(time.monotonic_ns()).encode()
    try:
        sock.send(word)
        while sock.recv(64) != word:
            pass
    except (TimeoutError, OSError):
        return False
    return True


def test_moving_ends_the_session_and_what_it_had_opened(
    running: Site, api: Api, alice: Machine, bob: Machine
) -> None:
    alice.log_in_again()
    assert running.wardgate("gateway", "status")["roaming"]["detector"] == "underlay"
    with flow(alice) as datagrams, flow(bob) as other, alice.connection(LAB) as connection:
        connection.sendall(b"before")
        assert connection.recv(16) == b"before"
        before = alice.at
        after = alice.move()
        # The flow goes on from the new address, until it is seen where it comes from.
        eventually(lambda: not answers(datagrams) and alice.reaches(OPEN, wait_s=BRIEFLY_S))
        eventually(lambda: not is_authorised(api, "alice"))
        connection.settimeout(0.5)
        connection.sendall(b"after")
        with pytest.raises(TimeoutError):
            connection.recv(16)
        assert not any(
            alice.reaches(lab, udp=udp, wait_s=0.3) for lab in (LAB, LAB6) for udp in (True, False)
        )
        assert alice.reaches(OPEN)
        assert answers(other)
        told = [one for one in api.get("/audit") if one["action"] == "ended session"]
        assert re.fullmatch(
            rf"moved from {re.escape(before)}:\d+ to {re.escape(after)}:\d+", told[-1]["details"]["reason"]
        )
        alice.log_in_again()
        assert answers(datagrams)
        # What was sent in between was dropped; TCP sends it again.
        connection.settimeout(PATIENCE_S)
        assert connection.recv(16) == b"after"
    assert is_authorised(api, "bob")


def test_whoever_moved_while_nobody_looked_is_found_out_at_the_start(
    running: Site, api: Api, alice: Machine, bob: Machine
) -> None:
    assert is_authorised(api, "alice")
    running.kill()
    alice.move()
    eventually(lambda: alice.reaches(OPEN, wait_s=BRIEFLY_S))
    running.start()
    assert not alice.reaches(LAB, wait_s=0.3)
    with Api(running.socket) as anew:
        assert not is_authorised(anew, "alice")
        assert is_authorised(anew, "bob")
    assert bob.reaches(LAB)


def test_a_flood_with_false_sources_logs_nobody_out_and_is_looked_at_seldom(
    running: Site, alice: Machine, bob: Machine
) -> None:
    with Api(running.socket) as api:
        alice.log_in_again()

        def dumps() -> int:
            text = api.text("/metrics")
            found = re.search(r"^wardgate_roaming_dumps_total\{[^}]*\} (\d+)", text, re.MULTILINE)
            assert found, text
            return int(found[1])

        begun, before = time.monotonic(), dumps()
        flood(running, [alice.at, bob.at])
        time.sleep(LAST_S)
        looks, took = dumps() - before, time.monotonic() - begun
        assert 0 < looks <= BURST + RATE * took
        assert is_authorised(api, "alice")
        assert is_authorised(api, "bob")
        assert alice.reaches(LAB)
        assert bob.reaches(LAB)
        # And one that moves is still seen.
        alice.move()
        eventually(lambda: not alice.reaches(LAB, wait_s=0.2) and alice.reaches(OPEN, wait_s=BRIEFLY_S))
        eventually(lambda: not is_authorised(api, "alice"))


def test_where_roaming_is_ignored_a_session_goes_along(running: Site, alice: Machine, bob: Machine) -> None:
    alice.log_in_again()
    running.kill(signal.SIGTERM)
    with running.file.open("a") as file:
        file.write("roaming: {on_roam: ignore}\n")
    running.start()
    with flow(alice) as datagrams:
        alice.move()
        eventually(lambda: answers(datagrams))
        with Api(running.socket) as api:
            endpoint = {one["device"]["user"]: one["endpoint"] for one in api.get("/sessions")}["alice"]
            assert endpoint.startswith(f"{alice.at}:")
            assert is_authorised(api, "alice")
            assert is_authorised(api, "bob")
    assert bob.reaches(LAB)


def flood(site: Site, clients: list[str]) -> None:
    """Send datagrams to the gateway's port, from the internet: from clients' addresses, and from nowhere."""
    dice = random.Random(1)
    target = bytes.fromhex(_hardware_address(site).replace(":", ""))
    with site.internet.enter():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sock.bind(("br0", 0))
    ethernet = target + bytes.fromhex("020000000001") + b"\x08\x00"
    destination = IPv4Address(OUTSIDE).packed
    with sock:
        for number in range(FLOOD):
            source = (
                IPv4Address(clients[number % len(clients)]).packed if number % 4 == 0 else dice.randbytes(4)
            )
            payload = struct.pack("<IIQ", DATA, dice.getrandbits(32), number) + bytes(32)
            length = 8 + len(payload)
            header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, 17, 0, source, destination)
            words = struct.unpack(">10H", header)
            total = sum(words)
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            header = header[:10] + struct.pack(">H", checksum) + header[12:]
            port = 1024 + dice.getrandbits(15)
            udp = struct.pack(">HHHH", port, PORT, length, 0)
            while True:
                try:
                    sock.send(ethernet + header + udp + payload)
                    break
                except BlockingIOError:
                    time.sleep(0.001)


def _hardware_address(site: Site) -> str:
    from pyroute2 import IPRoute

    with site.gateway.enter(), IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=UPLINK)
        (link,) = netlink.get_links(index)
        return str(link.get("address"))
