"""Proof, at every compile, that an artefact's tables say what its policy means.

`validate` reads the tables back from the finished object and compares them with the reference for
every policy class, destination and service, in both directions. It is written apart from what made
the tables: it knows them by how the programs read them (bpf_templates/lookup.h) and nothing else.
While programs are still being compiled, `validate_sections` proves the same of what their artefact will
hold, and `has_sections` says that it does. `validate_reassigned` proves that users were given right classes.
"""

from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.reassigned import validate_reassigned
from wardgate.compiler.validation.validate import ValidationReport, has_sections, validate, validate_sections

__all__ = [
    "ValidationError",
    "ValidationReport",
    "has_sections",
    "validate",
    "validate_reassigned",
    "validate_sections",
]
