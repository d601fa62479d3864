"""`wardgate gateway audit`: who did what, and when."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from wardgate.cli import gateway_words, options, outfile
from wardgate.cli.console import Console, dumps
from wardgate.cli.control import Client, gateway
from wardgate.cli.failures import POLICY_SAYS_NO, USAGE, CommandError
from wardgate.cli.lazily import Group

if TYPE_CHECKING:
    from wardgate.gateway.ledger import Verified
    from wardgate.gateway.records import AuditEntry

_PAGE = 1_000


def _as_hash(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """`text`, if it is a hash of an entry."""
    if text is not None and not re.fullmatch("[0-9a-f]{64}", text):
        raise click.BadParameter(f"{text!r} is no hash: 64 digits and letters a to f")
    return text


@click.group("audit", cls=Group)
def audit_command() -> None:
    """List, verify and export the audit log.

    Each entry has the hash of the one before it: whoever keeps the last one's hash elsewhere can tell
    whether anything up to it was altered or left out.
    """


@audit_command.command("list")
@click.option(
    "--last", metavar="NUMBER", type=click.IntRange(1), default=20, show_default=True,
    help="How many, from the end.",
)  # fmt: skip
@click.option("--after", type=click.IntRange(0), metavar="NUMBER", help="All that follow this entry instead.")
@gateway
@options.common
@options.pass_console
def list_command(console: Console, gateway: Client, last: int, after: int | None) -> None:
    """Show entries, the latest last."""
    head = gateway.get("audit", "head")["number"]
    begin = max(0, head - last) if after is None else after
    entries = list(_entries(gateway, begin))
    if console.json:
        console.document(entries)
    elif not entries:
        console.text("there are no entries")
    else:
        rows = [
            (
                entry["number"],
                gateway_words.moment(entry["at"]),
                entry["actor"],
                " ".join(
                    (entry["action"], entry["target"], *(f"{k}={v}" for k, v in entry["details"].items()))
                ),
            )
            for entry in entries
        ]
        console.text(gateway_words.table(rows, ("entry", "at (UTC)", "who", "what")))


@audit_command.command("verify")
@click.option(
    "--file", "path", metavar="FILE", type=options.FILE, help="Verify an export; no gateway is asked."
)
@click.option(
    "--kept", metavar="HASH", callback=_as_hash,
    help="The last hash of an earlier time; some entry must have it.",
)  # fmt: skip
@gateway
@options.common
@options.pass_console
def verify_command(console: Console, gateway: Client, path: Path | None, kept: str | None) -> int:
    """Follow the chain of hashes. Exit status 1 if it is broken.

    A log that was cut at its end, or written anew as a whole, is unbroken: only a hash that was kept
    elsewhere (--kept) tells.
    """
    if path is None:
        found: Mapping[str, Any] = gateway.get("audit", "verify")
        known = kept is None or any(entry["hash"] == kept for entry in _entries(gateway, 0))
    else:
        from dataclasses import asdict

        from wardgate.gateway.ledger import verify

        entries = list(_read(path))
        found = asdict(verify(entries))
        known = kept is None or any(entry.hash == kept for entry in entries)
    if found["broken"] is None and not known:
        found = {**found, "cause": "no entry has the hash that was kept: the log was cut, or written anew"}
    return _verdict(console, found)


@audit_command.command("export")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Write it there instead of to stdout.",
)  # fmt: skip
@gateway
@options.common
@options.pass_console
def export_command(console: Console, gateway: Client, output: Path | None) -> int:
    """Print all entries as JSON, one a line, and say the last one's hash.

    The chain is verified on the way. Exit status 1 if it is broken.
    """
    from wardgate.gateway.ledger import verify

    console.stream = True
    found: Verified = verify(())
    written: list[str] = []
    for page in _pages(gateway, 0):
        for entry in page:
            if output is None:
                console.line(entry)
            else:
                written.append(dumps(entry))
        if found.broken is None:
            found = verify(map(_record, page), found)
    if output is not None:
        outfile.write(output, "".join(f"{line}\n" for line in written).encode())
    if found.broken is not None:
        console.note(f"wardgate: the chain is broken at entry {found.broken}: {found.cause}")
        return POLICY_SAYS_NO
    console.note(f"{found.entries:,} entries, the last one's hash is {found.hash}")
    return 0


def _verdict(console: Console, found: Mapping[str, Any]) -> int:
    broken = bool(found["cause"])
    status = POLICY_SAYS_NO if broken else 0
    place = "" if found["broken"] is None else f" at entry {found['broken']}"
    if console.json:
        console.document({"ok": not broken, "status": status, **found})
    elif broken:
        console.text(f"BROKEN{place}: {found['cause']}")
    else:
        console.text(f"{found['entries']:,} entries, unbroken; the last one's hash is {found['hash']}")
    return status


def _pages(gateway: Client, after: int) -> Iterator[list[dict[str, Any]]]:
    while True:
        page: list[dict[str, Any]] = gateway.get("audit", after=after, limit=_PAGE)
        if not page:
            return
        yield page
        after = page[-1]["number"]


def _entries(gateway: Client, after: int) -> Iterator[dict[str, Any]]:
    for page in _pages(gateway, after):
        yield from page


def _read(path: Path) -> Iterator[AuditEntry]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _record(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise CommandError(
                    f"{path}:{number}: no entry of an audit log: {error}",
                    "give what audit export wrote",
                    USAGE,
                ) from None


def _record(entry: Any) -> AuditEntry:
    from wardgate.gateway.records import AuditEntry
    from wardgate.runtime.layout import typed_json

    return typed_json.read(AuditEntry, entry)
