"""`wardgate gateway sessions`: who is logged in."""

from __future__ import annotations

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.lazily import Group


@click.group("sessions", cls=Group)
def sessions_command() -> None:
    """List and end sessions, as the kernel has them."""


@sessions_command.command("list")
@gateway
@options.common
@options.pass_console
def list_command(console: Console, gateway: Client) -> None:
    """Show each device and its session."""
    sessions = gateway.get("sessions")
    if console.json:
        console.document(sessions)
    elif not sessions:
        console.text("there are no devices")
    else:
        rows = [
            (
                gateway_words.device_name(session["device"]),
                session["state"],
                gateway_words.lasting(session["remaining"]),
                gateway_words.lasting(session["idle_limit"]),
                session["method"] or "-",
                session["endpoint"] or "-",
            )
            for session in sessions
        ]
        console.text(gateway_words.table(rows, ("device", "session", "left", "idle", "by", "endpoint")))


@sessions_command.command("end")
@click.argument("device", metavar="DEVICE")
@gateway
@options.common
@options.pass_console
def end_command(console: Console, gateway: Client, device: str) -> None:
    """End a device's session, at once. DEVICE is USER/NAME, a tunnel address, a public key or an id."""
    found = gateway.device(device)
    document = gateway.delete("sessions", found["id"])
    if console.json:
        console.document(document)
    console.text(gateway_words.plain(f"ended: {gateway_words.device_name(found)}"))
