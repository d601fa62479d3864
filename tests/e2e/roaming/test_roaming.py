"""A client of a real tunnel of wireguard-go moves, and the watch on the underlay finds out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import statistics
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from wardgate.gateway.compiling.programs import compile_program
from wardgate.gateway.roaming import Detector, OnRoam, Roamed, Watched, carriers
from wardgate.gateway.roaming import underlay as underlay_module
from wardgate.gateway.roaming.carriers import Carriers
from wardgate.gateway.roaming.pace import FOLLOW_UPS, Bounds
from wardgate.gateway.roaming.polling import PollingDetector
from wardgate.gateway.roaming.sources import underlay_source
from wardgate.gateway.roaming.underlay import UnderlayDetector
from wardgate.runtime import netlink
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.netlink import NetlinkError

from benchmarks.roaming_tunnel import PORT, RoamingTunnel

pytestmark = [pytest.mark.root, pytest.mark.tool("wireguard-go")]

MOVES = 15
FORGED = 100_000
PEERS = 10_000
PATIENCE = 60.0


@pytest.fixture(scope="module")
def program() -> bytes:
    return compile_program(underlay_source())


@pytest.fixture
def tunnel() -> Iterator[RoamingTunnel]:
    with RoamingTunnel(f"r{os.getpid()}") as made:
        yield made


class Listener:
    """Takes the changes of a detector, with the time of each."""

    def __init__(self, detector: Detector) -> None:
        self.found: asyncio.Queue[tuple[float, Roamed]] = asyncio.Queue()
        self._detector = detector

    async def run(self) -> None:
        async for one in self._detector.changes():
            self.found.put_nowait((time.monotonic(), one))

    async def next(self) -> tuple[float, Roamed]:
        return await asyncio.wait_for(self.found.get(), PATIENCE)


@contextlib.asynccontextmanager
async def listening(detector: Detector) -> AsyncIterator[Listener]:
    listener = Listener(detector)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        detector.close()


def run(tunnel: RoamingTunnel, work: Callable[[], object]) -> None:
    """In the gateway's namespace."""
    with tunnel.gateway.enter():
        asyncio.run(work())


def underlay(tunnel: RoamingTunnel, program: bytes, dump=None, **options) -> UnderlayDetector:
    name = f"roaming{os.getpid()}"
    return UnderlayDetector(
        name, program, tunnel.device, PORT, dump or tunnel.dump, OnRoam.CHALLENGE, **options
    )


def watch_all(tunnel: RoamingTunnel, detector: Detector) -> bytes:
    tunnel.send()
    known = tunnel.dump()
    detector.reset({key: Watched(number, at) for number, (key, at) in enumerate(known.items(), 1)})
    return next(iter(known))


async def settled(detector: Detector) -> None:
    """Wait until the detector has nothing to look for."""
    dumps = -1
    while detector.status().dumps != dumps:
        dumps = detector.status().dumps
        await asyncio.sleep(2.5)


@pytest.mark.parametrize("use_links", [True, False], ids=["best", "clsact"])
def test_a_client_that_moves_is_found_soon(tunnel, program, record_property, use_links):
    async def work() -> None:
        detector = underlay(tunnel, program, use_links=use_links, bounds=Bounds(rate=50, share=0.5))
        key = watch_all(tunnel, detector)
        assert "cable0" in detector.status().carriers
        async with listening(detector) as listener:
            await asyncio.sleep(0.3)
            seconds = []
            for _ in range(MOVES):
                before = tunnel.dump()[key]
                after = await asyncio.to_thread(tunnel.move)
                started = time.monotonic()
                tunnel.start_sending()
                at, one = await listener.next()
                seconds.append(at - started)
                assert (one.public_key, one.old, one.new, one.cleared) == (key, before, after, False)
                detector.watch(key, Watched(1, after))
            assert listener.found.empty()
        median = statistics.median(seconds)
        record_property("median_ms", median * 1000)
        # By one of the early looks, and not by that which comes when nobody waits any more.
        assert median < FOLLOW_UPS[-1], seconds

    run(tunnel, work)


