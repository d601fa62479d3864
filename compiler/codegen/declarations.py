"""C declarations of what the programs share with userspace, generated from its one definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from wardgate.compiler.codegen.unit import PLACEHOLDER_PREFIX
from wardgate.compiler.lowering.patterns import VERDICT_BITS
from wardgate.compiler.lowering.tables import TableData
from wardgate.runtime.layout import codes, records
from wardgate.runtime.layout.maps import CONFIG_SECTION, MapLayout, MapType
from wardgate.runtime.layout.records import ALIGNMENT, CONFIG, RECORDS, Record


def _enum(kind: type[IntEnum], prefix: str = "") -> str:
    members = "".join(f"\t{prefix}{member.name} = {member.value},\n" for member in kind)
    return f"enum {kind.__name__.lower()} {{\n{members}}};\n"


def code_declarations() -> str:
    """Verdicts, reasons, directions, and the constants of these and of records."""
    return "\n".join(
        [
            _enum(codes.Verdict, "VERDICT_"),
            _enum(codes.Reason, "REASON_"),
            _enum(codes.Direction),
            "enum {",
            f"\tREASON_SLOTS = {codes.REASON_SLOTS},",
            f"\tDEVICE_LOCKED = {codes.DEVICE_LOCKED},",
            f"\tNOBODY_CLASS = {codes.NOBODY_CLASS},",
            f"\tVERDICT_BITS = {VERDICT_BITS},",
            f"\tVERDICT_MASK = {(1 << VERDICT_BITS) - 1},",
            f"\tREASON_COUNTERS = {records.REASON_COUNTERS},",
            f"\tHITS_A_BLOCK = {records.HITS_A_BLOCK},",
            f"\tFLOWS_A_DEVICE = {records.FLOWS_A_DEVICE},",
            "};\n",
        ]
    )


def record_declarations(records: Iterable[Record] = RECORDS) -> str:
    """A struct for each record."""
    parts = []
    for record in records:
        lines = [f"/* {record.doc} */", f"struct {record.name} {{"]
        for field in record.fields:
            dimension = f"[{field.length}]" if field.length > 1 else ""
            lines.append(f"\t{field.kind} {field.name}{dimension};\t/* {field.doc} */")
        parts.append("\n".join([*lines, f"}} __attribute__((aligned({ALIGNMENT})));\n"]))
    return "\n".join(parts)


def map_declarations(maps: Iterable[tuple[MapLayout, int]]) -> str:
    """BTF-defined maps, each with its number of entries."""
    return "\n".join(_map(layout, entries) for layout, entries in maps)


def _map(layout: MapLayout, entries: int) -> str:
    lines = [
        f"/* {layout.doc} */",
        "struct {",
        f"\tMAP_FIELD(type, {layout.type.value});\t/* {layout.type.name.lower()} */",
        f"\tMAP_FIELD(max_entries, {entries});",
    ]
    if layout.type is not MapType.RINGBUF:
        lines.append(f"\t{_type_of(layout.key)} *key;")
        lines.append(f"\t{_type_of(layout.value)} *value;")
    if layout.flags:
        lines.append(f"\tMAP_FIELD(map_flags, {int(layout.flags)});")
    return "\n".join([*lines, f'}} {layout.name} SEC(".maps");\n'])


def _type_of(record: Record | None) -> str:
    return f"struct {record.name}" if record else "u32"


def config_declaration() -> str:
    """The constants that the runtime sets at load."""
    return f'/* {CONFIG.doc} */\nconst volatile struct {CONFIG.name} config SEC("{CONFIG_SECTION}");\n'


def table_declarations(tables: Iterable[TableData]) -> str:
    """The tables, whose contents the artefact's writer fills in."""
    parts = []
    for data in tables:
        count = len(data.values)
        kind = f"u{8 * data.element}"
        parts.append(f"/* {data.doc} */\n")
        section = f"{PLACEHOLDER_PREFIX}{data.name}"
        parts.append(f'const volatile {kind} {data.symbol}[{count}] SEC("{section}");\n\n')
    return "".join(parts)


def parameter_declarations(parameters: Mapping[str, int]) -> str:
    """The numbers that this policy gives to the templates."""
    return "".join(
        f"#define {name.upper()} {value}{'ULL' if value >= 1 << 32 else 'U'}\n"
        for name, value in parameters.items()
    )


def boundary_declarations(parameters: Mapping[str, int]) -> str:
    """Of routes that are straight-line code: how many of the boundaries an address has reached."""
    parts = []
    if "route4_boundaries" in parameters:
        numbers = range(1, parameters["route4_boundaries"] + 1)
        compared = [f"reached4(next, ROUTE4_BOUNDARY_{number})" for number in numbers]
        parts.append(_sum("ROUTE4_REACHED(next)", compared))
    if "route6_boundaries" in parameters:
        names = [f"ROUTE6_BOUNDARY_{number}" for number in range(1, parameters["route6_boundaries"] + 1)]
        boundaries = [f"HIGH6({name}_HIGH, {name}_LOW), LOW6({name}_LOW)" for name in names]
        compared = [f"reached6(high, low, {boundary})" for boundary in boundaries]
        parts.append(_sum("ROUTE6_REACHED(high, low)", compared))
    return "".join(parts)


def _sum(name: str, terms: Sequence[str]) -> str:
    counted = "".join(f"\t\tCOUNT_REACHED({term}); \\\n" for term in terms)
    return f"#define {name} \\\n\t({{ u64 reached_ = 0; \\\n{counted}\t\treached_; }})\n"
