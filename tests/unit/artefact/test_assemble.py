"""Artefacts: what is in them, in which order, the same bytes from everywhere, and what is refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from sample_gate import MANIFEST, TABLES, TEXT, UNIT
from wardgate.compiler.artefact import (
    SIGNATURE_BYTES,
    TABLE_ALIGNMENT,
    ArtefactError,
    ElfObject,
    Relocation,
    Section,
    Symbol,
    assemble,
    btf,
    read_object,
    read_sections,
)
from wardgate.compiler.artefact.elf import SectionKind, write_object
from wardgate.compiler.backend import build_object
from wardgate.compiler.codegen.unit import PLACEHOLDER_PREFIX, TranslationUnit
from wardgate.runtime.layout.manifest import Manifest, MapUse, ProgramUse, Table
from wardgate.runtime.layout.maps import TABLE_SECTION_PREFIX


def test_sections_and_their_order(artefact: bytes) -> None:
    assert list(read_sections(artefact)) == [
        ".text",
        "tc",
        "xdp",
        "license",
        ".maps",
        ".rodata.config",
        ".rodata.t_narrow",
        ".rodata.t_wide",
        ".BTF",
        ".BTF.ext",
        ".wardgate.manifest",
        ".wardgate.signature",
    ]


def test_contents(artefact: bytes, built: bytes) -> None:
    sections, compiled = read_sections(artefact), read_sections(built)
    assert sections[".rodata.t_narrow"] == TABLES[".rodata.t_narrow"]
    assert sections[".rodata.t_wide"] == TABLES[".rodata.t_wide"]
    assert sections[".rodata.config"] == bytes(16)
    assert Manifest.from_json(sections[".wardgate.manifest"]) == MANIFEST
    assert sections[".wardgate.signature"] == bytes(SIGNATURE_BYTES)
    for name in (".text", "tc", "xdp", "license", ".maps"):
        assert sections[name] == compiled[name]


def test_relocations_still_name_what_they_named(artefact: bytes, built: bytes) -> None:
    def named(data: bytes) -> dict[str, list[tuple[int, int, str, str]]]:
        return {
            section.name: [
                (
                    r.offset,
                    r.kind,
                    r.symbol.name or r.symbol.section,
                    r.symbol.section.replace(PLACEHOLDER_PREFIX, TABLE_SECTION_PREFIX),
                )
                for r in section.relocations
            ]
            for section in read_object(data).sections
            if section.name in (".text", "tc", "xdp")
        }

    assert named(artefact) == named(built)
    assert any(name == "devices" for _, _, name, _ in named(artefact)["tc"])


def test_only_programs_are_relocated_and_only_used_symbols_stay(artefact: bytes) -> None:
    content = read_object(artefact)
    relocated = {section.name for section in content.sections if section.relocations}
    assert relocated == {".text", "tc", "xdp"}
    assert {symbol.name for symbol in content.symbols} == {
        "", "looked_up", "gate_ingress", "gate_egress", "gate_xdp", "devices", "addresses",
        "config", "_license", "t_narrow", "t_wide",
    }  # fmt: skip


def test_tables_are_aligned(artefact: bytes) -> None:
    content = read_object(artefact)
    aligned = {section.name for section in content.sections if section.align == TABLE_ALIGNMENT}
    assert aligned == set(TABLES)
    assert all(artefact.find(TABLES[name]) % TABLE_ALIGNMENT == 0 for name in TABLES)


def test_types_of_data_are_complete(artefact: bytes) -> None:
    sections = read_sections(artefact)
    sizes = {name: len(content) for name, content in sections.items()}
    assert btf.fill_section_sizes(sections[".BTF"], sizes) == sections[".BTF"]


def test_nothing_is_left_of_the_names_that_tables_are_declared_by(artefact: bytes) -> None:
    assert len(PLACEHOLDER_PREFIX) == len(TABLE_SECTION_PREFIX)
    assert PLACEHOLDER_PREFIX.encode() not in artefact
    sections = read_sections(artefact)
    for name in TABLES:
        assert b"\0" + name.encode() + b"\0" in sections[".BTF"]


def test_a_description_at_hand_is_taken(built: bytes, artefact: bytes) -> None:
    assert assemble(built, TABLES, MANIFEST, MANIFEST.to_json()) == artefact


def test_signing_would_move_nothing(artefact: bytes) -> None:
    at = ELFFile(io.BytesIO(artefact)).get_section_by_name(".wardgate.signature")["sh_offset"]
    signature = bytes(range(1, SIGNATURE_BYTES + 1))
    signed = artefact[:at] + signature + artefact[at + SIGNATURE_BYTES :]
    assert read_sections(signed) == {**read_sections(artefact), ".wardgate.signature": signature}


def test_both_backends_can_be_assembled(artefact: bytes) -> None:
    other = assemble(build_object(UNIT, backend="clang").data, TABLES, MANIFEST)
    assert list(read_sections(other)) == list(read_sections(artefact))


def test_the_same_bytes_from_another_folder_and_hash_seed(artefact: bytes, tmp_path: Path) -> None:
    code = (
        "import sys, sample_gate as s\nfrom wardgate.compiler.artefact import assemble\n"
        "from wardgate.compiler.backend import build_object\n"
        "tables = dict(reversed(s.TABLES.items()))\n"
        "sys.stdout.buffer.write(assemble(build_object(s.UNIT).data, tables, s.MANIFEST))"
    )
    support = Path(sys.modules["sample_gate"].__file__).parent
    for seed in ("0", "12345"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(support), "TMPDIR": str(folder)}
        process = subprocess.run(
            [sys.executable, "-B", "-c", code],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            check=True,
        )
        assert process.stdout == artefact
        assert str(tmp_path).encode() not in process.stdout


def refused(obj: bytes, cause: str, tables: dict[str, bytes] = TABLES, manifest: Manifest = MANIFEST) -> None:
    """Assembling fails because of `cause`."""
    with pytest.raises(ArtefactError, match=cause) as caught:
        assemble(obj, tables, manifest)
    assert "\n" in str(caught.value)


def test_tables_must_be_the_declared_ones(built: bytes) -> None:
    name = ".rodata.t_wide"
    without = {key: value for key, value in TABLES.items() if key != name}
    refused(built, r"t_wide: a table without content", without)
    refused(built, r"t_more: a table that the programs do not declare", {**TABLES, ".rodata.t_more": b"x"})
    for size in (0, 63, 65):
        refused(built, rf"64 bytes declared, {size} given", {**TABLES, name: bytes(size)})


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"tables": MANIFEST.tables[:1]}, "its tables are not those"),
        ({"tables": (*MANIFEST.tables, MANIFEST.tables[0])}, "its tables are not those"),
        ({"tables": (MANIFEST.tables[0], Table("wide", ".rodata.t_wide", 4, 8, ""))}, "32 in the manifest"),
        ({"programs": MANIFEST.programs[:2]}, "its programs are"),
        ({"programs": (*MANIFEST.programs, ProgramUse("x", "tc", "tc"))}, "its programs are"),
        ({"maps": MANIFEST.maps[:1]}, "its maps are"),
        ({"maps": (*MANIFEST.maps, MapUse("flows", "gate", 1))}, "its maps are"),
    ],
)
def test_the_manifest_must_fit(built: bytes, change: dict[str, object], cause: str) -> None:
    refused(built, cause, manifest=replace(MANIFEST, **change))


@pytest.mark.parametrize(
    ("addition", "cause"),
    [
        ("int counter = 7; int *use(void) { return &counter; }", "cannot assemble .data"),
        ("int counter; int *use(void) { return &counter; }", "cannot assemble .bss"),
        ("extern int missing; int use(void) { return missing; }", "'missing' is not defined"),
        ("extern int missing(void); int use(void) { return missing(); }", "'missing' is not defined"),
        ('int writable SEC(".rodata.w") = 3; int use(void) { return writable; }', "declared const"),
        ("int use(void); const volatile void *const p SEC(\".rodata.p\") = use; int use(void) { return 1; }",
         "cannot hold addresses"),
        ('const volatile int t_more SEC(".bss.ro.t_wide") = 0;', "not one variable|bytes declared"),
        ('const volatile int t_more SEC(".bss.ro.t_more") = 0;', "without content"),
        ('const volatile int t_more SEC(".rodata.t_more") = 0;', "is declared in a section .bss.ro.t_NAME"),
    ],
)  # fmt: skip
def test_programs_with_what_has_no_place(addition: str, cause: str) -> None:
    unit = TranslationUnit("gate.c", f"{TEXT}\n{addition}\n", UNIT.sources)
    refused(build_object(unit).data, cause)


def test_a_table_that_has_content_already(built: bytes) -> None:
    def change(section: Section) -> Section:
        if section.name != ".bss.ro.t_wide":
            return section
        return replace(section, kind=SectionKind.PROGBITS, data=bytes(64), zeros=0)

    refused(edited(built, change), "already has content")


def test_an_absolute_path_is_refused() -> None:
    text = f'{TEXT}\n#line 1 "/home/alice/policy.yaml"\nSEC("tc") int more(void *c) {{ return c == 0; }}\n'
    manifest = replace(MANIFEST, programs=(*MANIFEST.programs, ProgramUse("more", "tc", "tc")))
    obj = build_object(TranslationUnit("gate.c", text, UNIT.sources)).data
    refused(obj, "/home/alice/policy.yaml', a path of this machine", manifest=manifest)


def edited(data: bytes, change: Callable[[Section], Section | None]) -> bytes:
    """The object with its sections changed, or left out."""
    content = read_object(data)
    sections = [new for section in content.sections if (new := change(section)) is not None]
    names = {section.name for section in sections}
    return write_object(
        ElfObject(tuple(sections), tuple(s for s in content.symbols if s.section in {"", *names}))
    )


@pytest.mark.parametrize("name", ["license", ".maps", ".rodata.config", ".BTF", ".BTF.ext"])
def test_a_section_that_must_be_there(built: bytes, name: str) -> None:
    content = read_object(built)
    sections = tuple(replace(section, relocations=()) for section in content.sections if section.name != name)
    symbols = tuple(symbol for symbol in content.symbols if symbol.section != name)
    refused(write_object(ElfObject(sections, symbols)), f"cannot assemble {name}: the object does not have")


def test_relocations_that_a_runtime_does_not_know(built: bytes) -> None:
    def change(kind: int, offset: int) -> Callable[[Section], Section]:
        def change_one(section: Section) -> Section:
            if section.name != "tc":
                return section
            first, *others = section.relocations
            return replace(section, relocations=(Relocation(offset, kind, first.symbol), *others))

        return change_one

    refused(edited(built, change(2, 8)), "relocation of kind 2 at 8")
    refused(edited(built, change(1, 9)), "relocation of kind 1 at 9")


def test_a_configuration_of_another_size(built: bytes) -> None:
    def change(section: Section) -> Section:
        return replace(section, data=bytes(24)) if section.name == ".rodata.config" else section

    refused(edited(built, change), "does not have the 16 bytes")


def test_a_reference_to_what_is_dropped(built: bytes) -> None:
    content = read_object(built)
    dropped = Symbol("in_debug", 1, 1, 0, ".debug_str", 0, 8)
    sections = tuple(
        replace(section, relocations=(*section.relocations, Relocation(0, 1, dropped)))
        if section.name == "xdp"
        else section
        for section in content.sections
    )
    obj = write_object(ElfObject(sections, (*content.symbols, dropped)))
    refused(obj, "refer to what is not in it: in_debug")


def test_what_is_no_object() -> None:
    with pytest.raises(ArtefactError, match="64-bit little-endian ELF"):
        assemble(b"", TABLES, MANIFEST)