def forge(tunnel: RoamingTunnel, count: int) -> None:
    """Datagrams to WireGuard's port whose sources, keys and contents are made up, at full speed."""
    chance = random.Random(8)
    with tunnel.client.enter():
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with sender:
        # The kernel fills in length and checksum of the IP header; that of UDP may be left out.
        head = struct.Struct("!BBHHHBBHI4s")
        body = struct.Struct("!HHHH4sI24x")
        here, length = socket.inet_aton("192.0.2.1"), 8 + 32
        for number in range(count):
            packet = head.pack(0x45, 0, 0, 0, 0, 64, 17, 0, 0x0A000000 | number, here)
            packet += body.pack(
                1 + chance.getrandbits(15), PORT, length, 0, b"\4\0\0\0", chance.getrandbits(32)
            )
            with contextlib.suppress(BlockingIOError):
                sender.sendto(packet, ("192.0.2.1", 0))


def test_forged_packets_log_nobody_out_and_cost_few_looks(tunnel, program, record_property):
    async def work() -> None:
        bounds = Bounds()
        detector = underlay(tunnel, program)
        key = watch_all(tunnel, detector)
        async with listening(detector) as listener:
            await settled(detector)
            before, started = detector.status().dumps, time.monotonic()
            await asyncio.to_thread(forge, tunnel, FORGED)
            await settled(detector)
            seconds, looks = time.monotonic() - started, detector.status().dumps - before
            record_property("looks", looks)
            assert detector.status().asked > 0.9 * FORGED
            assert 0 < looks <= bounds.burst + bounds.rate * seconds + 1
            assert listener.found.empty()
            assert detector.status().watched == 1
            # They arrived, and whoever moves among them is found all the same.
            after, _ = await asyncio.gather(
                asyncio.to_thread(tunnel.move), asyncio.to_thread(forge, tunnel, FORGED // 10)
            )
            tunnel.start_sending()
            _, one = await listener.next()
            assert (one.public_key, one.new) == (key, after)

    run(tunnel, work)


def test_peers_that_are_idle_cost_nothing(tunnel, program):
    chance = random.Random(9)
    lines = "".join(f"public_key={chance.randbytes(32).hex()}\n" for _ in range(PEERS))
    tunnel.configure(lines)

    async def work() -> None:
        detector = underlay(tunnel, program)
        watch_all(tunnel, detector)
        async with listening(detector):
            await settled(detector)
            before = detector.status()
            assert before.watched == PEERS + 1
            await asyncio.sleep(3.0)
            assert detector.status().dumps == before.dumps
            # Nor does one that sends from where it is known to be.
            for _ in range(2):
                await asyncio.to_thread(tunnel.send)
                await asyncio.sleep(1.1)
            assert detector.status().asked == before.asked

    run(tunnel, work)


def test_an_interface_that_comes_is_watched(tunnel, program):
    from wardgate.cli.demo.links import Links

    async def work() -> None:
        detector = underlay(tunnel, program)
        async with listening(detector):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(add)
            deadline = time.monotonic() + PATIENCE
            while "late0" not in detector.status().carriers and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            status = detector.status()
            assert set(status.carriers) == {"lo", "cable0", "late0", "late1"}
            assert not status.uncovered
            await asyncio.to_thread(remove)
            while "late0" in detector.status().carriers and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert set(detector.status().carriers) == {"lo", "cable0"}

    def add() -> None:
        with Links(tunnel.gateway) as links:
            links.add_veth("late0", tunnel.gateway, "late1")

    def remove() -> None:
        with Links(tunnel.gateway) as links:
            links.remove("late0")

    run(tunnel, work)


def test_polling_finds_it_at_its_interval(tunnel):
    async def work() -> None:
        detector = PollingDetector(tunnel.dump, OnRoam.CHALLENGE, interval=0.2)
        key = watch_all(tunnel, detector)
        async with listening(detector) as listener:
            await asyncio.sleep(0.5)
            assert listener.found.empty()
            after = await asyncio.to_thread(tunnel.move)
            tunnel.start_sending()
            _, one = await listener.next()
            assert (one.public_key, one.new, one.detected_by) == (key, after, "polling")
            # Nobody has a session any more, so nobody is looked for.
            dumps = detector.status().dumps
            await asyncio.sleep(0.7)
            assert detector.status().dumps == dumps

    run(tunnel, work)


def test_a_session_that_comes_during_the_look_that_sees_its_peer_move_ends(tunnel, program):
    """The login asked where the peer was before that; the look is all that the move calls for."""
    hold, held, may_end = threading.Event(), threading.Event(), threading.Event()

    def dump():
        found = tunnel.dump()
        if hold.is_set():
            held.set()
            may_end.wait()
        return found

    async def work() -> None:
        detector = underlay(tunnel, program, dump)
        key = watch_all(tunnel, detector)
        detector.forget(key)
        async with listening(detector) as listener:
            await settled(detector)
            before = tunnel.dump()[key]
            after = await asyncio.to_thread(tunnel.move)
            hold.set()
            await asyncio.to_thread(tunnel.send)
            await asyncio.to_thread(held.wait)
            while tunnel.dump()[key] != after:
                await asyncio.sleep(0.01)
            detector.watch(key, Watched(1, before))
            hold.clear()
            may_end.set()
            _, one = await listener.next()
            assert (one.public_key, one.old, one.new) == (key, before, after)

    run(tunnel, work)


def test_where_an_interface_cannot_be_watched_it_is_looked_at_intervals(tunnel, program, monkeypatch):
    monkeypatch.setattr(underlay_module, "_UNSEEN", 0.2)
    attach = carriers.links.create_tcx
    (cable,) = (one.index for one in interfaces_of(tunnel) if one.name == "cable0")
    refuses = [True]

    def refuse(program, index, kind):
        if index == cable and refuses[0]:
            raise NetlinkError("attach", "cable0", 12)
        return attach(program, index, kind)

    monkeypatch.setattr(carriers.links, "create_tcx", refuse)
    monkeypatch.setattr(Carriers, "_add_filter", lambda *_: refuse(None, cable, None))

    async def work() -> None:
        detector = underlay(tunnel, program)
        key = watch_all(tunnel, detector)
        async with listening(detector) as listener:
            assert set(detector.status().uncovered) == {"cable0"}
            await asyncio.sleep(0.3)
            after = await asyncio.to_thread(tunnel.move)
            tunnel.start_sending()
            _, one = await listener.next()
            assert (one.public_key, one.new) == (key, after)
            assert detector.status().asked == 0
            # Each look tries again to watch it.
            refuses[0] = False
            detector.watch(key, Watched(1, after))
            deadline = time.monotonic() + PATIENCE
            while detector.status().uncovered and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert "cable0" in detector.status().carriers

    run(tunnel, work)


def interfaces_of(tunnel):
    with tunnel.gateway.enter():
        return netlink.interfaces()


def test_a_place_that_the_watch_has_no_room_for_is_looked_for_all_the_same(tunnel, program, monkeypatch):
    async def work() -> None:
        detector = underlay(tunnel, program)
        key = watch_all(tunnel, detector)
        full = WardgateError("update map", "sources", "it is full")
        monkeypatch.setattr(detector._sources, "update", raising(full))
        async with listening(detector) as listener:
            await settled(detector)
            for _ in range(2):
                after = await asyncio.to_thread(tunnel.move)
                tunnel.start_sending()
                _, one = await listener.next()
                assert (one.public_key, one.new) == (key, after)
                detector.watch(key, Watched(1, after))

    run(tunnel, work)


def raising(error):
    def fail(*_):
        raise error

    return fail


def test_wireguard_that_does_not_answer_is_asked_again(tunnel, program):
    broken = [True]

    def dump():
        if broken[0]:
            raise ConnectionRefusedError("nobody there")
        return tunnel.dump()

    async def work() -> None:
        detector = underlay(tunnel, program, dump)
        key = watch_all(tunnel, detector)
        after = await asyncio.to_thread(tunnel.move)
        tunnel.send()
        async with listening(detector) as listener:
            await asyncio.sleep(0.4)
            status = detector.status()
            assert status.failures >= 2
            assert status.failure == "nobody there"
            broken[0] = False
            _, one = await listener.next()
            assert (one.public_key, one.new) == (key, after)
            assert detector.status().failures == 0

    run(tunnel, work)
