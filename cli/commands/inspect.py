"""`wardgate inspect`: what is in an artefact, without loading it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from wardgate.cli import options, outfile
from wardgate.cli.console import Console
from wardgate.cli.failures import USAGE, CommandError
from wardgate.cli.running import Running

if TYPE_CHECKING:
    from wardgate.compiler.inspect import Inspection, Tables
    from wardgate.compiler.inspect.model import Function


@click.command("inspect")
@click.argument("artefact", metavar="ARTEFACT", type=options.FILE)
@click.option("--listing", is_flag=True, help="The disassembly, between the lines of C and policy.")
@click.option("--maps", is_flag=True, help="How maps and tables are laid out.")
@click.option(
    "--table", "tables", metavar="NAME", multiple=True,
    help="What a table of --maps says, or services, route4, route6, reach, judge: in the policy's terms.",
)  # fmt: skip
@click.option(
    "--cfg", metavar="OUT.svg", type=click.Path(path_type=Path),
    help="Draw the control flow, of the first program unless --function names others. Needs Graphviz.",
)  # fmt: skip
@click.option(
    "--html", metavar="OUT.html", type=click.Path(path_type=Path),
    help="All of it as one page: policy, C and BPF side by side.",
)  # fmt: skip
@click.option(
    "--function", "functions", metavar="NAME", multiple=True,
    help="Only this program or function, for --listing and --cfg.",
)  # fmt: skip
@click.option(
    "--live", is_flag=True,
    help="What the kernel says of it: machine code, the verifier's work, runs, hits of rules. Needs root.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(0, 3600), default=1.0, show_default=True,
    help="How long --live counts runs; 0: not at all.",
)  # fmt: skip
@options.gate_name
@options.common
@options.pass_console
def inspect_command(
    console: Console,
    artefact: Path,
    listing: bool,
    maps: bool,
    tables: tuple[str, ...],
    cfg: Path | None,
    html: Path | None,
    functions: tuple[str, ...],
    live: bool,
    seconds: float,
    name: str | None,
) -> None:
    """Look into an artefact: what it is, its programs, its maps and tables.

    Everything comes from the artefact alone, unless --live asks the kernel about the gate that runs it;
    nothing is loaded, and no root is needed.
    """
    from wardgate.compiler.inspect import inspect_artefact

    inspection = inspect_artefact(artefact.read_bytes())
    chosen = _functions(inspection, functions)
    decoded = _tables(inspection, tables)
    running = Running.of(inspection, name, seconds) if live else None
    if cfg:
        _write_graph(inspection, chosen, cfg)
    if html:
        _write_page(inspection, artefact.name, html)
    if console.json:
        document = _document(inspection, chosen, artefact, listing, maps, decoded, tables, cfg, html)
        console.document({**document, "live": running.document() if running else None})
        return
    silent = bool(cfg or html or live)
    for line in _text(inspection, chosen, artefact, listing, maps, decoded, tables, silent=silent):
        console.text(line)
    if running:
        console.text(running.text())
    for path in filter(None, (cfg, html)):
        console.note(f"{path}: written")


def _functions(inspection: Inspection, names: tuple[str, ...]) -> list[Function]:
    """The functions that are named; all, where none is."""
    unknown = [name for name in names if name not in inspection.functions]
    if unknown:
        known = ", ".join(inspection.functions)
        raise CommandError(f"the artefact has no function {unknown[0]!r}", f"name one of {known}", USAGE)
    return [inspection.functions[name] for name in names or inspection.functions]


def _tables(inspection: Inspection, names: tuple[str, ...]) -> Tables | None:
    """The tables, where some are asked for."""
    if not names:
        return None
    from wardgate.compiler.inspect import InspectionError, read_tables

    tables = read_tables(inspection.data, inspection.manifest)
    for name in names:
        try:
            tables.find(name)
        except InspectionError as error:
            raise CommandError(f"the artefact has no table {name!r}", error.remedy, USAGE) from None
    return tables


def _write_graph(inspection: Inspection, chosen: list[Function], path: Path) -> None:
    from wardgate.compiler.inspect.graph import cfg_svg

    drawn = inspection.programs[:1] if len(chosen) == len(inspection.functions) else chosen
    outfile.write(path, cfg_svg(drawn).encode())


def _write_page(inspection: Inspection, name: str, path: Path) -> None:
    from wardgate.compiler.inspect.page import page

    outfile.write(path, page(inspection, name).encode())


def _text(
    inspection: Inspection,
    chosen: list[Function],
    artefact: Path,
    listing: bool,
    maps: bool,
    tables: Tables | None,
    names: tuple[str, ...],
    *,
    silent: bool,
) -> Iterator[str]:
    from wardgate.compiler.inspect.layouts import layout_lines
    from wardgate.compiler.inspect.listing import listing_lines
    from wardgate.compiler.inspect.summary import summary_lines
    from wardgate.compiler.inspect.table_text import table_lines

    if not (silent or listing or maps or names):
        yield from summary_lines(inspection, artefact.name)
    parts: list[Iterable[str]] = []
    if listing:
        parts.append(listing_lines(inspection, chosen))
    if maps:
        parts.append(layout_lines(inspection))
    if tables is not None:
        parts += [table_lines(tables, name) for name in names]
    for number, lines in enumerate(parts):
        if number:
            yield ""
        yield from lines


def _document(
    inspection: Inspection,
    chosen: list[Function],
    artefact: Path,
    listing: bool,
    maps: bool,
    tables: Tables | None,
    names: tuple[str, ...],
    cfg: Path | None,
    html: Path | None,
) -> dict[str, Any]:
    from wardgate.compiler.inspect.layouts import layouts_document
    from wardgate.compiler.inspect.listing import listing_document
    from wardgate.compiler.inspect.summary import summary_document
    from wardgate.compiler.inspect.table_text import table_document

    return {
        "ok": True,
        "artefact": str(artefact),
        **summary_document(inspection),
        "listing": listing_document(chosen) if listing else None,
        "layouts": layouts_document(inspection) if maps else None,
        "decoded": [table_document(tables, name) for name in names] if tables else [],
        "cfg": str(cfg) if cfg else None,
        "html": str(html) if html else None,
    }
