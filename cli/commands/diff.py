"""`wardgate diff`: whose access differs between two policies or artefacts, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from wardgate.cli import options
from wardgate.cli.console import Console
from wardgate.cli.engines import read_source
from wardgate.cli.failures import POLICY_SAYS_NO
from wardgate.cli.resolving import resolve_option

if TYPE_CHECKING:
    from wardgate.compiler.analysis.view import View
    from wardgate.compiler.language import Resolver


@click.command("diff")
@click.argument("old", metavar="OLD", type=options.FILE)
@click.argument("new", metavar="NEW", type=options.FILE)
@click.option("--markdown", is_flag=True, help="Write a comment for a review.")
@click.option("--all", "everything", is_flag=True, help="Show all changes and names, however many.")
@resolve_option
@options.common
@options.pass_console
def diff_command(
    console: Console, old: Path, new: Path, markdown: bool, everything: bool, resolver: Resolver
) -> int:
    """Say what differs in meaning between two policies or artefacts, and for whom.

    Exit status 1 if access widens: if any packet passes that did not before.
    """
    from wardgate.compiler.analysis.diff import compare

    if markdown and console.json:
        raise click.UsageError("--markdown and --json exclude each other")
    found = compare(_view(old, resolver), _view(new, resolver))
    status = POLICY_SAYS_NO if found.widens else 0
    if console.json:
        from wardgate.compiler.analysis.documents import difference_document

        console.document({"ok": not found.widens, "status": status, **difference_document(found)})
    elif markdown:
        from wardgate.cli.difference_markdown import written

        console.text(written(found))
    else:
        from wardgate.compiler.analysis.difference_text import shown

        console.text("\n\n".join(shown(found, everything=everything)))
        console.text(f"Exit status {status}.")
    return status


def _view(path: Path, resolver: Resolver) -> View:
    source = read_source(path, resolver)
    if source.artefact is not None:
        from wardgate.compiler.analysis.artefact_view import view_of_artefact

        return view_of_artefact(source.artefact, str(path))
    from wardgate.compiler.analysis.policy_view import view_of_policy

    if source.policy is None:
        raise AssertionError("neither policy nor artefact")
    return view_of_policy(source.policy, str(path))
