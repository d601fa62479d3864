"""Sessions and flows end by a clock that is read once a tick: at most a tick late, also after suspend."""

from __future__ import annotations

import pytest
from packet_scenarios import A4, POLICIES, tcp, udp
from planes import SECOND, VmPlane
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain import packets
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.vm.clock import TICK_NS, SetClock
from wardgate.runtime.layout.codes import Reason

HOUR = 3_600 * SECOND
START = 10**15
ALLOWED, BY_SESSION = tcp(A4, "10.0.0.5", 4000, 80), tcp(A4, "10.1.2.3", 4000, 22)
DATAGRAM = udp(A4, "10.0.0.53", 4000, 53)


@pytest.fixture(scope="module")
def artefact() -> bytes:
    return compile_parsed(parse_policy_text(POLICIES["outbound"]).policy).data


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
def plane(artefact: bytes, clock: SetClock) -> VmPlane:
    plane = VmPlane(artefact, clock=clock)
    plane.device("alice", A4)
    return plane


def fate(plane: VmPlane, packet: bytes = BY_SESSION) -> Reason | None:
    return plane.out(packet).reason


def test_the_deadline_is_the_first_moment_without_a_session(plane: VmPlane, clock: SetClock) -> None:
    plane.session(1, deadline=START + HOUR)
    clock.run(HOUR - 1)
    assert fate(plane) is Reason.PASS
    clock.run(1)
    assert fate(plane) is Reason.SESSION_EXPIRED


def test_activity_that_the_clock_has_not_come_to_is_no_silence(plane: VmPlane) -> None:
    # As another CPU notes it, whose reading is later than this one's.
    plane.session(1, deadline=START + HOUR, idle_limit=SECOND, last_active=START + TICK_NS)
    assert fate(plane) is Reason.PASS


def test_a_session_is_over_a_tick_late_at_most(plane: VmPlane, clock: SetClock) -> None:
    plane.session(1, deadline=START + TICK_NS // 2)
    assert fate(plane) is Reason.PASS
    # Within the tick nobody reads the clock again.
    clock.time += TICK_NS - 1
    assert fate(plane) is Reason.PASS
    clock.ticks += 1
    assert fate(plane) is Reason.SESSION_EXPIRED


def test_suspend_prolongs_no_session(plane: VmPlane, clock: SetClock) -> None:
    plane.session(1, deadline=START + 600 * SECOND)
    assert fate(plane) is Reason.PASS
    clock.suspend(HOUR)
    clock.run(1)
    assert fate(plane) is Reason.SESSION_EXPIRED
    plane.session(1, deadline=clock.now() + HOUR, idle_limit=600 * SECOND, last_active=clock.now())
    assert fate(plane) is Reason.PASS
    clock.suspend(601 * SECOND)
    clock.run(1)
    assert fate(plane) is Reason.IDLE


def test_suspend_prolongs_no_flow(plane: VmPlane, clock: SetClock) -> None:
    answer = packets.reply(DATAGRAM)
    assert fate(plane, DATAGRAM) is Reason.PASS
    clock.suspend(170 * SECOND)
    clock.run(1)
    assert plane.to(answer).passed
    clock.suspend(181 * SECOND)
    clock.run(1)
    assert plane.to(answer).reason is Reason.NO_FLOW


def test_what_a_session_has_no_say_in_reads_no_clock(artefact: bytes, clock: SetClock) -> None:
    plane = VmPlane(artefact, clock=clock, trace=0, observe=True)
    plane.device("alice", A4)
    plane.session(1, deadline=START + HOUR)
    calls = plane.machine.statistics.calls
    for packet, readings in ((ALLOWED, 0), (BY_SESSION, 1), (BY_SESSION, 0), (DATAGRAM, 0)):
        before = calls["ktime_get_boot_ns"]
        assert plane.out(packet).passed
        assert calls["ktime_get_boot_ns"] - before == readings
    clock.run(TICK_NS)
    assert plane.out(DATAGRAM).passed
    assert plane.out(BY_SESSION).passed
    assert calls["ktime_get_boot_ns"] == 2
