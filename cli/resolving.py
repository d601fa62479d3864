"""DNS names of a policy: what `--resolve` says, then what the system says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from wardgate.compiler.language import Resolver
    from wardgate.compiler.language.model import Address

F = TypeVar("F", bound=Callable[..., Any])


def resolve_option(function: F) -> F:
    """`--resolve NAME=ADDRESS[,ADDRESS]`, as many as wanted; `resolver` gets the Resolver."""
    return click.option(
        "--resolve", "resolver", metavar="NAME=ADDRESS[,ADDRESS]", multiple=True, callback=_parse,
        help="Answer for a DNS name of the policy instead of the system's resolver.",
    )(function)  # fmt: skip


def _parse(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Resolver:
    given: dict[str, tuple[Address, ...]] = {}
    for value in values:
        name, equals, addresses = value.partition("=")
        try:
            if not equals or not name:
                raise ValueError(f"{value!r} is not NAME=ADDRESS[,ADDRESS]")
            given[name.lower().removesuffix(".")] = tuple(ip_address(a.strip()) for a in addresses.split(","))
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from None

    def resolve(name: str) -> Sequence[Address]:
        known = given.get(name.lower().removesuffix("."))
        if known is not None:
            return known
        from wardgate.compiler.language import system_resolver

        return system_resolver()(name)

    return resolve
