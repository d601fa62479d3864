"""What `wardgate check` costs: seconds of the whole command, and the most memory that it holds.

    python -m benchmarks.checking [--json] [RULES ...]

Needs neither root nor a compiler. Without numbers it checks 1,000, 10,000 and 100,000 rules.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.policies import Shape, document
from benchmarks.sampling import Summary

RULES: Final = (1_000, 10_000, 100_000)
_ONCE: Final = 100_000
"""From so many rules on, one run is enough."""
_FINDINGS: Final = re.compile(rb"(\d+) findings?")


def measure(rules: Sequence[int], runs: int) -> list[dict[str, Any]]:
    """For each number of rules."""
    found = []
    for count in rules:
        shape = Shape.of_rules(count)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "policy.json")
            path.write_text(json.dumps(document(shape), indent=1), encoding="utf-8")
            taken = [timed_check(path) for _ in range(runs if count < _ONCE else 1)]
        found.append(
            {
                "rules": shape.rules,
                "prefixes": shape.prefixes,
                "classes": shape.classes,
                "findings": taken[0].findings,
                "seconds": Summary.of([one.seconds for one in taken]).to_json(),
                "cpu_seconds": Summary.of([one.cpu_seconds for one in taken]).to_json(),
                "memory_bytes": max(one.memory for one in taken),
            }
        )
    return found


@dataclass(frozen=True, slots=True)
class Check:
    """A check in a process of its own: seconds until it ended, seconds that it had a processor, the most
    bytes that it held, and how much it found."""

    seconds: float
    cpu_seconds: float
    memory: int
    findings: int


def timed_check(path: Path) -> Check:
    """Check the policy at `path`."""
    command = [sys.executable, "-m", "wardgate.cli.main", "check", str(path)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own command
        assert process.stdout is not None  # noqa: S101 - it was asked for
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    # Kilobytes on Linux (getrusage(2)).
    cpu = usage.ru_utime + usage.ru_stime
    return Check(seconds, cpu, usage.ru_maxrss * 1024, int(_FINDINGS.findall(said)[-1]))


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("rules", type=int, nargs="*", default=RULES, help="how many rules")
    given = parser.parse_args(arguments)
    results = measure(given.rules, runs=5)
    if given.json:
        print(json.dumps(results, indent=1))
        return 0
    for row in results:
        seconds, cpu = row["seconds"]["median"], row["cpu_seconds"]["median"]
        print(
            f"{row['rules']:>8,} rules, {row['classes']:,} policy classes: {seconds:.1f} s ({cpu:.1f} s of a "
            f"processor), {row['memory_bytes'] / 2**20:.0f} MiB, {row['findings']:,} findings"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
