"""`wardgate gateway events`: logins, roams, dropped packets, policies, as they happen."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.failures import SYSTEM_REFUSED
from wardgate.cli.watching import until_stopped
from wardgate.gateway.events import KINDS


def _known(context: click.Context, parameter: click.Parameter, kinds: tuple[str, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KINDS:
            raise click.BadParameter(
                f"there is no event {kind!r}; there are {', '.join(KINDS)}", context, parameter
            )
    return kinds


@click.command("events")
@click.option(
    "--only", "kinds", metavar="EVENT", multiple=True, callback=_known,
    help=f"Only events of this kind: {', '.join(KINDS)}.",
)  # fmt: skip
@click.option("--as", "user", metavar="USER", help="Only what is about this user's devices.")
@gateway
@options.common
@options.pass_console
def events_command(console: Console, gateway: Client, kinds: tuple[str, ...], user: str | None) -> int:
    """Show what happens from now on, until interrupted; with --json a document a line.

    Of a device that has many packets dropped, some are shown, and the count of the others. Exit status 3 if
    the gateway ends meanwhile.

    \b
    wardgate gateway events --only drop --as alice
    """
    console.stream = True
    with until_stopped():
        for event in gateway.lines("events"):
            # What was lost may have been what is looked for.
            if event["event"] != "lost" and not (
                (not kinds or event["event"] in kinds) and (user is None or event.get("user") == user)
            ):
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
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "') else text
