"""From generated C to a BPF object.

`clang` finds a compiler; `toolchain` runs it, and llvmlite's LLVM behind it, each a `process`; `workspace`
is the private folder that they work in; `llvm_child` is the process around LLVM; `build` is all in one call.
"""

from wardgate.compiler.backend.build import build_object, emit_asm, emit_ir
from wardgate.compiler.backend.clang import Clang, find_clang
from wardgate.compiler.backend.diagnostics import Diagnostic
from wardgate.compiler.backend.errors import BackendError, ClangNotFoundError
from wardgate.compiler.backend.toolchain import BACKENDS, Backend, BuiltObject, Toolchain

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendError",
    "BuiltObject",
    "Clang",
    "ClangNotFoundError",
    "Diagnostic",
    "Toolchain",
    "build_object",
    "emit_asm",
    "emit_ir",
    "find_clang",
]
