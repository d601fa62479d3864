"""Entries of tables as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from wardgate.compiler.inspect.tables import (
    Entry,
    JudgeEntry,
    RawRun,
    ReachEntry,
    RouteEntry,
    Ruling,
    ServiceEntry,
    Tables,
)
from wardgate.runtime.layout.manifest import RuleSource

_MOST_USERS: Final = 4


def table_lines(tables: Tables, name: str) -> Iterator[str]:
    """What the structure or table `name` says: first in the policy's terms, then, of a table, its entries.

    Raises InspectionError for a name that there is not, ValidationError for tables that do not fit.
    """
    structure, table = tables.find(name)
    if structure is not None:
        yield f"{structure}: what {', '.join(tables.structures[structure])} say{_s(tables, structure)}"
        for entry in tables.entries(structure):
            yield from entry_lines(entry)
    if table is not None:
        yield f"{'' if structure is None else chr(10)}{table}: its entries"
        for run in tables.raw(table):
            yield f"  {_range(run)} = {run.value:#x}"


def _s(tables: Tables, structure: str) -> str:
    return "s" if len(tables.structures[structure]) == 1 else ""


def _range(run: RawRun) -> str:
    return f"{run.first}" if run.first == run.last else f"{run.first}-{run.last}"


def entry_lines(entry: Entry) -> Iterator[str]:
    """An entry for people."""
    match entry:
        case ServiceEntry():
            yield f"  service class {entry.service_class}: {' '.join(entry.services)}"
        case RouteEntry():
            where = entry.first if entry.first == entry.last else f"{entry.first} - {entry.last}"
            what = entry.prefix or "no rule is about it"
            yield f"  {where}: destination class {entry.destination_class}, {what}"
        case ReachEntry():
            users = ", ".join(entry.users[:_MOST_USERS]) or "users not named"
            if len(entry.users) > _MOST_USERS:
                users += f" and {len(entry.users) - _MOST_USERS} more"
            way = "from" if entry.inbound else "to"
            of = f", of {entry.bucket_prefix}" if entry.bucket_prefix != entry.prefix else ""
            yield f"  class {entry.policy_class} ({users}) {way} {entry.prefix}: bucket {entry.bucket}{of}"
        case JudgeEntry():
            yield f"  bucket {entry.bucket}, {'from' if entry.inbound else 'to'} {entry.prefix}"
            for ruling in (*entry.rulings, entry.fragment):
                yield f"    {ruling.verdict:6}{' '.join(ruling.services)}; {rule_text(ruling.rule)}"


def rule_text(rule: RuleSource | None) -> str:
    """A rule by its place and words, as `wardgate explain` names it."""
    return f'{rule.file}:{rule.line}:{rule.column} "{rule.text}"' if rule else "no rule"


def table_document(tables: Tables, name: str) -> dict[str, Any]:
    """As docs/json.md describes it. Raises what table_lines raises."""
    structure, table = tables.find(name)
    return {
        "name": name,
        "structure": structure,
        "tables": list(tables.structures[structure]) if structure else [],
        "entries": [entry_document(entry) for entry in tables.entries(structure)] if structure else [],
        "raw": [asdict(run) for run in tables.raw(table)] if table else None,
    }


def entry_document(entry: Entry) -> dict[str, Any]:
    """An entry's fields; a rule as an answer of `explain` has it."""
    if isinstance(entry, JudgeEntry):
        rulings = [_ruling(ruling) for ruling in entry.rulings]
        kept = {"bucket": entry.bucket, "prefix": entry.prefix, "inbound": entry.inbound}
        return {**kept, "rulings": rulings, "fragment": _ruling(entry.fragment)}
    return asdict(entry)


def _ruling(ruling: Ruling) -> dict[str, Any]:
    rule = ruling.rule
    place = {"file": rule.file, "line": rule.line, "column": rule.column, "text": rule.text} if rule else None
    return {"services": list(ruling.services), "verdict": ruling.verdict, "rule": place}
