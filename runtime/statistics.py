"""What the kernel says of a gate's loaded programs: sizes, the verifier's work, runs and their time.

The kernel counts runs only while somebody asks it to (BPF_ENABLE_STATS, Linux 5.8, commit d46edd671a14): two
readings of a clock for each packet, about 20 ns. So that is asked for as long as one measures, and ends with
the process at the latest.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.attach import Hook
from wardgate.runtime.fd import Fd
from wardgate.runtime.info import ProgramInfo
from wardgate.runtime.pins import GatePins
from wardgate.runtime.program import Program
from wardgate.runtime.state import StateError, current_of, read_about, read_state
from wardgate.runtime.syscall import Cmd, bpf

_RUN_TIME: Final = 0
"""BPF_STATS_RUN_TIME."""

_SLOT: Final = 8


class _StatsAttr(ctypes.Structure):
    _fields_ = (("type", ctypes.c_uint32),)


@dataclass(frozen=True, slots=True)
class ProgramStatistics:
    """A program of the generation in force.

    `slots`: what the verifier made of it, in 8 bytes; `jited`: bytes of machine code, 0 without a JIT;
    `verified`: instructions that the verifier walked, 0 before Linux 5.16. `runs` and `nanoseconds` are of
    the time that was measured, None where none was.
    """

    hook: Hook
    id: int
    name: str
    tag: str
    slots: int
    jited: int
    verified: int
    runs: int | None
    nanoseconds: int | None


@contextmanager
def counting_runs() -> Iterator[None]:
    """The kernel counts runs of all BPF programs meanwhile. BpfError where it can't, PrivilegeError."""
    with Fd(bpf(Cmd.ENABLE_STATS, _StatsAttr(_RUN_TIME), operation="count runs of programs")):
        yield


def read_statistics(name: str, seconds: float = 0.0) -> Sequence[ProgramStatistics]:
    """The programs in force of the gate called `name`; their runs are counted for so long, not at all for 0.

    The gate's lock is held only while they are opened. PinError where there is no such gate.
    """
    pins = GatePins(name)
    with ExitStack() as stack:
        with pins.lock():
            about = read_about(pins)
            if about is None:
                raise StateError("open gate", name, "its creation was interrupted", "run it again")
            state = read_state(pins, about)
            current = current_of(pins, state)
            programs = {hook: stack.enter_context(current.program(hook)) for hook in current.program_ids()}
        if not seconds:
            return [_statistics(hook, one.info) for hook, one in programs.items()]
        with counting_runs():
            before = _infos(programs)
            time.sleep(seconds)
            after = _infos(programs)
        return [_statistics(hook, after[hook], before[hook]) for hook in programs]


def _infos(programs: Mapping[Hook, Program]) -> dict[Hook, ProgramInfo]:
    return {hook: program.info for hook, program in programs.items()}


def _statistics(hook: Hook, info: ProgramInfo, before: ProgramInfo | None = None) -> ProgramStatistics:
    return ProgramStatistics(
        hook,
        info.id,
        info.name,
        info.tag,
        info.xlated_length // _SLOT,
        info.jited_length,
        info.verified_instructions,
        info.run_count - before.run_count if before else None,
        info.run_time_ns - before.run_time_ns if before else None,
    )
