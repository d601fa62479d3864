"""The `wardgate` command: its subcommands, and what becomes of their failures.

A subcommand's module is imported when it is used, so that `wardgate run` on an appliance needs nothing
of the compiler, and `wardgate compile` in a pipeline nothing of netlink.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

import click
from wardgate.cli.console import Console
from wardgate.cli.failures import Failure, describe
from wardgate.cli.lazily import LazyGroup

_SIGNALLED = 128
"""Exit status of a process that a signal stopped, as shells count it: 128 + the signal's number."""

_COMMANDS = {
    "compile": ("compile", "Compile a policy into one ELF artefact."),
    "check": ("check", "Check a policy: its language, tests, assertions, lint."),
    "schema": ("schema", "Print the policy language as a JSON Schema."),
    "explain": ("explain", "Ask what the policy says about a packet, and why."),
    "diff": ("diff", "Say whose access differs between two policies."),
    "prove": ("prove", "Prove an assertion about a policy, or show a packet."),
    "inspect": ("inspect", "Look into an artefact: programs, maps, tables."),
    "run": ("run", "Load an artefact, enforce it on a device, show drops."),
    "status": ("status", "Show the gate: artefact, hooks, sessions, drops."),
    "watch": ("watch", "Show what a gate drops, as it happens."),
    "top": ("top", "Show what rules decide, live; and which decide nothing."),
    "session": ("session", "Grant, revoke and list sessions."),
    "swap": ("change", "Switch the gate to another artefact, in one step."),
    "rollback": ("change", "Switch the gate back to the artefact before."),
    "detach": ("change", "Stop enforcing and remove the gate."),
    "gateway": ("gateway", "Run and manage a gateway: users, devices, sessions."),
    "bench": ("bench", "Measure decisions on this machine (in a checkout)."),
}
"""Each subcommand: its module in cli/commands, and its line of help."""


@click.group(
    cls=LazyGroup,
    package="wardgate.cli.commands",
    modules=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(package_name="wardgate", message="wardgate %(version)s")
def commands() -> None:
    """Compile a VPN's access policy into eBPF, and enforce it on a gateway.

    Exit status: 0 fine, 1 the policy says no, 2 usage, 3 the system refused.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit status."""
    _open_streams()
    console = Console()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # Not click's own main(): it ends the process with status 1 where nobody reads stdout.
        with commands.make_context("wardgate", words, obj=console) as context:
            status = commands.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        return _lost_reader()
    except (KeyboardInterrupt, click.Abort):
        console.note("wardgate: interrupted")
        return _SIGNALLED + signal.SIGINT
    except Exception as error:
        return _fail(console, error)
    return status if isinstance(status, int) else 0


def _open_streams() -> None:
    """Where a stream was closed by whoever started this, take the null device, as daemons do: what is opened
    later must not get its number. And whatever bytes a name has, it can be printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It stays open as long as the process.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.encoding.lower() == "utf-8":
        # Of UTF-8, these are halves of surrogate pairs: bytes of arguments that are not UTF-8.
        sys.stdout.reconfigure(errors="backslashreplace")


def _fail(console: Console, error: Exception) -> int:
    failure = describe(error, verbose=console.verbose)
    try:
        _report(console, failure)
        sys.stdout.flush()
    except OSError:
        return _lost_reader(failure.status)
    return failure.status


def _report(console: Console, failure: Failure) -> None:
    if failure.text:
        console.note(failure.text)
    if console.json and not console.finished:
        console.document(failure.document)


def _lost_reader(status: int = _SIGNALLED + signal.SIGPIPE) -> int:
    """Nobody reads stdout any more: keep the interpreter from complaining when it flushes at its end."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
    return status


if __name__ == "__main__":
    sys.exit(main())
