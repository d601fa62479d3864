"""The benchmark suite.

    python -m benchmarks.run [--quick] [--filters FILE]... [--json] [-o RESULTS.json]
    python -m benchmarks.run --report RESULTS.json

Needs root, since it loads programs and makes namespaces; all that it makes ends with it. The results go into
a JSON file, from which `--report` writes docs/benchmarks.md and its plots. `--quick` shows in less than a
minute that everything runs; its figures are of small policies and few runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):
    # Run as a file, Python looks for modules beside it.
    sys.path[0] = str(ROOT)

FORMAT: Final = 1
DEFAULT_RESULTS: Final = ROOT / "benchmarks" / "results.json"


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small policies and few runs")
    parser.add_argument("--filters", type=Path, action="append", default=[], help="a ClassBench filter set")
    parser.add_argument("--json", action="store_true", help="print the results instead of a summary")
    parser.add_argument("-o", "--output", type=Path, default=None, help=f"default: {DEFAULT_RESULTS.name}")
    parser.add_argument("--report", type=Path, help="write docs/benchmarks.md from these results and exit")
    given = parser.parse_args(arguments)
    if given.report:
        return _report(given.report)
    missing = [str(path) for path in given.filters if not path.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    if os.geteuid() != 0:
        print("benchmarks load programs and make namespaces: run them as root", file=sys.stderr)
        return 3
    results = measure(quick=given.quick, filters=given.filters)
    text = json.dumps(results, indent=1) + "\n"
    output = given.output or (None if given.quick else DEFAULT_RESULTS)
    if output:
        output.write_text(text, encoding="utf-8")
        print(f"results: {output}", file=sys.stderr)
    if given.json:
        print(text, end="")
    else:
        from benchmarks.bar import rows, table

        print(table(rows(results)))
    return 0


def measure(*, quick: bool, filters: list[Path]) -> dict[str, Any]:
    """Everything, as the results file has it."""
    from benchmarks import changes, compiling, decisions, latency, machine, packets
    from benchmarks.contest import pin_to_cpu

    start = time.monotonic()
    cpus = os.sched_getaffinity(0)
    plan = decisions.QUICK if quick else decisions.FULL
    results: dict[str, Any] = {"format": FORMAT, "quick": quick, "machine": machine.describe()}
    results["packets"] = (
        packets.measure(rules=200, devices=100, rounds=5, bulk_mib=32, datagrams=5_000)
        if quick
        else packets.measure(rules=1_000, devices=1_000, rounds=40, bulk_mib=256, datagrams=20_000)
    )
    pin_to_cpu()
    try:
        results["latency"] = latency.measure(latency.SIZES, rounds=3 if quick else 15)
        results["decisions"] = decisions.measure(plan)
        results["filters"] = decisions.measure_filters(filters, plan)
    finally:
        os.sched_setaffinity(0, cpus)
    # Compilers work beside the process, on whatever CPUs there are.
    results["compiling"] = compiling.measure(plan.rules, plan.devices, runs=1 if quick else 5)
    results["changes"] = changes.measure(500, 200, 2) if quick else changes.measure(10_000, 1_000, 10)
    results["seconds"] = round(time.monotonic() - start)
    return results


def _report(path: Path) -> int:
    from benchmarks.report import ReportError, write

    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if results.get("format") != FORMAT:
            raise ReportError(f"format {results.get('format')}, this release writes {FORMAT}: measure again")
        written = write(results, ROOT / "docs")
    except (OSError, ValueError, ReportError) as error:
        print(f"cannot report {path}: {error}", file=sys.stderr)
        return 1
    for one in written:
        print(one.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
