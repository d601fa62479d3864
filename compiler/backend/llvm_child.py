"""LLVM in a process of its own: a fatal error inside LLVM ends the whole process that it is in.

Run by file name in Python's isolated mode, `python -I llvm_child.py FOLDER`, before there is work for it:
importing llvmlite takes as long as clang does. FOLDER is where the parent has llvmlite from.

It writes LLVM's version and a newline, then reads from standard input, to its end: what to make (MODES),
a zero byte, the folder to work in, a zero byte, LLVM IR as text. It writes the result. The folder holds
files that a policy named, which must not be importable; it is entered when all is imported.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Final

MODES: Final = ("object", "asm", "ir")

CPU: Final = "v3"
"""Instruction set: 32-bit arithmetic and jumps (v3). At v4 LLVM makes jump tables of a `switch`, which
kernels accept only since 6.19."""

OPTIMISATION: Final = 2

_LOCAL_VARIABLE: Final = re.compile(r"\n(?= +(?:#dbg_declare|call void @llvm\.dbg\.declare)\()[^\n]*")
"""Where a local variable is, as LLVM since 19 writes it and as it did before. BTF says nothing of local
variables, and following them through all passes takes a tenth of the time."""


def translate(mode: str, ir: str, llvm: Any) -> bytes:
    """The result of `mode` for the IR text. RuntimeError where LLVM refuses it."""
    module = llvm.parse_assembly(_LOCAL_VARIABLE.sub("", ir))
    module.verify()
    target = llvm.Target.from_triple(module.triple)
    machine = target.create_target_machine(cpu=CPU, opt=OPTIMISATION, reloc="static")
    # The verified IR of a front end at -O2 with its passes disabled: the standard pipeline of that
    # level is what the front end would have run.
    options = llvm.create_pipeline_tuning_options(speed_level=OPTIMISATION)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    if mode == "object":
        found: bytes = machine.emit_object(module)
        return found
    return (machine.emit_assembly(module) if mode == "asm" else str(module)).encode()


def main(arguments: list[str]) -> int:
    """Exit status: 0 done, or told to make nothing; 1 LLVM refused the program."""
    (folder,) = arguments
    sys.path.append(folder)
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    sys.stdout.buffer.write(version.encode() + b"\n")
    sys.stdout.buffer.flush()
    request = sys.stdin.buffer.read()
    if not request:
        return 0
    mode, place, ir = request.split(b"\0", 2)
    os.chdir(place)
    try:
        result = translate(mode.decode(), ir.decode(), llvm)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
