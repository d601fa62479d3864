"""Policy text to ELF artefact: pure functions, no kernel, no root.

The way of a policy: `language` (text with positions) -> `semantics` (what it means; the reference) ->
`lowering` (classes and tables) -> `codegen` (C) -> `backend` (object) -> `artefact` (ELF). `vm` runs an
artefact's programs, `explain` asks an engine why, `checking` runs a policy's own tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wardgate.compiler.compile import Artefact, compile_parsed, compile_policy
    from wardgate.compiler.recompile import Change, Recompiler

__all__ = ["Artefact", "Change", "Recompiler", "compile_parsed", "compile_policy"]


def __getattr__(name: str) -> Any:
    # Not imported with the package: reading a policy and running its tests needs no numpy, compiling does.
    if name in ("Change", "Recompiler"):
        from wardgate.compiler import recompile

        return getattr(recompile, name)
    if name in __all__:
        from wardgate.compiler import compile as compiling

        return getattr(compiling, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
