"""Reader of BTF, the type format of BPF objects.

Format: Documentation/bpf/btf.rst and include/uapi/linux/btf.h. All kinds up to ENUM64 are read; what
an artefact has no use for is kept as `Other`, so that its ids stay in order. Every offset is checked
against the section, every id against the number of types.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from wardgate.runtime.errors import ArtefactError

MAGIC: Final = 0xEB9F
HEADER: Final = struct.Struct("<HBBIIIII")
TYPE: Final = struct.Struct("<III")
_MAX_DEPTH: Final = 32
"""Longest chain of types followed; the kernel's own limit (MAX_RESOLVE_DEPTH) is 32."""


class Kind(IntEnum):
    """BTF_KIND_*."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_MODIFIERS: Final = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
EXTRA_BYTES: Final = {
    Kind.INT: (4, 0),
    Kind.ARRAY: (12, 0),
    Kind.STRUCT: (0, 12),
    Kind.UNION: (0, 12),
    Kind.ENUM: (0, 8),
    Kind.FUNC_PROTO: (0, 8),
    Kind.VAR: (4, 0),
    Kind.DATASEC: (0, 12),
    Kind.DECL_TAG: (4, 0),
    Kind.ENUM64: (0, 12),
}
"""Bytes after a type's common part: once, and for each of its vlen members."""


@dataclass(frozen=True, slots=True)
class Int:
    """An integer of `size` bytes."""

    name: str
    size: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer to a type."""

    type_id: int


@dataclass(frozen=True, slots=True)
class Array:
    """`count` elements of a type."""

    element_id: int
    count: int


@dataclass(frozen=True, slots=True)
class Member:
    """A struct's member; `bit_size` is 0 unless it is a bit field."""

    name: str
    type_id: int
    bit_offset: int
    bit_size: int


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct or union of `size` bytes."""

    name: str
    size: int
    union: bool
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Modifier:
    """typedef, const, volatile, restrict or a type tag around a type."""

    kind: Kind
    name: str
    type_id: int


@dataclass(frozen=True, slots=True)
class Func:
    """A function; `linkage` is 0 static, 1 global, 2 extern."""

    name: str
    proto_id: int
    linkage: int


@dataclass(frozen=True, slots=True)
class Var:
    """A variable; `linkage` as in Func."""

    name: str
    type_id: int
    linkage: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a variable stands in its section."""

    var_id: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Datasec:
    """The variables of a section."""

    name: str
    size: int
    variables: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """A type of which only the common part is read; `size` means nothing for some kinds."""

    kind: Kind
    name: str
    size: int


Type = Int | Pointer | Array | Struct | Modifier | Func | Var | Datasec | Other


@dataclass(frozen=True, slots=True)
class Btf:
    """The types of an object: `types[id - 1]`, and where each begins in `raw`."""

    raw: bytes
    types: tuple[Type, ...]
    offsets: tuple[int, ...]
    strings: bytes

    def type(self, type_id: int) -> Type:
        """The type with this id; ArtefactError for void (0) and ids that are not there."""
        if not 1 <= type_id <= len(self.types):
            raise ArtefactError(".BTF", f"type id {type_id} of {len(self.types)} types")
        return self.types[type_id - 1]

    def resolve(self, type_id: int) -> tuple[int, Type]:
        """The type below typedefs and qualifiers, with its id."""
        for _ in range(_MAX_DEPTH):
            found = self.type(type_id)
            if not isinstance(found, Modifier):
                return type_id, found
            type_id = found.type_id
        raise ArtefactError(".BTF", f"type {type_id} is a chain without end")

    def size_of(self, type_id: int) -> int:
        """Size of a type in bytes."""
        count = 1
        for _ in range(_MAX_DEPTH):
            _, found = self.resolve(type_id)
            if isinstance(found, Array):
                count *= found.count
                type_id = found.element_id
                continue
            if isinstance(found, (Int, Struct)):
                return count * found.size
            if isinstance(found, Pointer):
                return count * 8
            if isinstance(found, Other) and found.kind in (Kind.ENUM, Kind.ENUM64, Kind.FLOAT):
                return count * found.size
            break
        raise ArtefactError(".BTF", f"type {type_id} has no size")

    def string(self, offset: int) -> str:
        """The string at an offset of the string table."""
        return _string(self.strings, offset, ".BTF")

    def functions(self) -> dict[str, int]:
        """Ids of the functions by name."""
        return {t.name: i for i, t in enumerate(self.types, 1) if isinstance(t, Func)}

    def datasec(self, name: str) -> tuple[int, Datasec] | None:
        """The section description of this name, with its id."""
        for number, found in enumerate(self.types, 1):
            if isinstance(found, Datasec) and found.name == name:
                return number, found
        return None

    def struct(self, name: str) -> int | None:
        """Id of the struct of this name."""
        for number, found in enumerate(self.types, 1):
            if isinstance(found, Struct) and not found.union and found.name == name:
                return number
        return None


