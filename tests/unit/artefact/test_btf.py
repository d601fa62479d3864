"""What the writer finishes in the type information, and what it finds there."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler.artefact import ArtefactError, Relocation, Symbol, btf, read_sections


def symbol(value: int) -> Symbol:
    """A symbol of this value."""
    return Symbol("x", 1, 1, 0, ".maps", value, 4)


def blob(types: bytes, strings: bytes = b"\0.maps\0.data\0") -> bytes:
    """A `.BTF` section."""
    return (
        struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings
    )


def datasec(name: int, variables: int = 0) -> bytes:
    """A DATASEC without a size."""
    return struct.pack("<III", name, 15 << 24 | variables, 0) + bytes(12 * variables)


# A type of each kind but DATASEC with what follows its header: kind, members, bytes
# (kernel documentation, bpf/btf.rst).
EVERY_KIND = b"".join(
    struct.pack("<III", 0, kind << 24 | members, 4) + bytes(rest)
    for kind, members, rest in [
        (1, 0, 4), (2, 0, 0), (3, 0, 12), (4, 2, 24), (5, 1, 12), (6, 1, 8), (7, 0, 0), (8, 0, 0), (9, 0, 0),
        (10, 0, 0), (11, 0, 0), (12, 0, 0), (13, 3, 24), (14, 0, 4), (16, 0, 0), (17, 0, 4), (18, 0, 0),
        (19, 2, 24),
    ]
)  # fmt: skip


def test_sizes_are_filled_in_behind_types_of_every_kind() -> None:
    given_types = EVERY_KIND + datasec(1, 2) + EVERY_KIND + datasec(7, 1)
    filled = btf.fill_section_sizes(blob(given_types), {".maps": 64, ".data": 7, "other": 1})
    first, second = 24 + len(EVERY_KIND), 24 + 2 * len(EVERY_KIND) + len(datasec(1, 2))
    expected = bytearray(blob(given_types))
    struct.pack_into("<I", expected, first + 8, 64)
    struct.pack_into("<I", expected, second + 8, 7)
    assert filled == bytes(expected)


def test_sections_get_other_names_where_they_are_named() -> None:
    types = datasec(1) + EVERY_KIND + datasec(7)
    renamed = btf.rename_sections(blob(types), {".data": ".bass", ".text": ".bits"})
    assert renamed == blob(types, b"\0.maps\0.bass\0")
    # Of a variable that is called so, nothing changes.
    assert btf.rename_sections(blob(EVERY_KIND), {".maps": ".bits"}) == blob(EVERY_KIND)
    with pytest.raises(ValueError, match="not of the same length"):
        btf.rename_sections(blob(types), {".data": ".rodata"})


def test_a_described_section_must_be_there() -> None:
    with pytest.raises(ArtefactError, match=r"'\.data', which the object does not have"):
        btf.fill_section_sizes(blob(datasec(7)), {".maps": 8})


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "too short"),
        (bytes(24), "no header of version 1"),
        (struct.pack("<HBBIIIII", 0xEB9F, 2, 0, 24, 0, 0, 0, 0), "no header of version 1"),
        (struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 99), "strings are not inside"),
        (blob(struct.pack("<III", 0, 20 << 24, 0)), "unknown kind 20"),
        (blob(struct.pack("<III", 0, 0, 0)), "unknown kind 0"),
        (blob(b"\1\2\3"), "in the middle of one"),
        (blob(datasec(99)), "not in its table"),
    ],
)
def test_broken_types(data: bytes, cause: str) -> None:
    with pytest.raises(ArtefactError, match=cause):
        btf.fill_section_sizes(data, {".maps": 8})


def test_relocations_add_the_symbols_value() -> None:
    data = struct.pack("<III", 1, 2, 3)
    relocated = btf.relocate(".BTF", data, [Relocation(4, 3, symbol(40)), Relocation(8, 4, symbol(5))])
    assert struct.unpack("<III", relocated) == (1, 42, 8)


@pytest.mark.parametrize(
    ("offset", "kind", "value"), [(0, 1, 0), (0, 10, 0), (2, 3, 0), (0, 3, 0xFFFF_FFFF), (0, 3, 1 << 63)]
)
def test_relocations_that_do_not_fit(offset: int, kind: int, value: int) -> None:
    with pytest.raises(ArtefactError):
        btf.relocate(".BTF", b"\1\0\0\0", [Relocation(offset, kind, symbol(value))])


def test_source_names(built: bytes) -> None:
    sections = read_sections(built)
    names = btf.source_names(sections[".BTF"], sections[".BTF.ext"])
    assert names == {"gate.c", "office.yaml", "../shared.yaml", "bpf_templates/lookup.h"}


def test_line_information_that_is_not_there_or_broken(built: bytes) -> None:
    types = read_sections(built)[".BTF"]

    def extension(lines: bytes, length: int | None = None) -> bytes:
        size = len(lines) if length is None else length
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, size) + lines

    assert btf.source_names(types, extension(b"")) == set()
    assert btf.source_names(types, extension(struct.pack("<I", 16))) == set()
    for broken in (
        b"",
        bytes(24),
        extension(b"", 8),
        extension(struct.pack("<I", 8)),
        extension(struct.pack("<III", 16, 0, 5)),
        extension(struct.pack("<IIIIIII", 16, 0, 1, 0, 1 << 30, 0, 0)),
    ):
        with pytest.raises(ArtefactError):
            btf.source_names(types, broken)


@given(st.data())
def test_changed_bytes_give_a_result_or_our_error(built: bytes, data: st.DataObject) -> None:
    sections = read_sections(built)
    changed = {name: bytearray(sections[name]) for name in (".BTF", ".BTF.ext")}
    for content in changed.values():
        for _ in range(data.draw(st.integers(0, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArtefactError):
        btf.fill_section_sizes(bytes(changed[".BTF"]), {name: len(part) for name, part in sections.items()})
        btf.source_names(bytes(changed[".BTF"]), bytes(changed[".BTF.ext"]))
