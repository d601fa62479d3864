"""Records as Python values: codecs made from BTF types, or from the shared layout's records.

Two codecs are equal when they read and write the same bytes under the same names, which is how an
artefact's BTF is checked against runtime.layout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

from wardgate.runtime import btf as btf_types
from wardgate.runtime.btf import Btf
from wardgate.runtime.errors import ArtefactError
from wardgate.runtime.layout import records

_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_MAX_ELEMENTS: Final = 65_536


class RecordValue(Mapping[str, Any]):
    """The values of a struct's fields: a mapping by name whose fields are attributes too."""

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"record has no field {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a record cannot be changed: use replace()")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return "Record(" + ", ".join(f"{name}={value!r}" for name, value in self._values.items()) + ")"

    def replace(self, **changes: Any) -> RecordValue:
        """A copy with some fields changed; KeyError for a field that it lacks."""
        unknown = sorted(set(changes) - set(self._values))
        if unknown:
            raise KeyError(f"record has no field {', '.join(unknown)}")
        return RecordValue({**self._values, **changes})


class Codec(Protocol):
    """Turns a value into `size` bytes and back; ValueError or TypeError for a value that does not fit."""

    @property
    def size(self) -> int: ...

    def pack(self, value: Any) -> bytes: ...

    def unpack(self, data: bytes) -> Any: ...


@dataclass(frozen=True)
class IntCodec:
    """An integer of 1, 2, 4 or 8 bytes, little-endian."""

    size: int
    signed: bool = False

    @property
    def code(self) -> str:
        """Its letter in a format of struct."""
        letter = _CODES[self.size]
        return letter.lower() if self.signed else letter

    def pack(self, value: Any) -> bytes:
        """ValueError where `value` is out of range."""
        try:
            return int(value).to_bytes(self.size, "little", signed=self.signed)
        except OverflowError:
            raise ValueError(f"{value} does not fit into {self.size * 8} bits") from None

    def unpack(self, data: bytes) -> int:
        """`data` is exactly `size` bytes."""
        return int.from_bytes(_exactly(data, self.size), "little", signed=self.signed)


@dataclass(frozen=True)
class BytesCodec:
    """An array of bytes, given and taken whole."""

    size: int

    def pack(self, value: Any) -> bytes:
        """ValueError where `value` has another length."""
        return _exactly(bytes(value), self.size)

    def unpack(self, data: bytes) -> bytes:
        """`data` is exactly `size` bytes."""
        return bytes(_exactly(data, self.size))


@dataclass(frozen=True)
class ArrayCodec:
    """An array of anything but bytes, as a tuple."""

    element: Codec
    count: int

    @property
    def size(self) -> int:
        """Bytes of the whole array."""
        return self.element.size * self.count

    def pack(self, value: Sequence[Any]) -> bytes:
        """ValueError where the number of elements is another."""
        if len(value) != self.count:
            raise ValueError(f"{len(value)} elements for an array of {self.count}")
        return b"".join(self.element.pack(item) for item in value)

    def unpack(self, data: bytes) -> tuple[Any, ...]:
        """`data` is exactly `size` bytes."""
        step = self.element.size
        _exactly(data, self.size)
        if isinstance(self.element, IntCodec):
            return struct.unpack(f"<{self.count}{self.element.code}", data)
        return tuple(self.element.unpack(data[i : i + step]) for i in range(0, self.size, step))


@dataclass(frozen=True)
class FieldCodec:
    """A field of a struct; `offset` in bytes."""

    name: str
    offset: int
    codec: Codec


