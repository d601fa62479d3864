"""Errors of gateway.yaml: they are told as a policy's are, but are about how the gateway is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from wardgate.cli.failures import USAGE, CommandError

if TYPE_CHECKING:
    from wardgate.gateway.settings import Settings

DEFAULT = Path("/etc/wardgate/gateway.yaml")

settings_option = click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    default=DEFAULT,
    show_default=True,
    envvar="WARDGATE_GATEWAY_SETTINGS",
    help="The gateway's settings.",
)
"""Which gateway.yaml."""


def settings_of(path: Path) -> Settings:
    """The settings in a file; CommandError."""
    from wardgate.gateway.settings import read_settings

    if not path.exists():
        raise CommandError(f"{path}: there is no such file", "`wardgate gateway init` writes one", USAGE)
    with as_usage():
        return read_settings(path)


@contextmanager
def as_usage() -> Iterator[None]:
    """What is wrong with settings, with the exit status of usage."""
    from wardgate.compiler.language import PolicyError

    try:
        yield
    except PolicyError as error:
        count = len(error.errors)
        message = f"{error}\n{count} mistake{'s' * (count != 1)} in the gateway's settings"
        raise CommandError(message, "", USAGE) from None
