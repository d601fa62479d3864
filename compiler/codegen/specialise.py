"""Reduce a template to what a policy uses.

Templates are C with `#if FEATURE`, `#else` and `#endif` around what not every policy needs. The parts
that stay are copied with `#line` directives, so that every message about them names the template.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from importlib import resources

TEMPLATE_FOLDER = "bpf_templates"
_CONDITION = re.compile(r"#if ([A-Z][A-Z0-9_]*)\s*$")


class TemplateError(Exception):
    """A template's conditions do not nest, or have a form other than `#if FEATURE`."""


def read_template(name: str) -> str:
    """Text of a template that is installed with the package."""
    return resources.files("wardgate.bpf_templates").joinpath(name).read_text(encoding="utf-8")


def template_path(name: str) -> str:
    """How `#line` directives and messages name a template."""
    return f"{TEMPLATE_FOLDER}/{name}"


def specialise(name: str, text: str, features: Collection[str]) -> str:
    """The lines of template `name` whose conditions hold for `features`, with `#line` directives."""
    output: list[str] = []
    expected = 0
    for number, line in _kept_lines(name, text, features):
        if number != expected:
            output.append(f'#line {number} "{template_path(name)}"')
        output.append(line)
        expected = number + 1
    return "\n".join(output) + "\n"


def _kept_lines(name: str, text: str, features: Collection[str]) -> Iterator[tuple[int, str]]:
    conditions: list[bool] = []
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{template_path(name)}:{number}"
        if line.startswith(("#ifdef", "#ifndef", "#elif")):
            raise TemplateError(f"{place}: only `#if FEATURE` selects parts of a template")
        if line.startswith("#if"):
            match = _CONDITION.match(line)
            if not match:
                raise TemplateError(f"{place}: only `#if FEATURE` selects parts of a template")
            conditions.append(match[1] in features)
        elif line.startswith(("#else", "#endif")):
            if not conditions:
                raise TemplateError(f"{place}: no #if is open")
            if line.startswith("#else"):
                conditions[-1] = not conditions[-1]
            else:
                conditions.pop()
        elif all(conditions):
            yield number, line
    if conditions:
        raise TemplateError(f"{template_path(name)}: an #if is not closed")