def read_btf(raw: bytes) -> Btf:
    """The types in section `.BTF`; ArtefactError where anything in it is out of place."""
    if len(raw) < HEADER.size:
        raise ArtefactError(".BTF", f"has {len(raw)} bytes, less than its header")
    magic, version, _flags, header, type_at, type_length, string_at, string_length = HEADER.unpack_from(raw)
    if magic != MAGIC or version != 1:
        raise ArtefactError(
            ".BTF", f"magic {magic:#x}, version {version}: not little-endian BTF of version 1"
        )
    if not HEADER.size <= header <= len(raw) or type_at % 4:
        raise ArtefactError(".BTF", f"header of {header} bytes, types at {type_at}")
    types, strings = header + type_at, header + string_at
    if types + type_length > len(raw) or strings + string_length > len(raw):
        raise ArtefactError(".BTF", "types or strings reach beyond the section")
    table = raw[strings : strings + string_length]
    if not table or table[0] or table[-1]:
        raise ArtefactError(".BTF", "the string table does not begin and end with a zero byte")
    found: list[Type] = []
    offsets = []
    place, end = types, types + type_length
    while place < end:
        offsets.append(place)
        one, place = read_type(raw, place, end, table)
        found.append(one)
    btf = Btf(raw, tuple(found), tuple(offsets), table)
    for one in found:
        _check_references(btf, one)
    return btf


def read_type(raw: bytes, place: int, end: int, strings: bytes) -> tuple[Type, int]:
    """The type at a place in `raw`, whose types end at `end`, and the place after it; ArtefactError."""
    where = f".BTF+{place:#x}"
    if place + TYPE.size > end:
        raise ArtefactError(where, "a type is cut off")
    name_at, info, size_or_type = TYPE.unpack_from(raw, place)
    vlen, number, flag = info & 0xFFFF, info >> 24 & 0x1F, bool(info >> 31)
    try:
        kind = Kind(number)
    except ValueError:
        raise ArtefactError(where, f"type of unknown kind {number}") from None
    once, each = EXTRA_BYTES.get(kind, (0, 0))
    body = place + TYPE.size
    after = body + once + each * vlen
    if after > end:
        raise ArtefactError(where, f"a {kind.name} with {vlen} members is cut off")
    name = _string(strings, name_at, where)
    return _make_type(raw, body, strings, kind, name, size_or_type, vlen, flag), after


def _make_type(
    raw: bytes, body: int, strings: bytes, kind: Kind, name: str, value: int, vlen: int, flag: bool
) -> Type:
    if kind is Kind.INT:
        (encoding,) = struct.unpack_from("<I", raw, body)
        if encoding & 0xFF != value * 8 or encoding >> 16 & 0xFF:
            return Other(kind, name, value)
        return Int(name, value, bool(encoding >> 24 & 1))
    if kind is Kind.PTR:
        return Pointer(value)
    if kind is Kind.ARRAY:
        element, _index, count = struct.unpack_from("<III", raw, body)
        return Array(element, count)
    if kind in (Kind.STRUCT, Kind.UNION):
        members = []
        for member_name, type_id, offset in struct.iter_unpack("<III", raw[body : body + 12 * vlen]):
            bits = offset >> 24 if flag else 0
            offset = offset & 0xFFFFFF if flag else offset
            members.append(Member(_string(strings, member_name, ".BTF"), type_id, offset, bits))
        return Struct(name, value, kind is Kind.UNION, tuple(members))
    if kind in _MODIFIERS:
        return Modifier(kind, name, value)
    if kind is Kind.FUNC:
        return Func(name, value, vlen)
    if kind is Kind.VAR:
        return Var(name, value, *struct.unpack_from("<I", raw, body))
    if kind is Kind.DATASEC:
        rows = struct.iter_unpack("<III", raw[body : body + 12 * vlen])
        return Datasec(name, value, tuple(Placement(*row) for row in rows))
    return Other(kind, name, value)


def _check_references(btf: Btf, one: Type) -> None:
    """Ids that the rest of the runtime follows; 0 is void, where C allows it."""
    if isinstance(one, Struct):
        for member in one.members:
            btf.type(member.type_id)
    elif isinstance(one, (Pointer, Modifier)):
        if one.type_id:
            btf.type(one.type_id)
    elif isinstance(one, Array):
        btf.type(one.element_id)
    elif isinstance(one, Func):
        btf.type(one.proto_id)
    elif isinstance(one, Var):
        btf.type(one.type_id)
    elif isinstance(one, Datasec):
        for variable in one.variables:
            if not isinstance(btf.type(variable.var_id), (Var, Func)):
                raise ArtefactError(".BTF", f"section {one.name!r} lists type {variable.var_id}, no variable")


def _string(table: bytes, offset: int, where: str) -> str:
    if not 0 <= offset < len(table):
        raise ArtefactError(where, f"string at {offset:#x} of {len(table)} bytes of strings")
    text = table[offset : table.index(b"\0", offset)]
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise ArtefactError(where, f"string at {offset:#x} is not UTF-8") from None
