"""`wardgate gateway init`: the files of a new gateway."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from wardgate.cli import options
from wardgate.cli.console import Console

T = TypeVar("T")


@click.command("init")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    default=Path("/etc/wardgate"),
    show_default=True,
    help="For gateway.yaml and policy.yaml.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
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

    \b
    wardgate gateway init --endpoint vpn.example.org:51820
    """
    from wardgate.cli.settings_errors import DEFAULT, as_usage
    from wardgate.gateway.settings import values
    from wardgate.gateway.settings.initial import DEFAULT_ADDRESSES, Initial, initialise

    _checked("--endpoint", values.endpoint, endpoint)
    _checked("--interface", values.interface, interface)
    own = [_checked("--address", values.interface_address, text) for text in addresses]
    if len({address.version for address in own}) < len(own):
        raise click.BadParameter("one address of each version of IP at most", param_hint="--address")
    wanted = Initial(folder, state, endpoint, interface, tuple(own) or DEFAULT_ADDRESSES)
    with as_usage():
        made = asyncio.run(initialise(wanted))
    if console.json:
        document: dict[str, Any] = {
            "ok": True,
            "status": 0,
            "files": [str(path) for path in made.written],
            "kept": [str(path) for path in made.kept],
        }
        console.document(document)
        return
    for path in made.written:
        console.text(f"wrote {path}")
    for path in made.kept:
        console.text(f"kept {path}, which was there")
    file, policy = made.settings.file, shlex.quote(str(made.settings.policy))
    quoted = shlex.quote(str(file))
    other = "" if file == DEFAULT else f" --settings {quoted}"
    console.note(f"next: edit {quoted} and {policy}, then: wardgate gateway start{other}")


def _checked(option: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None
