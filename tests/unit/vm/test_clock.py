"""The clocks that programs are given, and what is counted of calls."""

from __future__ import annotations

import time

from bpf_assembly import EXIT, alu, call
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.clock import FIRST_TICK, TICK_NS, HostClock, SetClock
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine

JIFFIES, BOOT_NS = 118, 125
LOW_HALF = 0xFFFFFFFF


def test_programs_read_time_and_tick() -> None:
    clock = SetClock(1_000_000_007, ticks=FIRST_TICK + 42)
    code = call(BOOT_NS) + alu(isa.MOV, 6, src=0) + call(JIFFIES) + alu(isa.MUL, 0, imm=1000)
    machine = Machine(Image.from_code(code + alu(isa.ADD, 0, src=6) + EXIT), clock=clock)
    assert machine.run("main").return_value & LOW_HALF == (42_000 + 1_000_000_007) & LOW_HALF
    clock.run(TICK_NS)
    assert machine.run("main").return_value & LOW_HALF == (43_000 + 1_004_000_007) & LOW_HALF


def test_a_suspended_machine_has_no_ticks() -> None:
    clock = SetClock(5)
    clock.suspend(3_600 * 10**9)
    assert (clock.now(), clock.tick()) == (5 + 3_600 * 10**9, FIRST_TICK)
    clock.run(10 * TICK_NS)
    assert clock.tick() == FIRST_TICK + 10
    # However little time passes, moving the clock shows.
    clock.run(1)
    assert clock.tick() == FIRST_TICK + 11


def test_the_hosts_clock() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    clock = HostClock()
    now, tick = clock.now(), clock.tick()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    time.sleep(2 * TICK_NS / 10**9)
    assert clock.tick() > tick > FIRST_TICK


def test_calls_are_counted() -> None:
    code = call(JIFFIES) + call(JIFFIES) + call(BOOT_NS) + EXIT
    machine = Machine(Image.from_code(code), clock=SetClock(1), observe=True)
    machine.run("main")
    machine.run("main")
    assert machine.statistics.calls == {"jiffies64": 4, "ktime_get_boot_ns": 2}
    assert machine.statistics.map_lookups == machine.statistics.table_loads == {}
