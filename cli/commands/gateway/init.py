"""`wardgate gateway init`: the files of a new gateway."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import click
from wardgate.cli import options
from wardgate.cli.console import Console


@click.command("init")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/etc/wardgate"),
    show_default=True,
    help="For gateway.yaml and policy.yaml.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/lib/wardgate"),
    show_default=True,
    help="For keys and the database.",
)
@click.option(
    "--endpoint", metavar="HOST:PORT", required=True, help="Where clients reach the gateway's UDP port."
)
@click.option("--interface", metavar="NAME", default="wg0", show_default=True, help="The WireGuard device.")
@click.option(
    "--address",
    "addresses",
    metavar="ADDRESS/LENGTH",
    multiple=True,
    help="The gateway's own in the tunnel, one of each version of IP.  [default: 10.9.0.1/16 fd09::1/64]",
)
@options.common
@options.pass_console
def init_command(
    console: Console, folder: Path, state: Path, endpoint: str, interface: str, addresses: tuple[str, ...]
) -> None:
    """Write gateway.yaml with every setting explained, a policy, keys and the database.

    Files are for their owner only. Nothing that is there is replaced.
    """
    from wardgate.cli.settings_errors import as_usage
    from wardgate.gateway.settings.initial import DEFAULT_ADDRESSES, DEFAULT_PORT, Initial, initialise
    from wardgate.gateway.settings.values import interface_address

    try:
        own = [interface_address(text) for text in addresses] or list(DEFAULT_ADDRESSES)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from None
    port = endpoint.rpartition(":")[2]
    wanted = Initial(
        folder, state, endpoint, interface, int(port) if port.isdigit() else DEFAULT_PORT, tuple(own)
    )
    with as_usage():
        settings = asyncio.run(initialise(wanted))
    files = [settings.file, settings.policy, settings.private_key, settings.sealing_key, settings.database]
    if console.json:
        document: dict[str, Any] = {"ok": True, "status": 0, "files": [str(path) for path in files]}
        console.document(document)
        return
    file = shlex.quote(str(settings.file))
    for path in files:
        console.text(f"wrote {path}")
    console.note(f"next: read {file}, then: wardgate gateway start --settings {file}")
