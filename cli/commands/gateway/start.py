"""`wardgate gateway start`: the service itself."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click
from wardgate.cli import options
from wardgate.cli.console import Console
from wardgate.cli.settings_errors import settings_of, settings_option

if TYPE_CHECKING:
    from wardgate.gateway.settings import Settings


@click.command("start")
@settings_option
@options.common
@options.pass_console
def start_command(console: Console, settings_file: Path) -> None:
    """Run the gateway in the foreground, until SIGTERM or SIGINT.

    Its end, also by kill -9, changes nothing for those who are connected: the kernel goes on enforcing,
    and the next start takes over. `gateway stop` is what takes the gateway off the machine.
    """
    from wardgate.gateway.journal import set_up
    from wardgate.gateway.service.instance import running

    settings = settings_of(settings_file)
    set_up(settings.log.form, settings.log.level)
    with running(settings):
        asyncio.run(_serve(console, settings))


async def _serve(console: Console, settings: Settings) -> None:
    from wardgate.gateway.service import Gateway

    gateway = Gateway(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.end)
    await gateway.start()
    if console.json and not gateway.is_over:
        console.line({"event": "started", "interface": settings.interface})
    try:
        await gateway.wait()
    finally:
        await gateway.stop()
