"""The generated C: specialised, placed, and safe against what a policy's text may hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from wardgate.compiler.codegen.generate import generate, quoted
from wardgate.compiler.codegen.specialise import TemplateError, read_template, specialise
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Policy
from wardgate.compiler.lowering.lowered import lower

FULL = """\
version: 1
tunnel: [10.9.0.0/24]
policies:
  "*": {allow: ["10.0.0.0/8 80/tcp", "fd00::/48"], mfa: [10.1.0.0/20]}
inbound:
  "*": {allow: ["10.0.0.90 icmp"]}
"""


def policy(text: str) -> Policy:
    return parse_policy_text(text, "office.yaml").policy


def test_lines_name_their_source() -> None:
    unit = generate(lower(policy(FULL)))
    lines = unit.text.splitlines()
    name, number, checked = unit.name, 1, 0
    sources = {**unit.sources, unit.name: unit.text}
    for line in lines:
        directive = re.fullmatch(r'#line (\d+) "(.*)"', line)
        if directive:
            number, name = int(directive[1]), directive[2]
            continue
        if name.startswith("bpf_templates/") or name == unit.name:
            assert sources[name].splitlines()[number - 1] == line
            checked += 1
        else:
            assert (name, number) == ("office.yaml", 2)
            assert "0x0a090000" in line
        number += 1
    assert checked > 500


def test_what_a_policy_does_not_use_is_not_there() -> None:
    def text(source: str) -> str:
        return generate(lower(policy("version: 1\n" + source))).text

    four = text('policies: {"*": {allow: [10.0.0.0/8]}}')
    assert "parse4" in four
    for absent in (
        "ipv6_header",
        "t_route6",
        "t_ports",
        "row += INBOUND_ROW",
        "bpf_ktime_get_boot_ns();\n\tif (now >= deadline",
        "tunnel_offset",
        "t_route4_nodes",
    ):
        assert absent not in four
    six = text('policies: {"*": {mfa: ["fd00::/8 22/tcp"]}}')
    for absent in ("ipv4_header", "t_route4"):
        assert absent not in six
    for present in ("t_ports_pages", "REASON_SESSION_EXPIRED;", "t_route6_class"):
        assert present in six
    nothing = text("policies: {}")
    assert "consider" not in nothing
    assert "#if" not in four + six + nothing


def test_text_of_a_policy_stays_in_its_comment() -> None:
    loaded = policy(FULL)
    evil = '*/ int x; /* \\\n??/ "'
    rules = tuple(replace(rule, text=evil) for rule in loaded.rules)
    unit = generate(lower(replace(loaded, rules=rules)))
    banner, _, rest = unit.text.partition(" */\n")
    assert "int x" in banner
    assert "*/" not in banner
    assert "\\\n" not in banner
    assert "??/" not in banner
    assert "int x" not in rest


def test_names_are_quoted() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    with pytest.raises(ValueError, match="cannot quote"):
        quoted("a\nb")


def test_the_same_policy_gives_the_same_text() -> None:
    assert generate(lower(policy(FULL))) == generate(lower(policy(FULL)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#ifdef X\n#endif\n", "t.h:1: only `#if FEATURE`"),
        ("a\n#if X && Y\n#endif\n", "t.h:2: only `#if FEATURE`"),
        ("#endif\n", "t.h:1: no #if is open"),
        ("#if X\n#else\n", "t.h: an #if is not closed"),
    ],
)
def test_conditions_that_templates_may_not_have(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        specialise("t.h", text, {"X"})


def test_conditions_nest() -> None:
    text = "1\n#if A\n2\n#if B\n3\n#else\n4\n#endif\n5\n#endif\n6\n"

    def kept(*features: str) -> str:
        return "".join(
            line for line in specialise("t.h", text, features).split() if line.isdigit() and len(line) == 1
        )

    assert kept().replace("\n", "").endswith("6")
    lines = specialise("t.h", text, {"A"}).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["1", "2", "4", "5", "6"]
    lines = specialise("t.h", text, {"A", "B"}).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["1", "2", "3", "5", "6"]
    lines = specialise("t.h", text, {"B"}).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["1", "6"]


def test_every_template_is_used() -> None:
    unit = generate(lower(policy(FULL)))
    used = {name.removeprefix("bpf_templates/") for name in unit.sources if name.startswith("bpf_templates/")}
    assert used == {p.name for p in _templates()}
    assert all(read_template(name) for name in used)


def _templates():
    from importlib import resources

    return [p for p in resources.files("wardgate.bpf_templates").iterdir() if p.name.endswith((".h", ".c"))]
