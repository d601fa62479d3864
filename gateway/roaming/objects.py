"""Objects of the detectors' programs, made ready for the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wardgate.runtime.elf import read_object
from wardgate.runtime.errors import LayoutError
from wardgate.runtime.layout.records import Record, Value
from wardgate.runtime.spec import ObjectSpec


def read_program(data: bytes, constants: Record, values: Mapping[str, Value]) -> ObjectSpec:
    """The object in `data`, whose constants are `values`. ArtefactError, LayoutError where it is another."""
    spec = read_object(data)
    section = f".rodata.{constants.name}"
    found = spec.data.get(section)
    if found is None or len(found.data) != constants.size:
        raise LayoutError(section, f"is not {constants.size} bytes of constants")
    filled = replace(found, data=constants.pack(values))
    return replace(spec, data={**spec.data, section: filled})
