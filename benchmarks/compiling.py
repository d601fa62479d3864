"""What compiling costs: seconds, bytes on disk and in the kernel, instructions that the verifier follows."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from wardgate.compiler.compile import Artefact, compile_policy
from wardgate.runtime.elf import read_artefact

from benchmarks.contest import say
from benchmarks.measured_gate import make_gate
from benchmarks.policies import GeneratedPolicy, Shape, generate
from benchmarks.programs import load
from benchmarks.sampling import Summary


def measure(rules: tuple[int, ...], devices: int, runs: int) -> list[dict[str, Any]]:
    """For each number of rules; the largest policy is compiled once."""
    # The first use of a module or a compiler loads it, which is no cost of a policy.
    timed_compile(generate(Shape.of_rules(10)))
    found = []
    for count in rules:
        say(f"compiling {count:,} rules")
        generated = generate(Shape.of_rules(count))
        taken = [timed_compile(generated) for _ in range(runs if count < max(rules) else 1)]
        artefact = taken[0][0]
        shape = generated.shape
        with make_gate(artefact.data, generated.users, devices) as gate:
            kernel_bytes = gate.table_bytes
        found.append(
            {
                "rules": shape.rules,
                "prefixes": shape.prefixes,
                "classes": shape.classes,
                "devices": devices,
                "seconds": Summary.of([seconds for _, seconds in taken]).to_json(),
                "artefact_bytes": len(artefact.data),
                "table_bytes": sum(t.element * t.count for t in artefact.manifest.tables),
                "kernel_bytes": kernel_bytes,
                "verified": verified(artefact.data),
            }
        )
    return found


def timed_compile(generated: GeneratedPolicy) -> tuple[Artefact, float]:
    """The artefact of a policy, and the seconds from its file on disk to it, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "policy.json")
        path.write_text(generated.text, encoding="utf-8")
        start = time.perf_counter()
        artefact = compile_policy(path)
        return artefact, time.perf_counter() - start


def verified(artefact: bytes) -> dict[str, int]:
    """Instructions that the kernel's verifier processed, by program."""
    with load(read_artefact(artefact)) as loaded:
        return {name: one.info.verified_instructions for name, one in loaded.programs.items()}
