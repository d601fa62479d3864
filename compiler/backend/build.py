"""From a translation unit to a BPF object: by clang and llvmlite's LLVM, or by clang alone."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from wardgate.compiler.backend import llvm_child
from wardgate.compiler.backend.clang import Clang, find_clang
from wardgate.compiler.backend.diagnostics import Diagnostic, parse_diagnostics
from wardgate.compiler.backend.errors import BackendError
from wardgate.compiler.backend.workspace import Workspace, workspace
from wardgate.compiler.codegen.unit import TranslationUnit

Backend = Literal["llvmlite", "clang"]
"""`llvmlite`: clang's front end, then llvmlite's LLVM, so that the code does not depend on which clang is
installed. `clang`: all by clang."""

BACKENDS: Final[tuple[Backend, ...]] = ("llvmlite", "clang")

_IR = ("-S", "-emit-llvm")
_UNOPTIMISED_IR = (*_IR, "-Xclang", "-disable-llvm-passes")


@dataclass(frozen=True, slots=True)
class BuiltObject:
    """`data`: a relocatable ELF object with BTF and DWARF; `ir`: what clang gave llvmlite, None for the
    clang backend; `tools`: name to version of what made it; `warnings`: clang's."""

    data: bytes
    ir: str | None
    tools: Mapping[str, str]
    warnings: tuple[Diagnostic, ...]


def build_object(
    unit: TranslationUnit, *, backend: Backend = "llvmlite", clang: Clang | None = None
) -> BuiltObject:
    """Compile the unit. `clang` None: the one that find_clang finds. BackendError where it fails."""
    return _build(unit, backend, clang, "object")


def emit_ir(unit: TranslationUnit, *, backend: Backend = "llvmlite", clang: Clang | None = None) -> str:
    """The unit's optimised LLVM IR, from which the object is made. BackendError where it fails."""
    return _build(unit, backend, clang, "ir").data.decode()


def emit_asm(unit: TranslationUnit, *, backend: Backend = "llvmlite", clang: Clang | None = None) -> str:
    """The unit's BPF assembly, as LLVM writes it. BackendError where it fails."""
    return _build(unit, backend, clang, "asm").data.decode()


def _build(unit: TranslationUnit, backend: Backend, clang: Clang | None, mode: str) -> BuiltObject:
    if backend not in BACKENDS:
        raise BackendError(
            "use", f"the backend {backend!r}", "there is none", f"Use {' or '.join(BACKENDS)}."
        )
    clang = clang or find_clang()
    llvmlite = _llvmlite() if backend == "llvmlite" else None
    with workspace(unit) as space:
        built = _by_clang(space, unit, clang, mode) if llvmlite is None else _by_llvmlite(
            space, unit, clang, mode, *llvmlite
        )  # fmt: skip
        _check_anonymous(space, unit, built.data)
    return built


def _by_clang(space: Workspace, unit: TranslationUnit, clang: Clang, mode: str) -> BuiltObject:
    form = {"object": ("-c",), "asm": ("-S",), "ir": _IR}[mode]
    data, stderr = space.run([*clang.arguments(unit.name), *form], unit.name)
    return BuiltObject(data, None, {"clang": clang.version}, parse_diagnostics(stderr))


def _by_llvmlite(
    space: Workspace, unit: TranslationUnit, clang: Clang, mode: str, folder: str, version: str
) -> BuiltObject:
    output, stderr = space.run([*clang.arguments(unit.name), *_UNOPTIMISED_IR], unit.name)
    ir = output.decode()
    child = [sys.executable, "-I", "-B", llvm_child.__file__, mode, folder]
    answer, _ = space.run(child, unit.name, ir)
    llvm, _, data = answer.partition(b"\n")
    tools = {"clang": clang.version, "llvmlite": version, "llvm": llvm.decode()}
    return BuiltObject(data, ir, tools, parse_diagnostics(stderr))


def _llvmlite() -> tuple[str, str]:
    """The folder that llvmlite is imported from, and its version; not imported here, see llvm_child."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        raise BackendError(
            "use", "the backend 'llvmlite'", "llvmlite is not installed",
            "Install it with `pip install 'wardgate[compiler]'`, or use --backend clang.",
        )  # fmt: skip
    return str(Path(spec.origin).parent.parent), importlib.metadata.version("llvmlite")


def _check_anonymous(space: Workspace, unit: TranslationUnit, data: bytes) -> None:
    if space.marker in data:
        raise BackendError(
            "build", unit.name, "the result names the folder that it was built in, so it is not reproducible",
            "Use the clang of `pip install 'wardgate[compiler]'`, or report which clang does this.",
        )  # fmt: skip
