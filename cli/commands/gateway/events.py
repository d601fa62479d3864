"""`wardgate gateway events`: logins, roams, enrolments, changes, as they happen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.failures import SYSTEM_REFUSED
from wardgate.cli.watching import until_stopped


@click.command("events")
@click.option("--only", "kinds", metavar="EVENT", multiple=True, help="Only events of this kind.")
@gateway
@options.common
@options.pass_console
def events_command(console: Console, gateway: Client, kinds: tuple[str, ...]) -> int:
    """Show what happens from now on, until interrupted; with --json a document a line.

    Exit status 3 if the gateway ends meanwhile.
    """
    console.stream = True
    with until_stopped():
        for event in gateway.lines("events"):
            if kinds and event["event"] not in kinds:
                continue
            if console.json:
                console.line(event)
            else:
                console.text(_text(event))
                sys.stdout.flush()
        console.note("wardgate: the gateway ended the stream of events")
        return SYSTEM_REFUSED
    return 0


def _text(event: Mapping[str, Any]) -> str:
    rest = [f"{name}={_value(value)}" for name, value in event.items() if name not in ("event", "time")]
    return gateway_words.plain(" ".join([event["time"], event["event"], *rest]))


def _value(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f'"{text}"' if " " in text or not text else text
