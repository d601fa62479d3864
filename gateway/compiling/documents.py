"""YAML with places, as the language of policies reads it, for the gateway's own settings.

What a policy's author gets, all errors in one run, each with its line, a caret and a remedy, an operator
gets too.
"""

from __future__ import annotations

from pathlib import Path

from wardgate.compiler.language import schema
from wardgate.compiler.language.diagnostics import Code, PolicyError, Report
from wardgate.compiler.language.model import Position
from wardgate.compiler.language.nodes import Broken, Node, Scalar
from wardgate.compiler.language.schema import Shape
from wardgate.compiler.language.source import decode
from wardgate.compiler.language.yaml_reader import read_yaml

__all__ = ["Code", "Node", "PolicyError", "Report", "Scalar", "Shape", "read_document", "schema"]


def read_document(path: Path, report: Report) -> Node | None:
    """The document in the file at `path`; None where it is none or cannot be read, which is reported.
    OSError."""
    source = decode(str(path), path.read_bytes(), report)
    if source is None:
        return None
    root = read_yaml(source, report)
    if isinstance(root, Broken):
        # Of what is not read nothing is known, so nothing is missing.
        return None
    if root is None:
        place = Position(str(path), 1, 1)
        report.error(Code.EMPTY, place, "the file is empty", "let `wardgate gateway init` write one")
    return root
