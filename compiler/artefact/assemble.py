"""From a compiler's object, tables and manifest to an artefact.

What it holds, in this order: the programs with their relocations, `license`, `.maps`,
`.rodata.config`, the tables, `.BTF`, `.BTF.ext`, `.wardgate.manifest`, `.wardgate.signature`, and the
tables of symbols and names. The bytes depend on the arguments alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from wardgate.compiler.artefact import btf
from wardgate.compiler.artefact.elf import (
    ElfObject,
    Relocation,
    Section,
    SectionFlag,
    SectionKind,
    Symbol,
    SymbolKind,
    read_object,
    write_object,
)
from wardgate.compiler.artefact.errors import unfit
from wardgate.compiler.codegen.unit import PLACEHOLDER_PREFIX
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import (
    CONFIG_SECTION,
    MANIFEST_SECTION,
    SIGNATURE_SECTION,
    TABLE_SECTION_PREFIX,
)
from wardgate.runtime.layout.records import CONFIG

SIGNATURE_BYTES: Final = 96
"""Room for an Ed25519 signature (64 bytes, RFC 8032) and the public key that made it (32 bytes). All
zero: unsigned. A signature is over the artefact with this section zero, so that signing moves nothing."""

TABLE_ALIGNMENT: Final = 64
"""A cache line; in the file alone, since the kernel places the copies that programs read."""

_CODE_ALIGNMENT: Final = 8
_DROPPED: Final = (".debug_", ".llvm", ".comment", ".note.GNU-stack")
_PROGRAM_RELOCATIONS: Final = {1: "R_BPF_64_64", 10: "R_BPF_64_32"}
_INSTRUCTION: Final = 8
_ORDER: Final = ("license", ".maps", CONFIG_SECTION, ".rodata", ".BTF", ".BTF.ext")
_BTF_SECTIONS: Final = (".BTF", ".BTF.ext")


def assemble(
    obj: bytes, tables: Mapping[str, bytes], manifest: Manifest, described: bytes | None = None
) -> bytes:
    """The artefact.

    `obj`: a relocatable object of a backend, with BTF, and with each table declared in a section of its
    own (PLACEHOLDER_PREFIX and its name, one symbol `t_NAME`). `tables`: section (of the artefact) to
    content, exactly the declared ones in exactly the declared size. `described`: the bytes of `manifest`
    where they are at hand. ArtefactError where these do not agree, or the object has something that an
    artefact may not have (writable data, undefined symbols, absolute paths).
    """
    given = _with_places(read_object(obj))
    kept = [
        section
        for section in given.sections
        if not section.name.startswith(_DROPPED)
        and (section.data or section.zeros or section.name.startswith(TABLE_SECTION_PREFIX))
    ]
    for section in kept:
        _check_section(section)
    by_name = {section.name: section for section in kept}
    for name in ("license", ".maps", CONFIG_SECTION, *_BTF_SECTIONS):
        if name not in by_name:
            raise unfit(name, "the object does not have this section")
    if len(by_name[CONFIG_SECTION].data) != CONFIG.size:
        raise unfit(CONFIG_SECTION, f"it does not have the {CONFIG.size} bytes of the record")
    _check_tables(by_name, given.symbols, tables, manifest)
    _check_declarations(given.symbols, manifest)
    sections = [_finished(section, by_name, tables) for section in kept]
    _check_paths(sections, given.symbols)
    sections.append(_plain(MANIFEST_SECTION, manifest.to_json() if described is None else described))
    sections.append(_plain(SIGNATURE_SECTION, bytes(SIGNATURE_BYTES)))
    sections.sort(key=_rank)
    return write_object(ElfObject(tuple(sections), _kept_symbols(sections, given.symbols)))


def _with_places(given: ElfObject) -> ElfObject:
    """The object with the sections of its tables as an artefact names them."""
    names = {
        section.name: TABLE_SECTION_PREFIX + section.name.removeprefix(PLACEHOLDER_PREFIX)
        for section in given.sections
        if section.name.startswith(PLACEHOLDER_PREFIX)
    }
    symbols = {
        symbol: replace(symbol, section=names[symbol.section])
        for symbol in given.symbols
        if symbol.section in names
    }
    sections = []
    for section in given.sections:
        if section.name.startswith(TABLE_SECTION_PREFIX):
            raise unfit(section.name, f"a table is declared in a section {PLACEHOLDER_PREFIX}NAME")
        relocations = tuple(
            replace(relocation, symbol=symbols[relocation.symbol])
            if relocation.symbol in symbols
            else relocation
            for relocation in section.relocations
        )
        data = section.data
        if section.name == ".BTF":
            data = btf.rename_sections(data, names)
        name = names.get(section.name, section.name)
        sections.append(replace(section, name=name, data=data, relocations=relocations))
    return ElfObject(tuple(sections), tuple(symbols.get(symbol, symbol) for symbol in given.symbols))


def _check_section(section: Section) -> None:
    name = section.name
    if name.startswith(TABLE_SECTION_PREFIX):
        if section.kind != SectionKind.NOBITS or section.relocations:
            raise unfit(name, "the object already has content for this table")
        return
    if section.kind != SectionKind.PROGBITS:
        raise unfit(name, f"sections of type {section.kind} have no place in an artefact")
    if section.flags & SectionFlag.EXEC:
        for relocation in section.relocations:
            _check_program_relocation(name, relocation)
    elif name not in _ORDER and not name.startswith(".rodata."):
        raise unfit(name, "only programs, constants and map definitions have a place in an artefact")
    elif name.startswith(".rodata") and section.flags & SectionFlag.WRITE:
        raise unfit(name, "tables and constants are declared const")
    elif section.relocations and name not in _BTF_SECTIONS:
        raise unfit(name, "constants and definitions cannot hold addresses")


def _check_program_relocation(name: str, relocation: Relocation) -> None:
    if relocation.kind not in _PROGRAM_RELOCATIONS or relocation.offset % _INSTRUCTION:
        raise unfit(name, f"relocation of kind {relocation.kind} at {relocation.offset}")
    if not relocation.symbol.section:
        raise unfit(name, f"the symbol {relocation.symbol.name!r} is not defined")


def _check_tables(
    sections: Mapping[str, Section],
    symbols: Iterable[Symbol],
    tables: Mapping[str, bytes],
    manifest: Manifest,
) -> None:
    declared = {name for name in sections if name.startswith(TABLE_SECTION_PREFIX)}
    for name in sorted(declared ^ set(tables)):
        where = "without content" if name in declared else "that the programs do not declare"
        raise unfit(name, f"a table {where}")
    described = {table.section: table.element * table.count for table in manifest.tables}
    if set(described) != declared or len(manifest.tables) != len(described):
        raise unfit("the manifest", "its tables are not those of the programs")
    symbols_of: dict[str, list[Symbol]] = {name: [] for name in declared}
    for symbol in symbols:
        if symbol.section in symbols_of and symbol.kind == SymbolKind.OBJECT:
            symbols_of[symbol.section].append(symbol)
    for name in sorted(declared):
        room, content = sections[name].zeros, tables[name]
        if not room == len(content) == described[name]:
            raise unfit(
                name,
                f"{room} bytes declared, {len(content)} given, {described[name]} in the manifest",
            )
        wanted = [(name.removeprefix(".rodata."), 0, room)]
        if [(symbol.name, symbol.value, symbol.size) for symbol in symbols_of[name]] != wanted:
            raise unfit(name, f"the section is not one variable {wanted[0][0]!r}")


def _check_declarations(symbols: Iterable[Symbol], manifest: Manifest) -> None:
    """The manifest's programs and maps are those of the object."""
    programs, maps = set(), set()
    for symbol in symbols:
        if symbol.section == ".maps" and symbol.kind == SymbolKind.OBJECT:
            maps.add(symbol.name)
        elif symbol.kind == SymbolKind.FUNC and symbol.section != ".text" and not symbol.is_local:
            programs.add((symbol.name, symbol.section))
    for what, found, listed in (
        ("programs", programs, {(program.name, program.section) for program in manifest.programs}),
        ("maps", maps, {use.name for use in manifest.maps}),
    ):
        if found != listed:
            raise unfit("the manifest", f"its {what} are {sorted(listed)}, the object's are {sorted(found)}")


