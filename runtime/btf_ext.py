"""Reader of BTF.ext: which functions and source lines the instructions of an object belong to.

Format: Documentation/bpf/btf.rst, section ".BTF.ext section". Strings and types are those of its BTF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.btf import MAGIC, Btf, Func
from wardgate.runtime.errors import ArtefactError


@dataclass(frozen=True, slots=True, order=True)
class FuncInfo:
    """A function begins at an instruction; `offset` in bytes from the start of the section."""

    offset: int
    type_id: int


@dataclass(frozen=True, slots=True, order=True)
class LineInfo:
    """An instruction's source line; `offset` in bytes from the start of the section, `file` and
    `text` are offsets in the string table, `line` and `column` count from 1 (0: not known)."""

    offset: int
    file: int
    text: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class BtfExt:
    """Functions and lines by the section of their instructions, in the order of the instructions."""

    functions: dict[str, tuple[FuncInfo, ...]]
    lines: dict[str, tuple[LineInfo, ...]]


_HEADER: Final = struct.Struct("<HBBIIIII")


def read_btf_ext(raw: bytes, btf: Btf) -> BtfExt:
    """The tables in section `.BTF.ext`; ArtefactError where anything in it is out of place.

    Relocations of field offsets against a running kernel's types (CO-RE) are refused: programs of an
    artefact have their own type definitions and need none.
    """
    if len(raw) < _HEADER.size:
        raise ArtefactError(".BTF.ext", f"has {len(raw)} bytes, less than its header")
    magic, version, _flags, header, func_at, func_length, line_at, line_length = _HEADER.unpack_from(raw)
    if magic != MAGIC or version != 1 or not _HEADER.size <= header <= len(raw):
        raise ArtefactError(".BTF.ext", f"magic {magic:#x}, version {version}, header of {header} bytes")
    if header >= _HEADER.size + 8:
        core_at, core_length = struct.unpack_from("<II", raw, _HEADER.size)
        if core_length > 4:
            raise ArtefactError(
                f".BTF.ext+{header + core_at:#x}", "has CO-RE relocations, which a gate's programs do not use"
            )
    functions, lines = {}, {}
    for name, rows in _info_sections(raw, btf, header + func_at, func_length, 8).items():
        functions[name] = tuple(sorted(FuncInfo(*struct.unpack_from("<II", row)) for row in rows))
        for info in functions[name]:
            if not isinstance(btf.type(info.type_id), Func):
                raise ArtefactError(".BTF.ext", f"type {info.type_id} is given as a function and is none")
    for name, rows in _info_sections(raw, btf, header + line_at, line_length, 16).items():
        entries = []
        for row in rows:
            offset, file, text, position = struct.unpack_from("<IIII", row)
            btf.string(file), btf.string(text)
            entries.append(LineInfo(offset, file, text, position >> 10, position & 0x3FF))
        lines[name] = tuple(sorted(entries))
    return BtfExt(functions, lines)


def _info_sections(raw: bytes, btf: Btf, place: int, length: int, least: int) -> dict[str, list[bytes]]:
    if not length:
        return {}
    end = place + length
    if end > len(raw) or length < 4:
        raise ArtefactError(".BTF.ext", f"a table at {place:#x} of {length} bytes reaches beyond it")
    (record,) = struct.unpack_from("<I", raw, place)
    if not least <= record <= 256 or record % 4:
        raise ArtefactError(f".BTF.ext+{place:#x}", f"records of {record} bytes")
    place += 4
    found: dict[str, list[bytes]] = {}
    while place < end:
        if place + 8 > end:
            raise ArtefactError(f".BTF.ext+{place:#x}", "a section's head is cut off")
        name_at, count = struct.unpack_from("<II", raw, place)
        place += 8
        if not count or place + count * record > end:
            raise ArtefactError(f".BTF.ext+{place:#x}", f"{count} records do not fit")
        name = btf.string(name_at)
        if name in found:
            raise ArtefactError(f".BTF.ext+{place:#x}", f"section {name!r} comes twice")
        found[name] = [raw[at : at + record] for at in range(place, place + count * record, record)]
        place += count * record
    return found
