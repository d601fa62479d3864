"""From a policy to an artefact, in one call, and proof that it says what the policy means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wardgate.compiler.artefact import assemble
from wardgate.compiler.artefact.describe import describe
from wardgate.compiler.backend import Backend, Clang, Toolchain
from wardgate.compiler.codegen.generate import generate
from wardgate.compiler.codegen.unit import TranslationUnit
from wardgate.compiler.collection import paused_collection
from wardgate.compiler.costs import certify, justify, planner
from wardgate.compiler.language import Diagnostic, LoadedPolicy, Resolver, load_policy
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import Lowered, lower
from wardgate.compiler.lowering.plan import Choose
from wardgate.compiler.validation import ValidationReport, has_sections, validate_sections
from wardgate.compiler.validation import validate as prove
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import MANIFEST_SECTION


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
    # The compilers come up while the policy is read.
    with paused_collection(), Toolchain(backend, clang) as tools:
        loaded = load_policy(Path(path), resolver=resolver)
        choose = planner(loaded.policy, budget)
        return _compile(loaded, tools, choose, budget, validate=validate)


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
    loaded = LoadedPolicy(policy, warnings)
    with paused_collection(), Toolchain(backend, clang) as tools:
        return _compile(loaded, tools, choose or planner(policy, budget), budget, validate=validate)


def _compile(
    loaded: LoadedPolicy, tools: Toolchain, choose: Choose, budget: int | None, *, validate: bool
) -> Artefact:
    lowered = lower(loaded.policy, choose)
    unit = generate(lowered)
    # Programs depend on the shapes of tables, not on what is in them: all else is done meanwhile.
    tools.start(unit)
    tables = {table.section: table.to_bytes() for table in lowered.tables}
    described = describe(lowered, tables, tools.tools())
    decision = justify(lowered.survey, lowered.plan, budget)
    manifest = replace(described, certificate=certify(decision, described))
    sections = {MANIFEST_SECTION: manifest.to_json(), **tables}
    proved = validate_sections(sections, loaded.policy) if validate else None
    data = assemble(tools.result().data, tables, manifest, sections[MANIFEST_SECTION])
    # Of the finished bytes, not of what they were made from: an error of the assembly is one as well.
    if validate and not has_sections(data, sections):
        proved = prove(data, loaded.policy)
    return Artefact(data, manifest, lowered, unit, loaded.warnings, proved)
