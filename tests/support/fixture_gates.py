"""Gates by the fixture program of tests/kernel/gate: what classes may, the devices, and a gate's inside."""

from __future__ import annotations

from typing import Any

from wardgate.runtime.attach import Hook, Rung
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.interface import find_interface
from wardgate.runtime.pins import GatePins
from wardgate.runtime.state import State, read_about, read_state

OPEN, SESSION, CLOSED = 1, 2, 3
"""What a class may: all, what needs a session, nothing."""
ALICE = DeviceSpec.of("alice", "10.77.0.2")
BOB = DeviceSpec.of("bob", "10.77.0.3")


def make(net: Any, name: str, artefact: Any, **options: Any) -> Gate:
    """A gate on the device of the `net` fixture."""
    return Gate.create_or_adopt(artefact, device=net.device, name=name, **options)


def state_of(name: str) -> State:
    """What a gate is, as the kernel has it."""
    pins = GatePins(name)
    about = read_about(pins)
    assert about is not None
    return read_state(pins, about)


def hook_rungs(gate: Gate) -> list[Rung | None]:
    """By which rung each hook is attached."""
    return [hook.rung for hook in gate.status().hooks]


def gate_programs(name: str) -> dict[Hook, int]:
    """Ids of the programs on the hooks."""
    return {hook: found.program_id for hook, found in state_of(name).attachments.items() if found}


def index_of(net: Any) -> int:
    """Of the interface of the `net` fixture's device."""
    return find_interface(net.device).index
