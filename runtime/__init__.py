"""From an artefact to enforced packets: reads it, loads it through raw bpf() calls, attaches it.

Importing this loads nothing of the compiler and none of llvmlite, click, pyroute2, yaml. The parts:

- `elf.read_artefact(bytes)` -> `spec.ObjectSpec`: what the artefact says; no kernel.
- `object.load_object(spec)` -> `object.LoadedObject`: its maps, tables and programs in the kernel.
- `maps`, `program`, `testrun`, `probe`, `privileges`: the kernel objects one by one, and what the
  kernel can and may do.
- `gate.Gate`, also as `Gate` here: a device guarded by a policy, with its devices and sessions
  (`devices.DeviceSpec`, also as `DeviceSpec` here).
- `errors`: what all of these raise.
"""

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from wardgate.runtime.devices import DeviceSpec
    from wardgate.runtime.gate import Gate

__all__ = [
    "ArtefactError",
    "BpfError",
    "DeviceSpec",
    "Gate",
    "LayoutError",
    "MapMismatchError",
    "PrivilegeError",
    "UnsupportedError",
    "VerifierError",
    "WardgateError",
]


def __getattr__(name: str) -> object:
    # A gate brings the whole runtime along, which who wants runtime.layout alone shall not load.
    if name == "Gate":
        from wardgate.runtime.gate import Gate

        return Gate
    if name == "DeviceSpec":
        from wardgate.runtime.devices import DeviceSpec

        return DeviceSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
