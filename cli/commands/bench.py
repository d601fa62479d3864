"""`wardgate bench`: what decisions cost on this machine, beside what others do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
from wardgate.cli import options
from wardgate.cli.console import Console
from wardgate.cli.failures import SYSTEM_REFUSED, CommandError

_SUITE = Path(__file__).resolve().parents[2] / "benchmarks" / "run.py"
"""Beside this package in a checkout; the suite is not installed."""


@click.command("bench")
@click.option("--quick", is_flag=True, help="Small policies and few runs: less than a minute.")
@click.option(
    "--filters", metavar="FILE", type=options.FILE, multiple=True, help="Measure a ClassBench filter set too."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where results go.",
)
@options.common
@options.pass_console
def bench_command(console: Console, quick: bool, filters: tuple[Path, ...], output: Path | None) -> int:
    """Run the benchmark suite of a checkout; docs/benchmarks.md says what it measures.

    Without --quick it takes the better part of an hour, and its figures are worth most on a machine that
    does nothing else.
    """
    if not _SUITE.is_file():
        raise CommandError(
            "the benchmark suite is not installed with Wardgate",
            "clone the repository and run `make bench` in it",
        )
    if output is not None and not os.access(output.parent, os.W_OK):
        # Not after an hour.
        raise CommandError(f"{output.parent}: there is no such folder, or nothing can be written to it")
    words = [
        sys.executable,
        str(_SUITE),
        *(["--quick"] if quick else []),
        *(["--json"] if console.json else []),
    ]
    words += [word for path in filters for word in ("--filters", str(path))]
    words += ["--output", str(output)] if output else []
    sys.stdout.flush()
    status = subprocess.run(words, check=False).returncode  # noqa: S603 - this interpreter and our own script
    if status:
        raise CommandError("the benchmark suite failed; see its messages above", status=_status(status))
    console.finished = True
    return 0


def _status(status: int) -> int:
    return status if 0 < status <= SYSTEM_REFUSED else SYSTEM_REFUSED
