"""Finding the gate that a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wardgate.cli.failures import SYSTEM_REFUSED, USAGE, CommandError

if TYPE_CHECKING:
    from wardgate.runtime.gate import Gate


def open_gate(name: str | None) -> Gate:
    """The gate called `name`, or the only one there is. CommandError where that names none or several."""
    from wardgate.runtime.gate import Gate

    return Gate.open(name or _only_name())


def _only_name() -> str:
    from wardgate.runtime.pins import gate_names

    names = gate_names()
    if not names:
        raise CommandError("there is no gate on this machine", "start one with wardgate run", SYSTEM_REFUSED)
    if len(names) > 1:
        raise CommandError(
            f"there are {len(names)} gates on this machine: {', '.join(names)}",
            "say which one with --name",
            USAGE,
        )
    return names[0]
