"""The artefact's bytes: the object of a backend with its tables, manifest and place for a signature.

`elf` reads and writes the container, `btf` finishes the type information, `assemble` puts the parts
together and checks that they agree.
"""

from wardgate.compiler.artefact.assemble import SIGNATURE_BYTES, TABLE_ALIGNMENT, assemble
from wardgate.compiler.artefact.elf import ElfObject, Relocation, Section, Symbol, read_object, read_sections
from wardgate.compiler.artefact.errors import ArtefactError

__all__ = [
    "SIGNATURE_BYTES",
    "TABLE_ALIGNMENT",
    "ArtefactError",
    "ElfObject",
    "Relocation",
    "Section",
    "Symbol",
    "assemble",
    "read_object",
    "read_sections",
]
