"""An artefact as one HTML page: policy, C and BPF side by side, linked in both directions.

The page needs nothing from elsewhere. What it shows is in it as compressed JSON, and becomes text of the page
by its script, never markup: names and rules of a policy are anybody's words. A policy of its own
(Content-Security-Policy) allows the page no other script than that one, and no address to load from.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields, is_dataclass
from html import escape
from importlib import resources
from itertools import islice
from typing import Any, Final

from wardgate.compiler.codegen.specialise import TEMPLATE_FOLDER, read_template
from wardgate.compiler.collection import paused_collection
from wardgate.compiler.inspect.graph import REMEDY, Layout, cfg_dot, has_engine
from wardgate.compiler.inspect.layouts import layout_lines
from wardgate.compiler.inspect.listing import note
from wardgate.compiler.inspect.model import Function, Inspection, Origin
from wardgate.compiler.inspect.summary import summary_lines
from wardgate.compiler.inspect.table_text import entry_lines
from wardgate.compiler.inspect.tables import Tables, read_tables
from wardgate.compiler.inspect.ways import Way, Ways
from wardgate.compiler.vm.errors import VmError

_MOST_ENTRIES: Final = {"services": 2_000, "route4": 2_000, "route6": 2_000, "reach": 2_000, "judge": 100}
"""Entries of a structure of tables that the page shows."""

_MOST_OF_MANIFEST: Final = 300
"""Items of a list of the manifest that the page shows; rules are all in the page's first column."""

_FOLDER: Final = f"{TEMPLATE_FOLDER}/"


def page(inspection: Inspection, name: str) -> str:
    """The page about the artefact called `name`, which is text for people."""
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    with paused_collection():
        document = page_document(inspection, name)
    packed = gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 6, mtime=0)
    replacements = {
        "TITLE": escape(name),
        "POLICY": f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'",
        "STYLE": _asset("page.css"),
        "DATA": base64.b64encode(packed).decode(),
        "SCRIPT": script,
    }
    text = _asset("page.html")
    parts = text.split("@@")
    # Names of replacements stand at odd places, so that what is put in is not looked through again.
    return "".join(replacements[part] if place % 2 else part for place, part in enumerate(parts))


