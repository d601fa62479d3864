"""From a policy to an artefact, in one call, and proof that it says what the policy means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wardgate.compiler.artefact import assemble
from wardgate.compiler.artefact.describe import describe
from wardgate.compiler.backend import Backend, Clang, build_object
from wardgate.compiler.codegen.generate import generate
from wardgate.compiler.codegen.unit import TranslationUnit
from wardgate.compiler.costs import certify, justify, planner
from wardgate.compiler.language import Diagnostic, Resolver, load_policy
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import Lowered, lower
from wardgate.compiler.lowering.plan import Choose
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
    budget: int | None = None,
) -> Artefact:
    """Compile the policy at `path`.

    `resolver` is asked for DNS names; without one they are errors. `clang` None: the one that
    `backend.find_clang` finds. `validate`: prove that the artefact's tables say what the policy means.
    `budget`: bytes that tables and indexes of tunnel addresses may take at most (docs/costs.md); None: as
    many as they are worth.
    Raises PolicyError where the policy is wrong, BudgetError where it is too large for the budget or for
    any kernel, BackendError where clang or LLVM cannot be found or fail, ValidationError where the proof
    fails.
    """
    loaded = load_policy(Path(path), resolver=resolver)
    return compile_parsed(
        loaded.policy, loaded.warnings, backend=backend, clang=clang, validate=validate, budget=budget
    )


def compile_parsed(
    policy: Policy,
    warnings: tuple[Diagnostic, ...] = (),
    *,
    backend: Backend = "llvmlite",
    clang: Clang | None = None,
    validate: bool = True,
    budget: int | None = None,
    choose: Choose | None = None,
) -> Artefact:
    """Compile a policy that is read already; `warnings` are passed on. See `compile_policy`.

    `choose` picks the forms of tables; None: the cost model does, within `budget`.
    """
    lowered = lower(policy, choose or planner(policy, budget))
    unit = generate(lowered)
    built = build_object(unit, backend=backend, clang=clang)
    described = describe(lowered, built.tools)
    decision = justify(lowered.survey, lowered.plan, budget)
    manifest = replace(described, certificate=certify(decision, described))
    tables = {table.section: table.to_bytes() for table in lowered.tables}
    data = assemble(built.data, tables, manifest)
    # Of the finished bytes, not of what they were made from: an error of the assembly is one as well.
    proved = prove(data, policy) if validate else None
    return Artefact(data, manifest, lowered, unit, warnings, proved)
