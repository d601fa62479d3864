"""LLVM in a process of its own: a fatal error inside LLVM ends the whole process that it is in.

Run by file name in Python's isolated mode, `python -I llvm_child.py MODE FOLDER`: its working folder
holds files that a policy named, which must not be importable. FOLDER is where the parent has
llvmlite from. Reads LLVM IR from standard input and writes LLVM's version, a newline and the result
to standard output.
"""

from __future__ import annotations

import sys
from typing import Any, Final

MODES: Final = ("object", "asm", "ir")

CPU: Final = "v3"
"""Instruction set: 32-bit arithmetic and jumps (v3). At v4 LLVM makes jump tables of a `switch`, which
kernels accept only since 6.19."""

OPTIMISATION: Final = 2


def translate(mode: str, ir: str, llvm: Any) -> tuple[str, bytes]:
    """LLVM's version and the result of `mode` for the IR text. RuntimeError where LLVM refuses it."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(ir)
    module.verify()
    target = llvm.Target.from_triple(module.triple)
    machine = target.create_target_machine(cpu=CPU, opt=OPTIMISATION, reloc="static")
    # The verified IR of a front end at -O2 with its passes disabled: the standard pipeline of that
    # level is what the front end would have run.
    options = llvm.create_pipeline_tuning_options(speed_level=OPTIMISATION)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    if mode == "object":
        return version, machine.emit_object(module)
    return version, (machine.emit_assembly(module) if mode == "asm" else str(module)).encode()


def main(arguments: list[str]) -> int:
    """Exit status: 0 done, 1 LLVM refused the program."""
    mode, folder = arguments
    sys.path.append(folder)
    import llvmlite.binding as llvm

    try:
        version, result = translate(mode, sys.stdin.buffer.read().decode(), llvm)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(version.encode() + b"\n" + result)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
