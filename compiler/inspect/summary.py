"""What an artefact is, on one screen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from wardgate.compiler.costs.sizes import size
from wardgate.compiler.inspect.model import Function, Inspection, Signature
from wardgate.compiler.inspect.requirements import UNKNOWN, Requirement, oldest_kernel, requirements
from wardgate.runtime.layout.maps import MANIFEST_SECTION, TABLE_SECTION_PREFIX

WIDTH: Final = 80
_MARGIN: Final = 11
_MOST_USERS: Final = 12
_MOST_TABLES: Final = 4
_OLD: Final = "5.0"
"""Features of releases before this one are counted and not named: no supported kernel lacks them."""
_DIGITS: Final = 16


def summary_document(inspection: Inspection) -> dict[str, Any]:
    """As docs/json.md describes it."""
    manifest = inspection.manifest
    needed = requirements(inspection)
    certificate = manifest.certificate
    return {
        "bytes": inspection.size,
        "format": manifest.format,
        "wardgate": manifest.wardgate,
        "tools": dict(manifest.tools),
        "licence": inspection.spec.licence,
        "signature": inspection.signature.value,
        "digest": manifest.digest,
        "files": [asdict(file) for file in manifest.files],
        "tunnel": list(manifest.tunnel),
        "resolved": {name: list(found) for name, found in manifest.resolved.items()},
        "rules": [asdict(rule) for rule in manifest.rules],
        "buckets": len(manifest.buckets),
        "policy_classes": manifest.classes - 1,
        "default_class": manifest.default_class,
        "subjects": dict(manifest.subjects),
        "destination_classes": manifest.parameters.get("destinations"),
        "service_classes": manifest.parameters.get("services"),
        "programs": [_function_document(inspection, program) for program in inspection.programs],
        "functions": [
            _function_document(inspection, one) for one in inspection.functions.values() if not one.hook
        ],
        "tables": [{**asdict(table), "bytes": table.element * table.count} for table in manifest.tables],
        "maps": [asdict(use) for use in manifest.maps],
        "sizes": sizes(inspection),
        "linux": oldest_kernel(needed),
        "requirements": [asdict(one) for one in needed],
        "certificate": asdict(certificate) if certificate else None,
    }


def _function_document(inspection: Inspection, function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "section": function.section,
        "hook": function.hook,
        "instructions": function.size,
        "slots": function.slots,
        "blocks": len(function.blocks),
        "loops": function.loops,
        "calls": list(function.calls),
        "reached": [one.name for one in inspection.reached(function)],
        "worst_path": function.worst,
    }


def sizes(inspection: Inspection) -> Mapping[str, int]:
    """Bytes of the artefact by what they are for."""
    found = {"tables": 0, "code": 0, "types": 0, "lines": 0, "manifest": 0}
    code = {function.section for function in inspection.functions.values()}
    of_section = {".BTF": "types", ".BTF.ext": "lines", MANIFEST_SECTION: "manifest"}
    for name, count in inspection.sections.items():
        if name.startswith(TABLE_SECTION_PREFIX):
            found["tables"] += count
        elif name in code:
            found["code"] += count
        elif name in of_section:
            found[of_section[name]] += count
    return {**found, "rest": inspection.size - sum(found.values())}


def members(inspection: Inspection) -> dict[int, list[str]]:
    """The users of each policy class, as far as the policy names them."""
    found: dict[int, list[str]] = {number: [] for number in range(1, inspection.manifest.classes)}
    for user, number in inspection.manifest.subjects.items():
        found.setdefault(number, []).append(user)
    return found


def summary_lines(inspection: Inspection, name: str) -> Iterator[str]:
    """A screen of at most WIDTH columns about the artefact called `name`."""
    manifest = inspection.manifest
    yield _cut(f"{name}: policy {manifest.digest[:_DIGITS]} from {_files(inspection)}")
    tools = ", ".join(f"{tool} {version}" for tool, version in manifest.tools.items())
    yield from _row("made by", f"wardgate {manifest.wardgate}; {tools}")
    yield from _row("signature", _signature(inspection.signature))
    inbound = sum(rule.inbound for rule in manifest.rules)
    of_them = f" ({inbound:,} inbound)" if inbound else ""
    yield from _row(
        "policy",
        f"{_count(len(manifest.rules), 'rule')}{of_them}, {_count(len(manifest.buckets), 'bucket')}; "
        f"tunnel {', '.join(manifest.tunnel) or 'none'}",
    )
    users = [f"{user} {number}" for user, number in manifest.subjects.items()]
    shown = ", ".join(users[:_MOST_USERS]) + (", ..." if len(users) > _MOST_USERS else "")
    yield from _row("subjects", f"{_count(len(users), 'user')} named" + (f": {shown}" if users else ""))
    numbers = manifest.parameters
    yield from _row(
        "classes",
        f"{manifest.classes - 1:,} of users (users not named have {manifest.default_class}), "
        f"{numbers.get('destinations', 0):,} of destinations, {numbers.get('services', 0):,} of services",
    )
    shares = ", ".join(f"{what} {size(count)}" for what, count in sizes(inspection).items())
    yield from _row("bytes", f"{inspection.size:,}: {shares}")
    largest = sorted(manifest.tables, key=lambda table: -table.element * table.count)
    tables = [f"{table.name} {size(table.element * table.count)}" for table in largest[:_MOST_TABLES]]
    yield from _row("tables", f"{len(largest)}: {', '.join(tables)}{', ...' * (len(largest) > len(tables))}")
    yield from _row("maps", f"{len(manifest.maps)}{_map_bytes(inspection)}")
    yield ""
    counts = f"{'instructions':>13}{'blocks':>8}{'functions':>11}{'worst path':>12}{'loops':>7}"
    yield f"{'program':14}{'hook':5}{counts}"
    for program in inspection.programs:
        reached = inspection.reached(program)
        yield (
            f"{program.name:14}{program.hook or '':5}{sum(one.size for one in reached):>13,}"
            f"{sum(len(one.blocks) for one in reached):>8,}{len(reached):>11}{program.worst:>12,}"
            f"{sum(one.loops for one in reached):>7}"
        )
    yield ""
    yield from _kernel_lines(requirements(inspection))


def _map_bytes(inspection: Inspection) -> str:
    certificate = inspection.manifest.certificate
    return f", {size(sum(one.bytes for one in certificate.maps))} in the kernel" if certificate else ""


def _files(inspection: Inspection) -> str:
    names = [file.name for file in inspection.manifest.files]
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _signature(state: Signature) -> str:
    if state is Signature.SIGNED:
        return "signed; by whom is not checked here"
    return "unsigned" if state is Signature.UNSIGNED else "unsigned, and has no place for a signature"


def _kernel_lines(needed: tuple[Requirement, ...]) -> Iterator[str]:
    recent = [f"{one.feature} {one.linux}" for one in needed if _is_recent(one)]
    older = len(needed) - len(recent)
    rest = f", and {older} that every Linux {_OLD} has" if older else ""
    yield from _row("kernel", f"Linux {oldest_kernel(needed)} or newer: {', '.join(recent)}{rest}", lines=9)


def _is_recent(one: Requirement) -> bool:
    return one.linux == UNKNOWN or int(one.linux.partition(".")[0]) >= int(_OLD.partition(".")[0])


def _row(name: str, text: str, lines: int = 2) -> Iterator[str]:
    wrapped = textwrap.wrap(text, WIDTH - _MARGIN, max_lines=lines, placeholder=" ...") or [""]
    yield f"{name:{_MARGIN}}{wrapped[0]}"
    yield from (f"{'':{_MARGIN}}{line}" for line in wrapped[1:])


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number:,} {what}{plural if number != 1 else ''}"
