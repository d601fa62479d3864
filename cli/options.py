"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeVar

import click
from wardgate.cli.console import Console
from wardgate.runtime.layout import durations

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
"""A policy file, or an artefact, that is there."""

pass_console = click.make_pass_decorator(Console)


def _set_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(Console).json |= value


def _set_verbose(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(Console).verbose |= value


def common(function: F) -> F:
    """`--json` and `--verbose`, which every command has; both end up in the Console."""
    function = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, is_eager=True, callback=_set_verbose,
        help="Say more: a rejected program's whole verifier log.",
    )(function)  # fmt: skip
    return click.option(
        "--json", "as_json", is_flag=True, expose_value=False, is_eager=True, callback=_set_json,
        help="Print one JSON document on stdout.",
    )(function)  # fmt: skip


def gate_name(function: F) -> F:
    """`--name` of a gate that is there."""
    return click.option("--name", metavar="NAME", help="Which gate; not needed where there is one.")(function)


def trace(function: F) -> F:
    """`--trace` of a gate's events."""
    return click.option(
        "--trace", is_flag=True,
        help="Tell of every packet, those that pass too: to look closer, since it costs each packet.",
    )(function)  # fmt: skip


def as_duration(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Callback of an option like `10m`: seconds."""
    if value is None:
        return None
    try:
        return durations.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def as_address(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> IPv4Address | IPv6Address | None:
    """Callback of an address, IPv4 or IPv6."""
    if value is None:
        return None
    try:
        return ip_address(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an IPv4 or IPv6 address", context, parameter) from None
