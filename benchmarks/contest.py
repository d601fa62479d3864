"""One policy, all contestants: what a packet costs in each, over the empty program, trace by trace."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final

from wardgate.compiler.compile import compile_parsed
from wardgate.compiler.language.model import TCP
from wardgate.runtime.layout.codes import Verdict

from benchmarks.competitors import COMPETITORS
from benchmarks.competitors.contestant import Contestant, UnsuitableError
from benchmarks.measured_gate import make_gate
from benchmarks.model import PolicyModel
from benchmarks.policies import GeneratedPolicy
from benchmarks.programs import Hook, build, load
from benchmarks.replay import Replay, ReplayError
from benchmarks.sampling import Summary, added, interleave
from benchmarks.traces import Order, Trace, TraceMaker

GATE: Final = "gate"
EMPTY: Final = "e"
PASSING: Final = frozenset({Verdict.ALLOW, Verdict.MFA})

_CHECKED: Final = 1_000


def say(text: str) -> None:
    """Progress, for people."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def pin_to_cpu() -> None:
    """Stay on the last CPU that this process may use: another one would have other caches."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@dataclass(frozen=True, slots=True)
class Cell:
    """A trace to be measured. `verdicts`: what the packets' verdicts may be, all of which let pass."""

    version: int
    distinct: int
    order: Order = "uniform"
    protocol: int = TCP
    verdicts: frozenset[Verdict] = PASSING

    def to_json(self) -> dict[str, Any]:
        """For a results file."""
        verdicts = "mixed" if len(self.verdicts) > 1 else min(self.verdicts).label
        return {
            "version": self.version,
            "distinct": self.distinct,
            "order": self.order,
            "protocol": "tcp" if self.protocol == TCP else "udp",
            "verdicts": verdicts,
        }


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds, packets of a run at least and at most."""

    rounds: int
    shortest: int = 8_192
    longest: int = 131_072

    def packets(self, distinct: int, hook: Hook) -> int:
        """Packets of a run, and of the one before it that brings the caches to where they would be.

        The kernel sleeps at the start of each test run of an XDP program (it patches its dispatcher),
        and what runs meanwhile has the caches: a run has to be long enough for that not to count.
        """
        return self.longest if hook == "xdp" else min(max(distinct, self.shortest), self.longest)


class Contest:
    """A policy in all contestants that can hold it: a context manager, which owns them.

    `refused` says of each of the others why. Each is checked against the reference before it is used, ours
    proved besides: `proved` is what was.
    """

    def __init__(
        self,
        generated: GeneratedPolicy,
        devices: int,
        *,
        hook: Hook = "tc",
        competitors: Iterable[str] = tuple(COMPETITORS),
        maker: TraceMaker | None = None,
    ) -> None:
        self.generated = generated
        self.devices = devices
        self.hook = hook
        self.maker = maker or TraceMaker(generated, devices)
        self.refused: dict[str, str] = {}
        self.contestants: dict[str, Contestant] = {}
        self._stack = ExitStack()
        try:
            self._make(competitors)
            self._check()
        except BaseException:
            self._stack.close()
            raise

    def _make(self, competitors: Iterable[str]) -> None:
        empty = self._stack.enter_context(
            load(build("competitors/empty.c", {"XDP": int(self.hook == "xdp")}))
        )
        self.contestants[EMPTY] = Contestant("empty", empty.programs["decide"], {}, 0, ExitStack())
        artefact = compile_parsed(self.generated.policy)
        self.proved = artefact.validation
        self._add(GATE, make_gate(artefact.data, self.generated.users, self.devices, self.hook))
        wanted = list(competitors)
        if wanted:
            model = PolicyModel(self.generated.policy, self.generated.users)
            for letter in wanted:
                say(f"  making ({letter}) for {self.generated.shape.rules:,} rules")
                try:
                    self._add(letter, COMPETITORS[letter](model, self.devices, self.hook))
                except UnsuitableError as error:
                    self.refused[letter] = str(error)

    def _add(self, letter: str, made: Contestant) -> None:
        self.contestants[letter] = self._stack.enter_context(made)

    def _check(self) -> None:
        """ReplayError unless each contestant says of packets of all kinds what the reference says."""
        for version in self.generated.shape.versions:
            sample, expected = self.maker.sample(version, _CHECKED)
            with Replay(sample, self.hook) as replay:
                for letter, one in self.contestants.items():
                    if letter != EMPTY:
                        _compare(letter, sample, expected, replay.verdicts(one.program, _CHECKED))

    def sizes(self) -> dict[str, int]:
        """Bytes of each contestant's maps."""
        return {letter: one.table_bytes for letter, one in self.contestants.items() if letter != EMPTY}

    def measure(self, cell: Cell, effort: Effort, among: Container[str] | None = None) -> dict[str, Any]:
        """Contestants, all or those of `among`, on one trace, taking turns: ns a packet over the empty
        program."""
        trace = self.maker.draw(
            cell.version, cell.distinct, cell.order, protocol=cell.protocol, verdicts=cell.verdicts
        )
        with Replay(trace, self.hook) as replay:
            taking_part = [x for x in self.contestants if among is None or x in among or x == EMPTY]
            rounds = dict.fromkeys(taking_part, 0)
            packets = effort.packets(cell.distinct, self.hook)
            runs = {x: partial(_run, replay, self.contestants[x], packets, x, rounds) for x in taking_part}
            samples = interleave(runs, effort.rounds)
        over = added(samples, EMPTY)
        shape = self.generated.shape
        return {
            **cell.to_json(),
            "hook": self.hook,
            "rules": shape.rules,
            "prefixes": shape.prefixes,
            "classes": shape.classes,
            "devices": self.devices,
            "packets_a_run": packets,
            "empty_ns": Summary.of(samples[EMPTY]).to_json(),
            "added_ns": {letter: one.to_json() for letter, one in over.items()},
        }

    def close(self) -> None:
        """Unload all."""
        self._stack.close()

    def __enter__(self) -> Contest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _run(replay: Replay, one: Contestant, packets: int, letter: str, rounds: dict[str, int]) -> float:
    # Each round goes on where the last one ended, for all contestants at the same packet. The run
    # before the one that counts brings back into the caches what the others have pushed out.
    start = 2 * packets * rounds[letter]
    rounds[letter] += 1
    replay.run(one.program, packets, start=start)
    return replay.run(one.program, packets)


def _compare(letter: str, sample: Trace, expected: Sequence[bool], found: Sequence[bool]) -> None:
    for packet, right, got in zip(sample.tuples, expected, found, strict=True):
        if right != got:
            raise ReplayError(
                f"({letter}) lets {packet} {'pass' if got else 'not pass'}, the reference says otherwise"
            )


def headline(result: Mapping[str, Any]) -> str:
    """A measured cell in a line."""
    figures = ", ".join(
        f"{letter} {one['median']:.0f} ({one['minimum']:.0f})" for letter, one in result["added_ns"].items()
    )
    return (
        f"  IPv{result['version']} {result['protocol']} {result['verdicts']} {result['hook']}"
        f" {result['distinct']:>9,} {result['order']}: {figures}"
    )
