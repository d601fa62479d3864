"""From a policy to an artefact, in one call, and proof that it says what the policy means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wardgate.compiler.artefact import assemble
from wardgate.compiler.artefact.describe import describe
from wardgate.compiler.backend import Backend, Clang, build_object
from wardgate.compiler.codegen.generate import generate
from wardgate.compiler.codegen.unit import TranslationUnit
from wardgate.compiler.language import Diagnostic, Resolver, load_policy
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import Lowered, lower
from wardgate.compiler.validation import ValidationReport
from wardgate.compiler.validation import validate as prove
from wardgate.runtime.layout.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Artefact:
    """A compiled policy. `data` is the ELF object; the rest is what it was made from.

    `validation` says what was proved of `data`; None where that was not asked for.
    """

    data: bytes
    manifest: Manifest
    lowered: Lowered
    unit: TranslationUnit
    warnings: tuple[Diagnostic, ...]
    validation: ValidationReport | None


def compile_policy(
    path: Path | str,
    *,
    backend: Backend = "llvmlite",
    clang: Clang | None = None,
    resolver: Resolver | None = None,
    validate: bool = True,
) -> Artefact:
    """Compile the policy at `path`.

    `resolver` is asked for DNS names; without one they are errors. `clang` None: the one that
    `backend.find_clang` finds. `validate`: prove that the artefact's tables say what the policy means.
    Raises PolicyError where the policy is wrong, BackendError where clang or LLVM cannot be found or
    fail, ValidationError where the proof fails.
    """
    loaded = load_policy(Path(path), resolver=resolver)
    return compile_parsed(loaded.policy, loaded.warnings, backend=backend, clang=clang, validate=validate)


def compile_parsed(
    policy: Policy,
    warnings: tuple[Diagnostic, ...] = (),
    *,
    backend: Backend = "llvmlite",
    clang: Clang | None = None,
    validate: bool = True,
) -> Artefact:
    """Compile a policy that is read already; `warnings` are passed on. See `compile_policy`."""
    lowered = lower(policy)
    unit = generate(lowered)
    built = build_object(unit, backend=backend, clang=clang)
    manifest = describe(lowered, built.tools)
    tables = {table.section: table.to_bytes() for table in lowered.tables}
    data = assemble(built.data, tables, manifest)
    # Of the finished bytes, not of what they were made from: an error of the assembly is one as well.
    proved = prove(data, policy) if validate else None
    return Artefact(data, manifest, lowered, unit, warnings, proved)
