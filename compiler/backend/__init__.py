"""From generated C to a BPF object.

`clang` finds a compiler; `build` runs it, and llvmlite's LLVM behind it; `workspace` is the private
folder that they run in; `llvm_child` is the process around LLVM.
"""

from wardgate.compiler.backend.build import BACKENDS, Backend, BuiltObject, build_object, emit_asm, emit_ir
from wardgate.compiler.backend.clang import Clang, find_clang
from wardgate.compiler.backend.diagnostics import Diagnostic
from wardgate.compiler.backend.errors import BackendError, ClangNotFoundError

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendError",
    "BuiltObject",
    "Clang",
    "ClangNotFoundError",
    "Diagnostic",
    "build_object",
    "emit_asm",
    "emit_ir",
    "find_clang",
]
