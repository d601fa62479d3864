"""`wardgate schema`: the policy language as a JSON Schema, for editors."""

from __future__ import annotations

import click
from wardgate.cli import options
from wardgate.cli.console import Console


@click.command("schema")
@options.common
@options.pass_console
def schema_command(console: Console) -> int:
    """Print the policy language as a JSON Schema (draft 7).

    Editors check and complete policies by it; docs/editor.md says how.
    """
    from wardgate.compiler.language.json_schema import policy_schema

    console.document(policy_schema())
    return 0
