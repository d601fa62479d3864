"""`wardgate compile`: a policy into one artefact, or into the texts on the way to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from wardgate.cli import certificate, columns, options, outfile, size
from wardgate.cli.console import Console
from wardgate.cli.failures import USAGE, CommandError
from wardgate.cli.resolving import resolve_option

if TYPE_CHECKING:
    from wardgate.compiler import Artefact
    from wardgate.compiler.backend import Backend, Clang
    from wardgate.compiler.language import Diagnostic, Resolver
    from wardgate.compiler.lowering.lowered import Lowered

_STDOUT = "-"


def _as_size(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else size.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


@click.command("compile")
@click.argument("policy", metavar="POLICY", type=options.FILE)
@click.option(
    "-o", "--output", metavar="OUT.o", type=click.Path(path_type=Path),
    help="Where to write; - is stdout. Left out: POLICY's name with .o, here; stdout for --emit.",
)  # fmt: skip
@click.option(
    "--backend", type=click.Choice(["llvmlite", "clang"]), default="llvmlite", show_default=True,
    help="llvmlite: clang's front end and llvmlite's LLVM; clang: all by clang.",
)  # fmt: skip
@click.option("--clang", metavar="PATH", help="The clang to use, instead of the one that is found.")
@click.option(
    "--emit", type=click.Choice(["c", "ir", "asm", "tables"]),
    help="Write the generated C, LLVM's IR, the BPF assembly or the tables instead.",
)  # fmt: skip
@click.option(
    "--no-validate", is_flag=True,
    help="Do not prove that the artefact says what the policy means. Only to find a fault of the compiler.",
)  # fmt: skip
@click.option(
    "--budget", metavar="SIZE", callback=_as_size,
    help="Bytes that tables and tunnel indexes may take, such as 64MiB. Left out: as many as are worth it.",
)  # fmt: skip
@resolve_option
@options.common
@options.pass_console
def compile_command(
    console: Console,
    policy: Path,
    output: Path | None,
    backend: Backend,
    clang: str | None,
    emit: str | None,
    no_validate: bool,
    budget: int | None,
    resolver: Resolver,
) -> None:
    """Compile a policy into one ELF artefact.

    The same policy gives the same bytes, on any machine and from any folder. They are read back and
    compared with what the policy means, for every user, address and service, before they are written.
    What the artefact will cost on a gate is said with it.
    """
    if emit:
        _emit(console, policy, output, emit, backend, clang, budget, resolver)
        return
    from wardgate.compiler import compile_policy

    target = Path(f"{policy.stem}.o") if output is None else output
    to_stdout = str(target) == _STDOUT
    if to_stdout and (console.json or sys.stdout.isatty()):
        raise CommandError("an artefact is no text for a terminal or a JSON document", "name a file", USAGE)
    began = time.monotonic()
    artefact = compile_policy(
        policy,
        backend=backend,
        clang=_clang(clang),
        resolver=resolver,
        validate=not no_validate,
        budget=budget,
    )
    seconds = time.monotonic() - began
    _warn(console, artefact.warnings)
    if to_stdout:
        sys.stdout.buffer.write(artefact.data)
    else:
        outfile.write(target, artefact.data)
    _report(console, artefact, str(target), seconds)


def _clang(path: str | None) -> Clang | None:
    from wardgate.compiler.backend import find_clang

    return find_clang(path) if path else None


def _warn(console: Console, warnings: tuple[Diagnostic, ...]) -> None:
    console.warnings([diagnostic.render() for diagnostic in warnings])


_NOT_VALIDATED = """\
NOT VALIDATED: nobody has checked that this artefact says what the policy means.
  It may let through what the policy denies. Do not load it on a gateway; compile without --no-validate."""


def _report(console: Console, artefact: Artefact, target: str, seconds: float) -> None:
    manifest, proved = artefact.manifest, artefact.validation
    sizes = {table.name: table.element * table.count for table in manifest.tables}
    document: dict[str, Any] = {
        "ok": True,
        "output": target,
        "bytes": len(artefact.data),
        "digest": manifest.digest,
        "rules": len(manifest.rules),
        "buckets": len(manifest.buckets),
        "policy_classes": manifest.classes - 1,
        "tables": sizes,
        "resolved": {name: list(addresses) for name, addresses in manifest.resolved.items()},
        "tools": dict(manifest.tools),
        "certificate": asdict(manifest.certificate) if manifest.certificate else None,
        "validation": {**asdict(proved), "verdicts": proved.verdicts} if proved else None,
        "seconds": round(seconds, 3),
        "diagnostics": [diagnostic.to_json() for diagnostic in artefact.warnings],
    }
    if console.json:
        console.document(document)
    tools = ", ".join(f"{name} {version}" for name, version in manifest.tools.items())
    console.note(
        f"{target}: {len(artefact.data):,} bytes, of which {sum(sizes.values()):,} in {len(sizes)} tables; "
        f"{len(manifest.rules)} rules,\n  {manifest.classes - 1} policy classes, {len(manifest.buckets)} "
        f"buckets; {seconds:.1f} s by {tools}"
    )
    if manifest.certificate:
        for line in certificate.lines(manifest.certificate):
            console.note(f"  {line}")
    if proved is None:
        console.warn(_NOT_VALIDATED)
        return
    console.note(
        f"  validated: {proved.verdicts:,} verdicts, all of {proved.classes:,} classes of users, "
        f"{proved.directions} direction{'s' * (proved.directions != 1)},\n"
        f"  {proved.destination_intervals:,} intervals of addresses, {proved.service_intervals:,} of services"
    )


def _emit(
    console: Console,
    policy: Path,
    output: Path | None,
    form: str,
    backend: Backend,
    clang: str | None,
    budget: int | None,
    resolver: Resolver,
) -> None:
    from wardgate.compiler.backend import emit_asm, emit_ir
    from wardgate.compiler.codegen.generate import generate
    from wardgate.compiler.costs import planner
    from wardgate.compiler.language import load_policy
    from wardgate.compiler.lowering.lowered import lower

    loaded = load_policy(policy, resolver=resolver)
    _warn(console, loaded.warnings)
    lowered = lower(loaded.policy, planner(loaded.policy, budget))
    if form == "tables":
        text = "\n".join(_tables(lowered)) + "\n"
    elif form == "c":
        text = generate(lowered).text
    else:
        make = emit_ir if form == "ir" else emit_asm
        text = make(generate(lowered), backend=backend, clang=_clang(clang))
    if output is not None and str(output) != _STDOUT:
        outfile.write(output, text.encode())
        text = ""
    if console.json:
        console.document({"ok": True, "emit": form, "output": str(output) if output else None, "text": text})
    else:
        sys.stdout.write(text)


def _tables(lowered: Lowered) -> Iterator[str]:
    """The tables as text: each under its name, equal neighbours in one line."""
    yield "parameters"
    yield columns.align([(f"  {name}", f"{value}") for name, value in lowered.parameters.items()], limit=1000)
    for table in lowered.tables:
        yield f"\n{table.name}: {len(table.values)} of {table.element} bytes, {table.doc}"
        index = 0
        for value, run in groupby(table.values):
            length = sum(1 for _ in run)
            last = f"-{index + length - 1}" if length > 1 else ""
            yield f"  {index}{last} = {value}"
            index += length
