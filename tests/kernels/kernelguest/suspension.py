"""A session whose time runs out while the machine sleeps, and the first packet after it woke up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.scenario import ADDRESSES
from wardgate.compiler.explain import packets
from wardgate.runtime.attach import Hook
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import generations
from wardgate.runtime.layout.codes import Direction, Reason
from wardgate.runtime.pins import GatePins
from wardgate.runtime.program import Program
from wardgate.runtime.testrun import test_run

_NAME: Final = "guest"
_SLOTS: Final = 16
_SESSION: Final = 6
_SLEEP: Final = 8
"""Seconds; the alarm clock of the machine rings at a full second."""

_ATTEMPTS: Final = 3
_ALARM = Path("/sys/class/rtc/rtc0/wakealarm")
_WAKEUPS, _STATE = Path("/sys/power/wakeup_count"), Path("/sys/power/state")


class _Sender:
    """Sends one packet of a device, again and again, through a gate's own program."""

    def __init__(self, gate: Gate, program: Program, packet: bytes) -> None:
        self._gate, self._program, self._packet = gate, program, packet
        self._counted = self._counters()

    def send(self) -> Callable[[], str]:
        """Send it now; what is returned says why it passed or not, once there is time for that."""
        test_run(self._program, self._packet, want_data=False)
        return self._reason

    def _reason(self) -> str:
        before, self._counted = self._counted, self._counters()
        (reason,) = (self._counted - before).elements()
        return reason.label

    def _counters(self) -> Counter[Reason]:
        counters = self._gate.status().counters[Direction.FROM_DEVICE]
        return Counter({reason: count.packets for reason, count in counters.items()})


def observe(folder: Path) -> dict[str, Any]:
    """Why a packet passed or not before, after, and with another session; `seconds` by each clock from
    the grant of the first session to the packet after it; `session`: how many it was granted for."""
    artefact = read_artefact((folder / "office-llvmlite.o").read_bytes())
    own = ADDRESSES["alice"][0]
    packet = packets.opening(own, "10.1.2.3", packets.TCP, 22)
    with NetNamespace("guest") as namespace, namespace.enter(), Links(namespace) as links:
        links.add("dev0", "wireguard")
        gate = Gate.create_or_adopt(artefact, device="dev0", name=_NAME, device_slots=_SLOTS)
        try:
            gate.set_devices([DeviceSpec.of("alice", own)])
            (generation,) = generations(GatePins(_NAME))
            with generation.program(Hook.INGRESS) as program:
                sender = _Sender(gate, program, packet)
                for _attempt in range(_ATTEMPTS):
                    seen = _sleep(gate, own, sender)
                    # Where the guest is slow, the session ends before the machine sleeps.
                    if seen["before"] == "pass" and seen["seconds"]["monotonic"] < _SESSION:
                        break
            return {**seen, "session": _SESSION}
        finally:
            gate.detach()


def _sleep(gate: Gate, own: str, sender: _Sender) -> dict[str, Any]:
    gate.sessions.grant(own, _SESSION)
    started = _clocks()
    before = sender.send()()
    _ALARM.write_text("0\n")
    _WAKEUPS.write_text(_WAKEUPS.read_text())
    _ALARM.write_text(f"+{_SLEEP}\n")
    # An alarm that rings before the machine sleeps keeps it awake (EBUSY); else nothing would wake it.
    with suppress(OSError):
        _STATE.write_text("mem")
    reason = sender.send()
    seconds = {name: now - started[name] for name, now in _clocks().items()}
    after = reason()
    gate.sessions.grant(own, _SESSION)
    return {"before": before, "after": after, "again": sender.send()(), "seconds": seconds}


def _clocks() -> dict[str, float]:
    return {"boottime": time.clock_gettime(time.CLOCK_BOOTTIME), "monotonic": time.monotonic()}
