"""From an artefact to enforced packets: reads it, loads it through raw bpf() calls, attaches it.

Importing this loads nothing of the compiler and none of llvmlite, click, pyroute2, yaml. The parts:

- `elf.read_artefact(bytes)` -> `spec.ObjectSpec`: what the artefact says; no kernel.
- `object.load_object(spec)` -> `object.LoadedObject`: its maps, tables and programs in the kernel.
- `maps`, `program`, `testrun`, `probe`, `privileges`: the kernel objects one by one, and what the
  kernel can and may do.
- `errors`: what all of these raise.
"""

from wardgate.runtime.errors import (
    ArtefactError,
    BpfError,
    LayoutError,
    MapMismatchError,
    PrivilegeError,
    UnsupportedError,
    VerifierError,
    WardgateError,
)

__all__ = [
    "ArtefactError",
    "BpfError",
    "LayoutError",
    "MapMismatchError",
    "PrivilegeError",
    "UnsupportedError",
    "VerifierError",
    "WardgateError",
]
