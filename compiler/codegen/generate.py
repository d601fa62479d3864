"""A lowered policy as one C file: declarations, the policy's rules as comments, the templates."""

from __future__ import annotations

import re

from wardgate.compiler.codegen.declarations import (
    boundary_declarations,
    code_declarations,
    config_declaration,
    map_declarations,
    parameter_declarations,
    record_declarations,
    table_declarations,
)
from wardgate.compiler.codegen.specialise import read_template, specialise, template_path
from wardgate.compiler.codegen.unit import TranslationUnit
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import Lowered
from wardgate.compiler.lowering.plan import chosen
from wardgate.runtime.layout import maps, records

C_NAME = "gate.c"

_TYPES = "types.h"
_TEMPLATES = (
    ("packet.h", None),
    ("icmp.h", "IP"),
    ("transport.h", None),
    ("ipv4.h", "V4"),
    ("ipv6.h", "V6"),
    ("parse.h", None),
    ("lookup.h", "IP"),
    ("clock.h", None),
    ("device.h", "IP"),
    ("flow.h", "IP"),
    ("fragment.h", "IP"),
    ("report.h", None),
    ("decide.h", "IP"),
    ("fast.h", "IP"),
    ("slow.h", None),
    ("gate.h", None),
)
"""In the order of use, each with the feature without which it is left out."""
_PULL_BYTES = 512
"""Headers are pulled into the linear part up to here: the longest chain that the parser walks (an IPv6
header, 256 bytes of extensions, ICMP, the header and ports of the packet inside) is shorter."""
_NAMED_USERS = 8
_LISTED = 1000
"""Rules, and policy classes, that the comment at the beginning has: clang reads it as well."""


def map_uses(lowered: Lowered) -> list[tuple[maps.MapLayout, int]]:
    """The maps that the policy's programs declare, with their entries."""
    sizes = {
        maps.RULE_HITS.name: len(lowered.policy.rules) // records.HITS_A_BLOCK + 1,
        maps.TUNNEL4.name: lowered.parameters.get("tunnel4_size", 0),
        maps.TUNNEL6.name: lowered.parameters.get("tunnel6_size", 0),
    }
    return [
        (layout, sizes.get(layout.name, layout.entries))
        for layout in maps.MAPS
        if sizes.get(layout.name, layout.entries)
    ]


def generate(lowered: Lowered) -> TranslationUnit:
    """The C of a policy. The same policy gives the same text."""
    types = read_template(_TYPES)
    sections = [
        _banner(lowered),
        specialise(_TYPES, types, lowered.features),
        _RESUME,
        code_declarations(),
        record_declarations(),
        parameter_declarations({**lowered.parameters, "pull_bytes": _PULL_BYTES}),
        "",
        config_declaration(),
        map_declarations(map_uses(lowered)),
        table_declarations(lowered.tables),
        boundary_declarations(lowered.parameters),
        _tunnel4(lowered),
    ]
    sources = {file.name: file.text for file in lowered.policy.files}
    sources[template_path(_TYPES)] = types
    for name, feature in _TEMPLATES:
        if feature and feature not in lowered.features:
            continue
        text = read_template(name)
        sources[template_path(name)] = text
        sections.append(specialise(name, text, lowered.features))
    return TranslationUnit(C_NAME, _join(sections), sources)


_RESUME = "#line RESUME"
"""Stands for the directive by which the text goes back to lines of its own."""


def _join(sections: list[str]) -> str:
    lines: list[str] = []
    for section in sections:
        for line in section.removesuffix("\n").split("\n"):
            lines.append(f'#line {len(lines) + 2} "{C_NAME}"' if line == _RESUME else line)
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """Policy text that cannot end the comment it stands in, nor continue a line."""
    plain = "".join(c if c.isprintable() and c != "\\" else "." for c in text)
    return re.sub(r"\?(?=\?)", "? ", plain.replace("*/", "* /").replace("/*", "/ *"))


def quoted(name: str) -> str:
    """A file name as a C string literal."""
    if not name.isprintable():
        raise ValueError(f"file name {name!r} has characters that C cannot quote")
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _banner(lowered: Lowered) -> str:
    policy = lowered.policy
    lines = [
        f"/* The access policy {_comment(policy.files[0].name)} as a BPF gate.",
        " *",
        f" * {len(policy.rules)} rules, {len(lowered.buckets)} buckets, {lowered.survey.patterns} patterns,",
        f" * {lowered.destinations.count} destination classes, {lowered.services.count} service classes.",
        " * A verdict is looked up: device -> policy class; remote address -> destination class; both ->",
        " * bucket -> pattern; protocol and port -> service class; pattern and service class -> verdict, and",
        " * which of the bucket's rules gives it.",
        " *",
        *_plan_lines(lowered),
        " *",
        " * Policy classes:",
        *_class_lines(lowered),
        " *",
        " * Rules:",
        *_rule_lines(policy),
        " */",
        "",
    ]
    return "\n".join(lines)


def _plan_lines(lowered: Lowered) -> list[str]:
    chosen_parts = chosen(lowered.plan, lowered.survey).items()
    forms = [
        f"{structure} {found.variant}" + (f" ({found.parameter})" if found.parameter else "")
        for structure, found in chosen_parts
    ]
    return [" * Forms of the tables: " + ", ".join(forms) + "."]


def _class_lines(lowered: Lowered) -> list[str]:
    members: dict[int, list[str]] = {}
    for user, number in lowered.classes.of_user.items():
        members.setdefault(number, []).append(user)
    lines = []
    for policy_class in lowered.classes.classes[:_LISTED]:
        users = members.get(policy_class.number, [])
        shown = ", ".join(users[:_NAMED_USERS]) or "users not named"
        more = f" and {len(users) - _NAMED_USERS} more" if len(users) > _NAMED_USERS else ""
        subjects = ", ".join(policy_class.subjects) or "no rules"
        lines.append(
            f" *   {policy_class.number}: {_comment(subjects)}: {_comment(shown) or 'users not named'}{more}"
        )
    return [*lines, *_unlisted(len(lowered.classes.classes))]


def _rule_lines(policy: Policy) -> list[str]:
    lines = [
        f" *   {rule.id}: {rule.position}: {'inbound ' if rule.inbound else ''}{_comment(rule.subject)} "
        f"{rule.action.value}: {_comment(rule.text)}"
        for rule in policy.rules[:_LISTED]
    ]
    return [*lines, *_unlisted(len(policy.rules))]


def _unlisted(count: int) -> list[str]:
    return [f" *   and {count - _LISTED} more, see the artefact's manifest"] if count > _LISTED else []


def _tunnel4(lowered: Lowered) -> str:
    if 4 not in lowered.tunnels:
        return ""
    tunnel = lowered.tunnels[4].tunnel
    return "\n".join(
        [
            f"/* {_comment(str(tunnel.position))}: tunnel: {tunnel.network} */",
            "INLINE u32 tunnel4_offset(u32 address)",
            "{",
            f"#line {tunnel.position.line} {quoted(tunnel.position.file)}",
            f"\treturn address - {tunnel.base:#010x};",
            _RESUME,
            "}",
            "",
        ]
    )