def _finished(section: Section, by_name: Mapping[str, Section], tables: Mapping[str, bytes]) -> Section:
    """The section as the artefact has it."""
    name = section.name
    if section.flags & SectionFlag.EXEC:
        return replace(section, align=_CODE_ALIGNMENT)
    if name in tables:
        kind, flags = SectionKind.PROGBITS, SectionFlag.ALLOC
        return Section(name, kind, flags, TABLE_ALIGNMENT, tables[name])
    if name in _BTF_SECTIONS:
        data = btf.relocate(name, section.data, section.relocations)
        if name == ".BTF":
            sizes = {other: len(found.data) or found.zeros for other, found in by_name.items()}
            data = btf.fill_section_sizes(data, sizes)
        return replace(section, data=data, align=8, relocations=())
    return section


def _check_paths(sections: Iterable[Section], symbols: Iterable[Symbol]) -> None:
    """Paths of the machine that compiled would make the bytes depend on it."""
    contents = {section.name: section.data for section in sections}
    names = btf.source_names(contents[".BTF"], contents[".BTF.ext"])
    names |= {symbol.name for symbol in symbols}
    for name in sorted(names):
        if posixpath.isabs(name):
            raise unfit("the artefact", f"it would name {name!r}, a path of this machine")


def _plain(name: str, data: bytes) -> Section:
    return Section(name, SectionKind.PROGBITS, 0, 8, data)


def _rank(section: Section) -> tuple[int, str]:
    if section.flags & SectionFlag.EXEC:
        return 0, section.name
    if section.name in _ORDER:
        return 1 + _ORDER.index(section.name), section.name
    if section.name.startswith(".rodata."):
        return 1 + _ORDER.index(".rodata"), section.name
    return (len(_ORDER) + 1 + (section.name == SIGNATURE_SECTION)), section.name


def _kept_symbols(sections: Iterable[Section], symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
    """Functions and variables of the kept sections, and what their relocations refer to besides."""
    positions = {section.name: index for index, section in enumerate(sections)}
    referred = {relocation.symbol for section in sections for relocation in section.relocations}
    kinds = (SymbolKind.FUNC, SymbolKind.OBJECT)
    kept = {
        symbol
        for symbol in symbols
        if symbol.section in positions and (symbol.kind in kinds or symbol in referred)
    }
    missing = sorted(symbol.name for symbol in referred - kept)
    if missing:
        raise unfit("the artefact", f"its programs refer to what is not in it: {', '.join(missing)}")
    return tuple(sorted(kept, key=lambda s: (positions[s.section], s.value, s.kind, s.name, s.size)))