@dataclass(frozen=True)
class StructCodec:
    """A struct; padding is written as zeros and skipped when read."""

    size: int
    fields: tuple[FieldCodec, ...]

    def pack(self, value: Any) -> bytes:
        """`value` is a mapping, in which a field left out is zero; where the struct has one field
        only, also that field's bare value. KeyError for a name that the struct lacks."""
        if not isinstance(value, Mapping):
            if len(self.fields) != 1:
                raise TypeError(f"a record is a mapping of its fields, not {type(value).__name__}")
            value = {self.fields[0].name: value}
        unknown = sorted(set(value) - {field.name for field in self.fields})
        if unknown:
            raise KeyError(f"record has no field {', '.join(unknown)}")
        data = bytearray(self.size)
        for field in self.fields:
            if field.name in value:
                data[field.offset : field.offset + field.codec.size] = field.codec.pack(value[field.name])
        return bytes(data)

    def unpack(self, data: bytes) -> RecordValue:
        """`data` is exactly `size` bytes."""
        _exactly(data, self.size)
        if self._flat is not None:
            names = (field.name for field in self.fields)
            return RecordValue(dict(zip(names, self._flat.unpack(data), strict=True)))
        return RecordValue(
            {f.name: f.codec.unpack(data[f.offset : f.offset + f.codec.size]) for f in self.fields}
        )

    @cached_property
    def _flat(self) -> struct.Struct | None:
        """One format for the whole struct, where its fields are integers and bytes only: devices are
        read by the ten thousand."""
        text, place = "<", 0
        for field in self.fields:
            if field.offset < place:
                return None
            text += f"{field.offset - place}x"
            if isinstance(field.codec, IntCodec):
                text += field.codec.code
            elif isinstance(field.codec, BytesCodec):
                text += f"{field.codec.size}s"
            else:
                return None
            place = field.offset + field.codec.size
        return struct.Struct(text + f"{self.size - place}x")


U32: Final = IntCodec(4)


def record_codec(record: records.Record) -> StructCodec:
    """The codec of a record of the shared layout."""
    offsets = record.offsets
    return StructCodec(
        record.size,
        tuple(FieldCodec(f.name, offsets[f.name], _field_codec(f)) for f in record.fields),
    )


def _field_codec(field: records.Field) -> Codec:
    if field.length == 1:
        return IntCodec(field.size)
    one = field.size // field.length
    return BytesCodec(field.size) if one == 1 else ArrayCodec(IntCodec(one), field.length)


def btf_codec(btf: Btf, type_id: int, depth: int = 0) -> Codec:
    """The codec of a BTF type: integers, enums, arrays and structs of these.

    ArtefactError for what has no codec: pointers, unions, bit fields, floats.
    """
    number, found = btf.resolve(type_id)
    where = f".BTF type {number}"
    if depth > 8:
        raise ArtefactError(where, "is nested too deep for a record")
    if isinstance(found, btf_types.Int) and found.size in _CODES:
        return IntCodec(found.size, found.signed)
    if isinstance(found, btf_types.Other) and found.kind in (btf_types.Kind.ENUM, btf_types.Kind.ENUM64):
        if found.size in _CODES:
            return IntCodec(found.size)
    elif isinstance(found, btf_types.Array):
        element = btf_codec(btf, found.element_id, depth + 1)
        if element == IntCodec(1):
            return BytesCodec(found.count)
        if found.count <= _MAX_ELEMENTS:
            return ArrayCodec(element, found.count)
    elif isinstance(found, btf_types.Struct) and not found.union:
        fields = tuple(_field(btf, found, member, where, depth) for member in found.members)
        return StructCodec(found.size, fields)
    raise ArtefactError(where, f"{type(found).__name__.lower()} cannot be part of a record")


def _field(btf: Btf, owner: btf_types.Struct, member: btf_types.Member, where: str, depth: int) -> FieldCodec:
    codec = btf_codec(btf, member.type_id, depth + 1)
    offset, rest = divmod(member.bit_offset, 8)
    if rest or member.bit_size or not member.name:
        raise ArtefactError(
            where, f"member {member.name!r} of struct {owner.name!r} is a bit field or nameless"
        )
    if offset + codec.size > owner.size:
        raise ArtefactError(where, f"member {member.name!r} reaches beyond struct {owner.name!r}")
    return FieldCodec(member.name, offset, codec)


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes where {size} are needed")
    return data
