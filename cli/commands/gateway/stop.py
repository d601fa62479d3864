"""`wardgate gateway stop`: take the gateway off the machine."""

from __future__ import annotations

from pathlib import Path

import click
from wardgate.cli import options
from wardgate.cli.console import Console
from wardgate.cli.settings_errors import settings_of, settings_option


@click.command("stop")
@settings_option
@click.option("--keep", is_flag=True, help="End the process only: the kernel goes on enforcing.")
@options.common
@options.pass_console
def stop_command(console: Console, settings_file: Path, keep: bool) -> None:
    """End the gateway's process, and remove tunnel, gate and masquerading.

    Sessions end. Settings, keys and the database stay: `gateway start` begins where this left off.
    """
    from wardgate.gateway.service import take_down
    from wardgate.gateway.service.instance import ended

    settings = settings_of(settings_file)
    with ended(settings) as process:
        if not keep:
            take_down(settings)
    if console.json:
        console.document({"ok": True, "status": 0, "process": process, "removed": not keep})
        return
    told = f"process {process} ended" if process else "no process ran it"
    console.text(f"{settings.interface}: {told}{'' if keep else '; tunnel, gate and masquerading removed'}")
