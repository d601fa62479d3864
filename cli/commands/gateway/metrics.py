"""`wardgate gateway metrics`: what Prometheus would be told now."""

from __future__ import annotations

import click
from wardgate.cli import options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway


@click.command("metrics")
@click.option("--list", "listing", is_flag=True, help="Print what metrics there are, as a Markdown table.")
@gateway
@options.common
@options.pass_console
def metrics_command(console: Console, gateway: Client, listing: bool) -> None:
    """Print the gateway's metrics in Prometheus' text form; with --json as one document."""
    if listing:
        from wardgate.gateway.metrics import METRICS, table

        if console.json:
            console.document(
                [
                    {
                        "name": metric.exposed,
                        "kind": metric.kind,
                        "labels": list(metric.labels),
                        "help": metric.help,
                    }
                    for metric in METRICS
                ]
            )
        else:
            console.text(table())
        return
    text = gateway.text("metrics")
    if console.json:
        from wardgate.gateway.metrics.exposition import samples

        console.document(samples(text))
    else:
        console.text(text.rstrip("\n"))
