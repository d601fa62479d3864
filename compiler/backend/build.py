"""From a translation unit to a BPF object, or to what a person can read."""

from __future__ import annotations

from wardgate.compiler.backend.clang import Clang
from wardgate.compiler.backend.toolchain import Backend, BuiltObject, Toolchain
from wardgate.compiler.codegen.unit import TranslationUnit


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
    with Toolchain(backend, clang) as tools:
        tools.start(unit, mode)
        return tools.result()
