"""The harness: a program that replays a trace and tail-calls the program under test, unmodified.

BPF_PROG_TEST_RUN repeats one packet, which flatters caches; so each of its runs writes the next tuple
of the trace, an array in the kernel, into the packet before it goes on. What the harness itself costs is
measured by going on to a program that does nothing, and subtracted.
"""

from __future__ import annotations

import struct
from contextlib import ExitStack
from types import TracebackType
from typing import Final

from wardgate.compiler.explain import packets
from wardgate.compiler.language.model import TCP
from wardgate.runtime.program import Program
from wardgate.runtime.testrun import test_run

from benchmarks.programs import Hook, MapKind, build, fill_array, load
from benchmarks.traces import Trace

PASSED: Final[dict[Hook, int]] = {"tc": -1, "xdp": 2}
"""What programs return that let a packet pass (TCX_NEXT, XDP_PASS)."""
REPLAY_FAILED: Final = 77
_PAYLOAD: Final = bytes(32)


class ReplayError(Exception):
    """The harness did not reach the program under test, or a verdict is wrong."""


def frame(version: int, protocol: int) -> bytes:
    """The Ethernet frame whose addresses and ports the harness replaces."""
    body = packets.tcp(40_000, 443, "PA", _PAYLOAD) if protocol == TCP else packets.udp(40_000, 443, _PAYLOAD)
    if version == 4:
        return packets.ethernet(packets.ipv4("100.64.0.1", "10.0.0.1", protocol, body), 0x0800)
    return packets.ethernet(packets.ipv6("fd77:64::1", "fd00::1", protocol, body), 0x86DD)


class Replay:
    """A trace in the kernel, ready to be sent through programs of one hook: a context manager."""

    def __init__(self, trace: Trace, hook: Hook = "tc") -> None:
        self.trace = trace
        self.hook = hook
        self._frame = frame(trace.version, trace.protocol)
        self._stack = ExitStack()
        spec = build("replay.c", {"VERSION": trace.version, "XDP": int(hook == "xdp")})
        self._harness = self._stack.enter_context(
            load(spec, kinds={"target": MapKind.PROG_ARRAY}, resize={"trace": len(trace.tuples)})
        )
        try:
            fill_array(self._harness.maps["trace"], trace.records())
            self._go_to(0)
        except BaseException:
            self._stack.close()
            raise

    def run(self, program: Program, repeat: int, start: int | None = None) -> int:
        """Replay `repeat` tuples from number `start` on, or from where the last run ended, and from the
        first again behind the last; mean ns of one, the harness included. The kernel gives whole ns."""
        if start is not None:
            self._go_to(start)
        self._aim(program)
        return self._run(repeat)[1]

    def verdicts(self, program: Program, count: int) -> list[bool]:
        """Whether each of the first `count` tuples passes."""
        self._aim(program)
        self._go_to(0)
        return [self._run(1)[0] == PASSED[self.hook] for _ in range(count)]

    def _go_to(self, start: int) -> None:
        length = len(self.trace.tuples)
        self._harness.maps["place"].update(bytes(4), struct.pack("<II", start % length, length))

    def _aim(self, program: Program) -> None:
        self._harness.maps["target"].update(bytes(4), struct.pack("<I", program.fd.fileno()))

    def _run(self, repeat: int) -> tuple[int, int]:
        run = test_run(self._harness.programs["replay"], self._frame, repeat=repeat, want_data=False)
        if run.retval == REPLAY_FAILED:
            raise ReplayError("the harness did not reach the program under test")
        return run.retval, run.duration_ns

    def close(self) -> None:
        """Unload the harness and its trace."""
        self._stack.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
