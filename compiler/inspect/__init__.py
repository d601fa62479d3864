"""What is in an artefact: from the ELF alone, without the kernel, without root.

`inspect_artefact` reads it and takes its programs apart. The rest presents that: `summary` on one screen,
`listing` as a disassembly, `layouts` and `tables` as what maps and tables hold, `graph` and `page` as
pictures. Programs use the same functions as `wardgate inspect` does.
"""

from wardgate.compiler.inspect.errors import InspectionError
from wardgate.compiler.inspect.model import Inspection
from wardgate.compiler.inspect.read import inspect_artefact
from wardgate.compiler.inspect.tables import Tables, read_tables

__all__ = ["Inspection", "InspectionError", "Tables", "inspect_artefact", "read_tables"]
