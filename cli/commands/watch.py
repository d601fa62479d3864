"""`wardgate watch`: what a gate drops, as it happens, with the policy line that decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from wardgate.cli import options
from wardgate.cli.console import Console
from wardgate.cli.gates import open_gate
from wardgate.cli.watching import show_events

if TYPE_CHECKING:
    from wardgate.runtime.events import DropEvent


@click.command("watch")
@click.option("--as", "user", metavar="USER", help="Only packets of this user's devices.")
@click.option(
    "--reason", "reasons", metavar="REASON", multiple=True,
    help="Only packets that are dropped for this reason, such as 'no bucket'.",
)  # fmt: skip
@options.gate_name
@options.common
@options.pass_console
def watch_command(console: Console, user: str | None, reasons: tuple[str, ...], name: str | None) -> None:
    """Show the packets that a gate drops, as they come; with `swap --trace`, also those that pass.

    A device that has many dropped is shown some of them, and the count of the others. A gate's events
    have one reader: this command, or the `wardgate run` that shows them.
    """
    from wardgate.runtime.layout.codes import Reason

    console.stream = True
    known = [reason.label for reason in Reason if reason is not Reason.PASS]
    for reason in reasons:
        if reason not in known:
            raise click.UsageError(f"there is no reason {reason!r}; there are {', '.join(known)}")

    def wanted(event: DropEvent) -> bool:
        return (user is None or event.user == user) and (not reasons or event.reason.label in reasons)

    show_events(console, open_gate(name), wanted)
