"""A policy's files, read from the disk to be sent to a gateway, and written back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wardgate.cli import outfile
from wardgate.cli.failures import POLICY_SAYS_NO, CommandError

if TYPE_CHECKING:
    from wardgate.gateway.compiling.bundles import Bundle


def read_bundle(path: Path) -> Bundle:
    """The policy at `path` with all that it includes. PolicyError where a file cannot be read; CommandError
    where one lies outside of the main file's folder: on the gateway there is nothing around it."""
    from wardgate.compiler.language.diagnostics import Report
    from wardgate.compiler.language.files import DiskFiles
    from wardgate.compiler.language.includes import read_documents
    from wardgate.gateway.compiling.bundles import Bundle
    from wardgate.gateway.errors import InvalidError

    report = Report()
    documents = read_documents(DiskFiles(path.parent), path.name, report)
    report.raise_if_failed()
    try:
        return Bundle(path.name, {d.source.name: d.source.text for d in documents.documents})
    except InvalidError as error:
        raise CommandError(f"{error.target}: {error.cause}", error.remedy, POLICY_SAYS_NO) from None


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write all its files into `folder`, which is made; what is there already stays, and is an error."""
    for name in bundle.files:
        if (folder / name).exists():
            raise CommandError(f"{folder / name} is there already", "name another folder")
    for name, text in bundle.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        outfile.write(path, text.encode())
