"""Run a command of this checkout on another kernel: `python -m kernelvm SERIES [OPTIONS] -- COMMAND`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from kernelvm.cache import kernel_cache
from kernelvm.machine import GuestError, Task, run
from kernelvm.packages import KernelUnavailableError, prepare


def main() -> int:
    """Exit status: the command's, or 3 where the kernel or the guest failed."""
    parser = argparse.ArgumentParser(prog="python -m kernelvm", description=__doc__)
    parser.add_argument("series", help="a kernel series, such as 6.1")
    parser.add_argument("--extra", action="append", default=[], help="an extra of Wardgate")
    parser.add_argument("--tool", action="append", default=[], type=Path, help="a program to take along")
    parser.add_argument("--file", action="append", default=[], type=Path, help="a file or folder")
    parser.add_argument("--memory", type=int, default=2048, help="MiB")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds")
    parser.add_argument("--console", action="store_true", help="show the console too")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    task = Task(
        asked.command, files=asked.file, tools=asked.tool, extras=asked.extra, memory=asked.memory,
        timeout=asked.timeout,
    )  # fmt: skip
    try:
        kernel = prepare(asked.series, kernel_cache())
        with tempfile.TemporaryDirectory(prefix="kernelvm-") as folder:
            outcome = run(kernel, task, Path(folder))
    except (KernelUnavailableError, GuestError) as error:
        print(error, file=sys.stderr)
        return 3
    if asked.console:
        print(outcome.console, file=sys.stderr)
    print("\n".join(outcome.lines))
    print(f"{kernel.release}: {outcome.seconds:.1f} s, exit status {outcome.status}", file=sys.stderr)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
