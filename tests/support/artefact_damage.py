"""Ways to damage an artefact, each a function that changes an Image."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

from bpf_objects import manifest
from elf_image import Image
from wardgate.runtime.btf import Array, Modifier, read_btf
from wardgate.runtime.layout.maps import MANIFEST_SECTION

Change = Callable[[Image], None]


def patch(name: str, offset: int, data: bytes) -> Change:
    """Overwrite bytes of a section."""

    def change(image: Image) -> None:
        image.section(name).data[offset : offset + len(data)] = data

    return change


def resize(name: str, size: int) -> Change:
    def change(image: Image) -> None:
        image.section(name).data = image.section(name).data[:size].ljust(size, b"\0")

    return change


def declare(name: str, **fields: int) -> Change:
    """Change a section's header, not its content."""

    def change(image: Image) -> None:
        for key, value in fields.items():
            setattr(image.section(name), key, value)

    return change


def header(**fields: int) -> Change:
    def change(image: Image) -> None:
        image.overrides |= fields

    return change


def drop(*names: str) -> Change:
    def change(image: Image) -> None:
        for name in names:
            image.drop(name)

    return change


def rename(old: str, new: str) -> Change:
    def change(image: Image) -> None:
        image.section(old).name = new

    return change


def symbol(name: str, **fields: int) -> Change:
    return lambda image: image.change_symbol(name, **fields)


def relocation(section: str, number: int, **fields: int) -> Change:
    return lambda image: image.change_relocation(section, number, **fields)


def ident(place: int, value: int) -> Change:
    def change(image: Image) -> None:
        image.ident[place] = value

    return change


def types(change: Callable[[bytearray, Image], None]) -> Change:
    def apply(image: Image) -> None:
        change(image.section(".BTF").data, image)

    return apply


def type_of(raw: bytearray, matches: Callable[[object], bool]) -> int:
    """Where a type begins."""
    btf = read_btf(bytes(raw))
    return next(offset for offset, one in zip(btf.offsets, btf.types, strict=True) if matches(one))


def word(matches: Callable[[object], bool], offset: int, value: int) -> Change:
    """Overwrite a word of the first type that matches."""

    def change(raw: bytearray, _image: Image) -> None:
        struct.pack_into("<I", raw, type_of(raw, matches) + offset, value)

    return types(change)


def definition(name: str) -> Callable[[bytearray], int]:
    """Where the struct begins that defines a map."""

    def find(raw: bytearray) -> int:
        btf = read_btf(bytes(raw))
        variable = next(
            one for one in btf.types if getattr(one, "name", "") == name and hasattr(one, "linkage")
        )
        return btf.offsets[variable.type_id - 1]

    return find


def member(name: str, number: int, offset: int, value: int) -> Change:
    """Overwrite a word of a member of a map's definition."""

    def change(raw: bytearray, _image: Image) -> None:
        struct.pack_into("<I", raw, definition(name)(raw) + 12 + 12 * number + offset, value)

    return types(change)


def count_of(name: str, number: int, count: int) -> Change:
    """Change a number in a map's definition: the count of the array that its member points to."""

    def change(raw: bytearray, _image: Image) -> None:
        btf = read_btf(bytes(raw))
        place = definition(name)(raw)
        (pointer,) = struct.unpack_from("<I", raw, place + 12 + 12 * number + 4)
        array = btf.types[pointer - 1].type_id
        assert isinstance(btf.types[array - 1], Array)
        struct.pack_into("<I", raw, btf.offsets[array - 1] + 20, count)

    return types(change)


def is_kind(kind: type) -> Callable[[object], bool]:
    return lambda one: isinstance(one, kind)


def replace_text(section: str, old: bytes, new: bytes) -> Change:
    """Replace text in a section with text of the same length."""
    assert len(old) == len(new)

    def change(image: Image) -> None:
        data = image.section(section).data
        assert old in data
        data[:] = data.replace(old, new)

    return change


def attribute_twice(raw: bytearray, _image: Image) -> None:
    """Give the second attribute of a map the name of the first."""
    place = definition("devices")(raw) + 12
    struct.pack_into("<I", raw, place + 12, *struct.unpack_from("<I", raw, place))


def typedef_of_itself(raw: bytearray, _image: Image) -> None:
    btf = read_btf(bytes(raw))
    for number, (offset, one) in enumerate(zip(btf.offsets, btf.types, strict=True), 1):
        if isinstance(one, Modifier):
            struct.pack_into("<I", raw, offset + 8, number)


def content(data: bytes) -> Change:
    def change(image: Image) -> None:
        image.section(MANIFEST_SECTION).data[:] = data

    return change


def document(change: Callable[[dict], None]) -> Change:
    """Change the manifest as JSON."""
    whole = json.loads(manifest().to_json())
    change(whole)
    return content(json.dumps(whole).encode())


def entry(name: str, number: int, **fields: object) -> Change:
    return document(lambda whole: whole[name][number].update(fields))
