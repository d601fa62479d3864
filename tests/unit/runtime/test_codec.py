"""Records as values: codecs of BTF types, and that they are those of the shared layout."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from bpf_objects import PRELUDE, artefact_image, compile_c
from hypothesis import given
from hypothesis import strategies as st
from wardgate.runtime.btf import Btf
from wardgate.runtime.codec import (
    ArrayCodec,
    BytesCodec,
    FieldCodec,
    IntCodec,
    RecordValue,
    StructCodec,
    btf_codec,
    record_codec,
)
from wardgate.runtime.elf import read_artefact, read_object
from wardgate.runtime.errors import ArtefactError
from wardgate.runtime.layout.maps import MAPS
from wardgate.runtime.layout.records import CONFIG, DEVICE, RECORDS, Record

U8, U16, U32, U64 = IntCodec(1), IntCodec(2), IntCodec(4), IntCodec(8)


@pytest.fixture(scope="session")
def generic_types(generic_object: bytes) -> Btf:
    btf = read_object(generic_object).btf
    assert btf is not None
    return btf


def struct_named(btf: Btf, name: str) -> int:
    number = btf.struct(name)
    assert number is not None
    return number


def test_a_nested_struct_becomes_a_nested_record(generic_types: Btf) -> None:
    codec = btf_codec(generic_types, struct_named(generic_types, "nested"))
    inner = StructCodec(4, (FieldCodec("low", 0, U16), FieldCodec("high", 2, U8)))
    assert codec == StructCodec(
        48,
        (
            FieldCodec("number", 0, U32),
            FieldCodec("small", 4, IntCodec(2, signed=True)),
            FieldCodec("part", 6, inner),
            FieldCodec("words", 16, ArrayCodec(U64, 3)),
            FieldCodec("bytes", 40, BytesCodec(5)),
        ),
    )
    value = {"number": 7, "small": -2, "part": {"high": 9}, "words": (1, 2, 3), "bytes": b"abcde"}
    record = codec.unpack(codec.pack(value))
    assert record == {**value, "part": {"low": 0, "high": 9}}
    assert (record.small, record.part.high, record["words"]) == (-2, 9, (1, 2, 3))


def test_maps_of_an_artefact_have_the_records_of_the_layout(compiled_artefact: bytes) -> None:
    spec = read_artefact(artefact_image(compiled_artefact).build())
    assert spec.btf is not None
    checked = 0
    for layout in MAPS:
        for type_id, record in (
            (spec.maps[layout.name].key_type, layout.key),
            (spec.maps[layout.name].value_type, layout.value),
        ):
            if record is not None:
                assert btf_codec(spec.btf, type_id) == record_codec(record)
                checked += 1
    assert checked >= 9


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_codec_of_the_layout_packs_as_the_layout_does(record: Record) -> None:
    numbers: dict[str, Any] = {f.name: 1 << (f.size * 8 - 1) for f in record.fields if f.length == 1}
    arrays = {f.name: bytes(i % 251 for i in range(f.size)) for f in record.fields if f.length > 1}
    # The layout has all arrays as bytes, the codec those of numbers as tuples.
    tuples = {
        f.name: struct.unpack(f"<{f.length}Q", arrays[f.name])
        for f in record.fields
        if f.kind == "u64"
        if f.length > 1
    }
    codec = record_codec(record)
    assert codec.size == record.size
    data = record.pack({**numbers, **arrays})
    assert codec.pack({**numbers, **arrays, **tuples}) == data
    assert codec.unpack(data) == {**numbers, **arrays, **tuples}


@given(
    st.fixed_dictionaries(
        {field.name: st.integers(0, (1 << field.size * 8) - 1) for field in DEVICE.fields},
    )
)
def test_devices_survive_a_round(values: dict[str, int]) -> None:
    codec = record_codec(DEVICE)
    assert codec.unpack(codec.pack(values)) == values


def test_fields_left_out_are_zero_and_unknown_ones_refused() -> None:
    codec = record_codec(CONFIG)
    assert codec.pack({"trace": 1}) == CONFIG.pack({"trace": 1})
    with pytest.raises(KeyError, match="no field tracing"):
        codec.pack({"tracing": 1})
    with pytest.raises(TypeError, match="mapping"):
        codec.pack(5)


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_a_number_out_of_range_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        record_codec(CONFIG).pack({"trace": value})


def test_a_struct_of_one_field_takes_the_bare_value() -> None:
    codec = StructCodec(16, (FieldCodec("address", 0, BytesCodec(16)),))
    assert codec.pack(bytes(range(16))) == codec.pack({"address": bytes(range(16))})


def test_sizes_are_checked() -> None:
    for codec in (U32, BytesCodec(4), ArrayCodec(U16, 2), StructCodec(4, (FieldCodec("a", 0, U32),))):
        with pytest.raises(ValueError, match="3 bytes where 4"):
            codec.unpack(b"abc")
    with pytest.raises(ValueError, match="2 bytes where 4"):
        BytesCodec(4).pack(b"ab")
    with pytest.raises(ValueError, match="1 elements"):
        ArrayCodec(U16, 2).pack((1,))


def test_a_record_is_an_immutable_mapping() -> None:
    record = RecordValue({"subject": 3, "flags": 0})
    assert dict(record) == {"subject": 3, "flags": 0}
    assert record.replace(flags=1) == {"subject": 3, "flags": 1}
    assert hash(record) == hash(RecordValue({"subject": 3, "flags": 0}))
    assert "subject=3" in repr(record)
    with pytest.raises(KeyError, match="lock"):
        record.replace(lock=1)
    with pytest.raises(AttributeError, match="replace"):
        record.flags = 1
    with pytest.raises(AttributeError, match="no field 'lock'"):
        _ = record.lock


NO_RECORDS = {
    "pointers": "void *next;",
    "bits": "u32 low : 3; u32 high : 29;",
    "unions": "union { u32 a; u64 b; } either;",
}


def test_pointers_bit_fields_and_unions_are_no_records(tmp_path: Path) -> None:
    text = PRELUDE + 'SEC("xdp") int none(void *context) { return 2; }\n'
    for name, body in NO_RECORDS.items():
        attributes = f"NUMBER(type, 1); NUMBER(max_entries, 1); u32 *key; struct {name} *value;"
        text += f'struct {name} {{ {body} }};\nstruct {{ {attributes} }} map_{name} SEC(".maps");\n'
    spec = read_object(compile_c(text, tmp_path))
    assert spec.btf is not None
    for name in NO_RECORDS:
        with pytest.raises(ArtefactError, match=r"record|bit field"):
            btf_codec(spec.btf, spec.maps[f"map_{name}"].value_type)
