"""`wardgate gateway api`: what programs can ask of a gateway."""

from __future__ import annotations

import click
from wardgate.cli import options
from wardgate.cli.console import Console


@click.command("api")
@options.common
@options.pass_console
def api_command(console: Console) -> None:
    """Print the control API's description, an OpenAPI document. No gateway has to run.

    It is served at /v1/openapi.json of the control socket too.
    """
    from wardgate.gateway.control.app import openapi_document

    console.document(openapi_document())
