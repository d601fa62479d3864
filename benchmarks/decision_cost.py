"""What a decision costs over an empty program: a policy of 10 rules and one of 10,000, side by side.

    python -m benchmarks.decision_cost [--devices 10000] [--rounds 40] [--json]

Prints a table, in ns a packet, of TCP segments that pass gate_ingress (tc). `allow` are packets that an allow
rule lets pass, `mfa` those for which the session is looked at too, `mixed` both as the policy has them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import product
from typing import Any

from wardgate.runtime.layout.codes import Verdict
from wardgate.runtime.program import Program

from benchmarks.competitors.contestant import Contestant
from benchmarks.compiling import timed_compile
from benchmarks.contest import pin_to_cpu
from benchmarks.measured_gate import make_gate
from benchmarks.policies import Shape, generate
from benchmarks.programs import build, load
from benchmarks.replay import Replay, ReplayError
from benchmarks.sampling import Summary, added, interleave
from benchmarks.traces import Trace, TraceMaker

RULES = (10, 10_000)
DISTINCT = (1, 256, 4_096)
KINDS = {
    "allow": frozenset({Verdict.ALLOW}),
    "mfa": frozenset({Verdict.MFA}),
    "mixed": frozenset({Verdict.ALLOW, Verdict.MFA}),
}
REPEAT = 10_000
"""Packets in a run: a few milliseconds, so that most runs are not interrupted."""
CHECKED = 300


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=40, help="short runs of each")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = measure(arguments.devices, arguments.rounds)
    print(json.dumps(results, indent=1) if arguments.json else table(results))
    return 0


def measure(devices: int, rounds: int, sizes: Sequence[int] = RULES) -> dict[str, Any]:
    """All cells, for policies with these numbers of rules; see `table`."""
    compiled, cells = {}, []
    pin_to_cpu()
    with ExitStack() as stack:
        gates: dict[int, tuple[Contestant, TraceMaker]] = {}
        for rules in sizes:
            generated = generate(Shape.of_rules(rules))
            artefact, seconds = timed_compile(generated)
            compiled[rules] = {"seconds": seconds, "bytes": len(artefact.data)}
            gate = stack.enter_context(make_gate(artefact.data, generated.users, devices))
            gates[rules] = (gate, TraceMaker(generated, devices))
        empty = stack.enter_context(load(build("competitors/empty.c", {"XDP": 0}))).programs["decide"]
        for version, kind, distinct in product((4, 6), KINDS, DISTINCT):
            traces = {
                rules: (gate, maker.draw(version, distinct, verdicts=KINDS[kind]))
                for rules, (gate, maker) in gates.items()
            }
            for rules, found in _side_by_side(traces, empty, rounds).items():
                cells.append(
                    {"rules": rules, "version": version, "kind": kind, "distinct": distinct, **found}
                )
    return {"devices": devices, "compiled": compiled, "cells": cells}


def _side_by_side(
    traces: Mapping[int, tuple[Contestant, Trace]], empty: Program, rounds: int
) -> dict[int, dict[str, Any]]:
    with ExitStack() as stack:
        runs = {}
        for rules, (gate, trace) in traces.items():
            replay = stack.enter_context(Replay(trace))
            if not all(replay.verdicts(gate.program, min(CHECKED, len(trace.tuples)))):
                raise ReplayError("the gate drops a packet that the policy lets pass")
            runs["empty", rules] = partial(_run, replay, empty)
            runs["gate", rules] = partial(_run, replay, gate.program)
        samples = interleave(runs, rounds)
    found = {}
    for rules in traces:
        pair = {name: samples[name, rules] for name in ("empty", "gate")}
        cost = added(pair, "empty")["gate"]
        found[rules] = {"ns": cost.to_json(), "empty_ns": Summary.of(pair["empty"]).to_json()}
    return found


def _run(replay: Replay, program: Program) -> float:
    # Once through, for the caches that the others used since, then the run that counts.
    replay.run(program, len(replay.trace.tuples), start=0)
    return replay.run(program, REPEAT, start=0)


def table(results: dict[str, Any]) -> str:
    """The results for people."""
    sizes = list(results["compiled"])
    lines = [
        f"Added over an empty program, ns a TCP segment: median (least, spread); {results['devices']} devices"
    ]
    lines.append(f"{'':28}" + "".join(f"{rules:>9,} rules     " for rules in sizes))
    by_place = {(c["version"], c["kind"], c["distinct"], c["rules"]): c["ns"] for c in results["cells"]}
    for version in (4, 6):
        for kind in KINDS:
            for distinct in DISTINCT:
                label = f"IPv{version} {kind:6}{distinct:>6,} tuples"
                cells = []
                for rules in sizes:
                    ns = by_place[version, kind, distinct, rules]
                    cells.append(f"{ns['median']:7.1f} ({ns['minimum']:.0f}, {ns['spread']:.1f})".ljust(20))
                lines.append(f"{label:28}{''.join(cells)}")
    for rules, figures in results["compiled"].items():
        lines.append(
            f"{rules:,} rules: compiled in {figures['seconds']:.2f} s to {figures['bytes'] / 1024:,.0f} KiB"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
