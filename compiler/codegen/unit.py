"""What code generation hands to a backend: one C file and the texts that its `#line`s name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PLACEHOLDER_PREFIX: Final = ".bss.ro.t_"
"""Where a program declares its tables, each in a section of its own: an object file does not hold what is in
a section whose name begins with `.bss.`, so that compilers need not write, nor this process read, the zeros
that tables are until their content is put in. As long as TABLE_SECTION_PREFIX, which it becomes then."""


@dataclass(frozen=True, slots=True)
class TranslationUnit:
    """A C program, complete in itself: it includes nothing.

    `name` is the file name that the object records for lines without a `#line` of their own.
    `sources` are the files that `#line` directives name, by exactly those names: policy files
    relative to the main one's folder, templates as `bpf_templates/NAME`. LLVM copies the source
    lines of instructions into the object's BTF, and reads them from there.
    """

    name: str
    text: str
    sources: Mapping[str, str]