def _asset(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def page_document(inspection: Inspection, name: str) -> dict[str, Any]:
    """What the page shows, as its script takes it apart."""
    functions = tuple(inspection.functions.values())
    drawing = Layout([cfg_dot([one]) for one in functions]) if has_engine() else None
    with drawing or nullcontext():
        sources = _Sources(inspection)
        tables = read_tables(inspection.data, inspection.manifest)
        ways, complaint = _ways(inspection, tables)
        distinct = list({id(way): way for way in ways.values()}.values())
        numbers = {id(way): number for number, way in enumerate(distinct)}
        manifest = inspection.manifest
        return {
            "name": name,
            "summary": list(summary_lines(inspection, name)),
            "files": sources.files(),
            "origins": sources.origins,
            "functions": [_function(one, sources) for one in functions],
            "rules": [
                [rule.id, rule.action, rule.policy, int(rule.inbound), rule.file, rule.line, rule.text]
                for rule in manifest.rules
            ],
            "ways": [_way(way, functions) for way in distinct],
            "wayOf": [numbers[id(ways[rule.id])] if rule.id in ways else -1 for rule in manifest.rules],
            "complaint": complaint,
            "tables": [_table(structure, tables) for structure in tables.structures],
            "maps": list(layout_lines(inspection)),
            "certificate": asdict(manifest.certificate) if manifest.certificate else None,
            "manifest": _manifest(inspection),
            "graphs": drawing.results() if drawing else [],
            "remedy": REMEDY,
        }


class _Sources:
    """Files and lines that instructions stem from, each line with a number of its own."""

    def __init__(self, inspection: Inspection) -> None:
        self._numbers: dict[Origin, int] = {}
        for _, instruction in inspection.instructions:
            self._numbers.setdefault(instruction.origin, len(self._numbers))
        self._names = sorted({origin.file for origin in self._numbers})

    @property
    def origins(self) -> list[tuple[int, int]]:
        """The file (its place among `files`) and the line of each number."""
        return [(self._names.index(origin.file), origin.line) for origin in self._numbers]

    def number(self, origin: Origin) -> int:
        """The number of a line."""
        return self._numbers[origin]

    def files(self) -> list[dict[str, Any]]:
        """Each file: all its lines if it is a template that is installed as it was compiled, else those that
        instructions stem from, with their numbers."""
        by_file: dict[str, dict[int, str]] = {name: {} for name in self._names}
        for origin in self._numbers:
            by_file[origin.file][origin.line] = origin.text
        return [_file(name, known) for name, known in by_file.items()]


def _file(name: str, known: Mapping[int, str]) -> dict[str, Any]:
    template = name.startswith(_FOLDER)
    whole = _template(name, known) if template else None
    lines = list(enumerate(whole, 1)) if whole is not None else sorted(known.items())
    return {"name": name, "template": template, "whole": whole is not None, "lines": lines}


def _template(name: str, known: Mapping[int, str]) -> list[str] | None:
    """The lines of an installed template; None where another one was compiled."""
    try:
        lines = read_template(name.removeprefix(_FOLDER)).splitlines()
    except OSError:
        return None
    same = all(number <= len(lines) and lines[number - 1].strip() == text for number, text in known.items())
    return lines if same else None


def _function(function: Function, sources: _Sources) -> dict[str, Any]:
    return {
        "name": function.name,
        "hook": function.hook,
        "section": function.section,
        "size": function.size,
        "worst": function.worst,
        "blocks": [
            [len(block.instructions), [[edge.to, int(edge.back)] for edge in block.edges]]
            for block in function.blocks
        ],
        "instructions": [
            [one.slot, one.raw.hex(), one.text, note(one, block, function), sources.number(one.origin)]
            for block in function.blocks
            for one in block.instructions
        ],
    }


def _ways(inspection: Inspection, tables: Tables) -> tuple[Mapping[int, Way], str]:
    """The ways of rules, and if the interpreter cannot run the artefact why not."""
    try:
        return Ways(inspection, tables).of_rules(), ""
    except VmError as error:
        return {}, str(error)


def _way(way: Way, functions: Sequence[Function]) -> dict[str, Any]:
    bits = 0
    place = 0
    for function in functions:
        met = way.executed.get(function.name, frozenset())
        for one in function.instructions:
            if one.index in met:
                bits |= 1 << place
            place += 1
    query = way.query
    return {
        "rule": way.rule,
        "user": query.user,
        "address": str(query.address),
        "service": query.service,
        "inbound": int(query.packet.inbound),
        "authed": int(query.authed),
        "passes": int(way.passes),
        "steps": way.steps,
        "executed": base64.b64encode(bits.to_bytes(place // 8 + 1, "little")).decode(),
    }


def _table(structure: str, tables: Tables) -> dict[str, Any]:
    most = _MOST_ENTRIES[structure]
    found = list(islice(tables.entries(structure), most + 1))
    lines = [line for entry in found[:most] for line in entry_lines(entry)]
    sizes = {table.name: table.element * table.count for table in tables.described}
    return {
        "name": structure,
        "tables": [[name, sizes[name]] for name in tables.structures[structure]],
        "lines": lines,
        "more": int(len(found) > most),
    }


def _manifest(inspection: Inspection) -> dict[str, Any]:
    """The manifest but its certificate; of long lists and of objects with many keys, the first items, and
    how many more."""
    names = [field.name for field in fields(inspection.manifest) if field.name != "certificate"]
    return {name: _beginning(getattr(inspection.manifest, name)) for name in names}


def _beginning(value: Any) -> Any:
    """A field of the manifest as JSON has it, cut where it is long."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if not isinstance(value, (tuple, Mapping)):
        return value
    more = f"and {len(value) - _MOST_OF_MANIFEST:,} more" if len(value) > _MOST_OF_MANIFEST else ""
    if isinstance(value, Mapping):
        found = dict(islice(value.items(), _MOST_OF_MANIFEST))
        return {**found, "...": more} if more else found
    shown = [_beginning(item) for item in value[:_MOST_OF_MANIFEST]]
    return [*shown, more] if more else shown
