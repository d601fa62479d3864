"""Policy text to ELF artefact: pure functions, no kernel, no root.

The way of a policy: `language` (text with positions) -> `semantics` (what it means; the reference) ->
`lowering` (classes and tables) -> `codegen` (C) -> `backend` (object) -> `artefact` (ELF). `vm` runs an
artefact's programs, `explain` asks an engine why, `checking` runs a policy's own tests.
"""

from wardgate.compiler.compile import Artefact, compile_parsed, compile_policy

__all__ = ["Artefact", "compile_parsed", "compile_policy"]
