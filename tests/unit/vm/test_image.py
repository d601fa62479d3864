"""Objects are read into images; what is damaged is refused with a typed error, whatever the damage."""

from __future__ import annotations

import random

import pytest
from bpf_assembly import EXIT, alu, call_local, load, load64
from wardgate.compiler.artefact.elf import (
    ElfObject,
    Relocation,
    Section,
    SectionFlag,
    SectionKind,
    Symbol,
    SymbolKind,
    write_object,
)
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.errors import ImageError, VmError
from wardgate.compiler.vm.image import DataReference, Image, MapReference
from wardgate.compiler.vm.machine import Machine

CODE = load64(1, 0) + load64(2, 4) + call_local(-1) + EXIT
HELPER = load(isa.W, 0, 2, 0) + alu(isa.ADD, 0, imm=1) + EXIT
EXECUTABLE = SectionFlag.ALLOC | SectionFlag.EXEC


def symbol(name: str, kind: SymbolKind, section: str, value: int = 0, size: int = 8) -> Symbol:
    return Symbol(name, kind, 0 if kind is SymbolKind.SECTION else 1, 0, section, value, size)


MAP = symbol("devices", SymbolKind.OBJECT, ".maps")
TABLE = symbol("", SymbolKind.SECTION, ".rodata.t_x")
TEXT = symbol("", SymbolKind.SECTION, ".text")
PROGRAM = symbol("gate", SymbolKind.FUNC, "tc", 0, len(CODE))
FUNCTION = symbol("add_one", SymbolKind.FUNC, ".text", 0, len(HELPER))
RELOCATIONS = (Relocation(0, 1, MAP), Relocation(16, 1, TABLE), Relocation(32, 10, TEXT))


def build(
    code: bytes = CODE,
    relocations: tuple[Relocation, ...] = RELOCATIONS,
    *more: Symbol,
    helper: bytes = HELPER,
) -> bytes:
    sections = (
        Section(".text", SectionKind.PROGBITS, EXECUTABLE, 8, helper),
        Section("tc", SectionKind.PROGBITS, EXECUTABLE, 8, code, relocations),
        Section(".maps", SectionKind.PROGBITS, SectionFlag.ALLOC, 8, bytes(32)),
        Section(".rodata.t_x", SectionKind.PROGBITS, SectionFlag.ALLOC, 8, bytes(4) + b"\x29\0\0\0"),
        Section(".wardgate.manifest", SectionKind.PROGBITS, 0, 8, b"{}"),
    )
    return write_object(ElfObject(sections, (TABLE, TEXT, PROGRAM, FUNCTION, MAP, *more)))


def test_reads_all_parts() -> None:
    image = Image.from_elf(build())
    assert image.functions == {"add_one": 0, "gate": 3}
    assert image.sections["gate"] == "tc"
    assert image.maps == ("devices",)
    assert image.manifest == b"{}"
    assert image.references == {3: MapReference("devices"), 5: DataReference(".rodata.t_x", 4)}
    assert image.calls == {7: 0}
    machine = Machine(image, sizes={})
    assert machine.run("gate").return_value == 42


def test_tables_are_read_only() -> None:
    write = isa.encode(isa.Instruction(isa.ST | isa.MEM | isa.W, 2, 0, 0, 1))
    image = Image.from_elf(build(helper=write + HELPER))
    with pytest.raises(VmError, match=r"read-only \.rodata\.t_x"):
        Machine(image, sizes={}).run("gate")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not a readable BPF object"),
        (b"\x7fELF", "not a readable BPF object"),
        (bytes(5000), "not a readable BPF object"),
        (build()[:18] + b"\x3e\0" + build()[20:], "not a 64-bit little-endian BPF object"),
        (build()[:5] + b"\x02" + build()[6:], "BPF object"),
        (build(CODE[:-4]), "whole instructions"),
        (build(CODE, (Relocation(4, 1, MAP),)), "relocates byte 4"),
        (build(CODE, (Relocation(8, 1, MAP),)), "relocation of type 1"),
        (build(CODE, (Relocation(0, 3, MAP),)), "relocation of type 3"),
        (build(CODE, (Relocation(0, 1, PROGRAM),)), "neither map nor data"),
        (build(CODE, (Relocation(32, 10, MAP),)), "does not define"),
        (build(CODE, (Relocation(32, 10, PROGRAM), Relocation(0, 10, TEXT))), "relocation of type 10"),
        (build(CODE, RELOCATIONS, symbol("odd", SymbolKind.FUNC, "tc", 4)), "does not begin at"),
        (build(CODE, RELOCATIONS, symbol("far", SymbolKind.FUNC, "tc", 4000)), "does not begin at"),
        (build(CODE, RELOCATIONS, symbol("half", SymbolKind.FUNC, "tc", 8)), "does not begin at"),
        (build(CODE, RELOCATIONS, symbol("data", SymbolKind.FUNC, ".maps")), "no code section"),
        (build(CODE[:-8], RELOCATIONS), "nothing follows"),
    ],
)
def test_damage_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(ImageError, match=complaint):
        Image.from_elf(data)


def test_any_damage_gives_a_typed_error_or_an_image() -> None:
    chance = random.Random(1)
    whole = build()
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
        damaged = bytes(data[: chance.choice((len(data), len(data), chance.randrange(len(data))))])
        try:
            image = Image.from_elf(damaged)
            if "gate" in image.functions:
                Machine(image, sizes={}, budget=1000).run("gate")
        except VmError:
            continue
