"""The parts of BTF that a linker has to do: finish what the compiler leaves open, and say what names it has.

Format: kernel documentation, bpf/btf.rst. LLVM writes zero for the size of each DATASEC and leaves the
offsets of its variables to relocations; libbpf's linker fills in both, and so is it done here, so that
every reader of an artefact finds them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from wardgate.compiler.artefact.elf import Relocation
from wardgate.compiler.artefact.errors import unfit, unreadable

_MAGIC: Final = 0xEB9F
_HEADER: Final = struct.Struct("<HBBIIIII")
_EXT_HEADER: Final = struct.Struct("<HBBIIIII")
_TYPE: Final = struct.Struct("<III")
_LINE: Final = struct.Struct("<IIII")
_DATASEC: Final = 15
_LAST_KIND: Final = 19
_VALUE_32_BITS: Final = (3, 4)
"""R_BPF_64_ABS32 and R_BPF_64_NODYLD32: both add the symbol's value to the 32 bits in place."""

_FIXED_BYTES: Final = {1: 4, 3: 12, 14: 4, 17: 4}
"""Bytes after the type header, by kind: INT, ARRAY, VAR, DECL_TAG."""
_MEMBER_BYTES: Final = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""Bytes for each member: STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64."""


def relocate(name: str, data: bytes, relocations: Sequence[Relocation]) -> bytes:
    """`.BTF` or `.BTF.ext` with its relocations applied, which are all 32-bit symbol values in place."""
    result = bytearray(data)
    for relocation in relocations:
        if relocation.kind not in _VALUE_32_BITS or relocation.offset + 4 > len(result):
            raise unfit(name, f"relocation of kind {relocation.kind} at {relocation.offset}")
        (value,) = struct.unpack_from("<I", result, relocation.offset)
        value += relocation.symbol.value
        if value > 0xFFFF_FFFF:
            raise unfit(name, f"the relocation at {relocation.offset} does not fit in 32 bits")
        struct.pack_into("<I", result, relocation.offset, value)
    return bytes(result)


def fill_section_sizes(btf: bytes, sizes: Mapping[str, int]) -> bytes:
    """`.BTF` with the size of each DATASEC; `sizes` has the ELF sections'."""
    result = bytearray(btf)
    for offset, name, kind in _types(btf):
        if kind == _DATASEC:
            if name not in sizes:
                raise unfit(".BTF", f"it describes the section {name!r}, which the object does not have")
            struct.pack_into("<I", result, offset + 8, sizes[name])
    return bytes(result)


def rename_sections(btf: bytes, names: Mapping[str, str]) -> bytes:
    """`.BTF` with other names for the sections that DATASECs are about: old to new, of the same length."""
    result = bytearray(btf)
    _, _, _, header, _, _, strings, _ = _HEADER.unpack_from(btf)
    for offset, name, kind in _types(btf):
        if kind == _DATASEC and name in names:
            (at,) = struct.unpack_from("<I", btf, offset)
            old, new = name.encode(), names[name].encode()
            if len(new) != len(old):
                raise ValueError(f"{name!r} and {names[name]!r} are not of the same length")
            result[header + strings + at : header + strings + at + len(new)] = new
    return bytes(result)


def source_names(btf: bytes, btf_ext: bytes) -> set[str]:
    """The file names that the line information of `.BTF.ext` refers to."""
    if len(btf_ext) < _EXT_HEADER.size:
        raise unreadable(".BTF.ext", "it is too short")
    magic, _, _, header, _, _, lines, length = _EXT_HEADER.unpack_from(btf_ext)
    if magic != _MAGIC or header + lines + length > len(btf_ext):
        raise unreadable(".BTF.ext", "its parts are not inside it")
    strings = _strings(btf)
    position, end = header + lines, header + lines + length
    if length < 4:
        return set()
    (record,) = struct.unpack_from("<I", btf_ext, position)
    if record < _LINE.size:
        raise unreadable(".BTF.ext", f"line records of {record} bytes")
    position += 4
    names: set[int] = set()
    while position + 8 <= end:
        _, count = struct.unpack_from("<II", btf_ext, position)
        position += 8
        if position + count * record > end:
            raise unreadable(".BTF.ext", "its line records are not inside it")
        for start in range(position, position + count * record, record):
            names.add(_LINE.unpack_from(btf_ext, start)[1])
        position += count * record
    return {_string(strings, offset) for offset in names}


def _types(btf: bytes) -> Iterator[tuple[int, str, int]]:
    """Offset in the section, name and kind of each type."""
    strings = _strings(btf)
    _, _, _, header, offset, length, _, _ = _HEADER.unpack_from(btf)
    position, end = header + offset, header + offset + length
    if end > len(btf):
        raise unreadable(".BTF", "its types are not inside it")
    while position < end:
        if position + _TYPE.size > end:
            raise unreadable(".BTF", "its types end in the middle of one")
        name, info, _ = _TYPE.unpack_from(btf, position)
        kind, members = info >> 24 & 31, info & 0xFFFF
        if not 0 < kind <= _LAST_KIND:
            raise unreadable(".BTF", f"type of the unknown kind {kind}")
        yield position, _string(strings, name), kind
        position += _TYPE.size + _FIXED_BYTES.get(kind, 0) + _MEMBER_BYTES.get(kind, 0) * members


def _strings(btf: bytes) -> bytes:
    if len(btf) < _HEADER.size:
        raise unreadable(".BTF", "it is too short")
    magic, version, _, header, _, _, offset, length = _HEADER.unpack_from(btf)
    if (magic, version) != (_MAGIC, 1) or header + offset + length > len(btf):
        raise unreadable(".BTF", "it has no header of version 1, or its strings are not inside it")
    return btf[header + offset : header + offset + length]


def _string(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    if offset >= len(strings) or end < 0:
        raise unreadable(".BTF", f"name at {offset} is not in its table")
    return strings[offset:end].decode("utf-8", "replace")
