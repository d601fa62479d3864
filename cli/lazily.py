"""Groups of commands whose modules are imported when they are used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

_UNCUT = 1_000
"""Of a line of help: more characters than any has."""


class Group(click.Group):
    """A group whose list of subcommands has the whole first sentence of each, and no ellipses."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click has it."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(_UNCUT)) for name, one in commands if one])


class LazyGroup(click.Group):
    """Subcommands by name: each has a module in `package`, with a command called NAME_command (dashes as
    underscores), and a line of help."""

    def __init__(
        self, *arguments: Any, package: str, modules: Mapping[str, tuple[str, str]], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._package = package
        self._modules = modules

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """As click has it."""
        return list(self._modules)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """As click has it."""
        if name not in self._modules:
            return None
        module = importlib.import_module(f"{self._package}.{self._modules[name][0]}")
        command: click.Command = getattr(module, f"{name.replace('-', '_')}_command")
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click has it, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._modules.items()])
