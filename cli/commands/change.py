"""`wardgate swap`, `rollback` and `detach`: changing what a gate enforces."""

from __future__ import annotations

from pathlib import Path

import click
from wardgate.cli import options
from wardgate.cli.commands.status import document
from wardgate.cli.console import Console
from wardgate.cli.gates import open_gate


@click.command("swap")
@click.argument("artefact", metavar="ARTEFACT", type=options.FILE)
@options.trace
@options.gate_name
@options.common
@options.pass_console
def swap_command(console: Console, artefact: Path, trace: bool, name: str | None) -> None:
    """Switch the gate to another artefact, in one step.

    Sessions stay. The policy before stays loaded, for `wardgate rollback`.
    """
    from wardgate.runtime.elf import read_artefact
    from wardgate.runtime.generation import traced

    spec = read_artefact(artefact.read_bytes())
    gate = open_gate(name)
    gate.swap(traced(spec) if trace else spec)
    status = gate.status()
    if console.json:
        console.document(document(status))
    console.text(f"{status.name}: generation {status.generation} decides now, {status.digest[:12]}")


@click.command("rollback")
@options.gate_name
@options.common
@options.pass_console
def rollback_command(console: Console, name: str | None) -> None:
    """Switch the gate back to the policy before the last swap."""
    gate = open_gate(name)
    gate.rollback()
    status = gate.status()
    if console.json:
        console.document(document(status))
    console.text(f"{status.name}: generation {status.generation} decides again, {status.digest[:12]}")


@click.command("detach")
@options.gate_name
@options.common
@options.pass_console
def detach_command(console: Console, name: str | None) -> None:
    """Stop enforcing: take the programs off the device and remove all that the gate pinned.

    From then on every packet passes, and all sessions are gone.
    """
    gate = open_gate(name)
    gate.detach()
    if console.json:
        console.document({"ok": True, "name": gate.name})
    console.text(f"{gate.name}: detached; nothing is enforced any more")
