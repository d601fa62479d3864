"""The gateway's own programs: from C to an object, with the compilers that policies have.

What a program shares with this process is declared for it from the one definition of that, as it is for the
programs of a policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wardgate.compiler.backend import BackendError, Clang, build_object
from wardgate.compiler.codegen.declarations import map_declarations, record_declarations
from wardgate.compiler.codegen.specialise import read_template
from wardgate.compiler.codegen.unit import TranslationUnit
from wardgate.gateway.compiling.errors import CompileError
from wardgate.runtime.layout.maps import MapLayout
from wardgate.runtime.layout.records import Record

LICENCE: Final = "Dual MIT/GPL"
"""What reads the kernel's memory has to be under the GPL as well."""

_TYPES: Final = "types.h"


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """A program: `files` are its C by the names that messages give them, in order, without an `#include`.

    `records` and `maps` are declared before them, and kernel types before these (bpf_templates/types.h).
    `constants` are records of which the program gets one each, in a section `.rodata.NAME` that whoever
    loads it fills in.
    """

    name: str
    files: Mapping[str, str]
    records: Sequence[Record]
    maps: Sequence[MapLayout]
    constants: Sequence[Record]


def compile_program(source: ProgramSource, *, clang: Clang | None = None) -> bytes:
    """An ELF object for runtime.elf.read_object. `clang` None: the one that is found. CompileError."""
    files = {f"bpf_templates/{_TYPES}": read_template(_TYPES), **source.files}
    declared = [
        record_declarations([*source.records, *source.constants]),
        map_declarations((layout, layout.entries) for layout in source.maps),
        *(
            f'const volatile struct {one.name} {one.name} SEC(".rodata.{one.name}");\n'
            for one in source.constants
        ),
        f'char _license[] SEC("license") = "{LICENCE}";\n',
    ]
    first, *rest = [f'#line 1 "{name}"\n{text}' for name, text in files.items()]
    text = "\n".join([first, f'#line 1 "{source.name}.c"', *declared, *rest])
    try:
        return build_object(TranslationUnit(f"{source.name}.c", text, files), clang=clang).data
    except BackendError as error:
        raise CompileError("compile program", source.name, error.cause, error.remedy) from error
