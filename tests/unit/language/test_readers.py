"""Both readers: the same tree for the same policy, and nothing but PolicyError for anything at all."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from wardgate.compiler.language import LoadedPolicy, PolicyError, parse_policy_text, yaml_reader
from wardgate.compiler.language.diagnostics import Report
from wardgate.compiler.language.json_reader import read_json
from wardgate.compiler.language.model import Position, SourceFile
from wardgate.compiler.language.nodes import Broken, Mapping, Node, Scalar, Sequence
from wardgate.compiler.language.source import Source
from wardgate.compiler.language.yaml_reader import read_yaml

PLAIN = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_categories=["Cc"]), max_size=12
)
TREES = st.recursive(
    st.one_of(PLAIN, st.none(), st.booleans(), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(PLAIN, inner, max_size=4)),
    max_leaves=12,
)


def as_yaml(text: str) -> Node | None:
    report = Report()
    node = read_yaml(Source("p.yaml", text), report)
    assert not report.failed, [d.render() for d in report.diagnostics()]
    return node


def as_json(text: str) -> Node | None:
    report = Report()
    node = read_json(Source("p.json", text), report)
    assert not report.failed, [d.render() for d in report.diagnostics()]
    return node


def plainly(node: Node | None) -> Any:
    """The tree without places: scalars as texts."""
    match node:
        case Scalar():
            return node.text
        case Sequence():
            return [plainly(item) for item in node.items]
        case Mapping():
            return {key.text: plainly(value) for key, value in node.entries}
        case _:
            raise AssertionError(node)


def expected(tree: Any) -> Any:
    if isinstance(tree, list):
        return [expected(item) for item in tree]
    if isinstance(tree, dict):
        return {key: expected(value) for key, value in tree.items()}
    return tree if isinstance(tree, str) else json.dumps(tree)


def places(node: Node | None, source: Source) -> list[tuple[str, str]]:
    """Each scalar's text and what stands at its place."""
    match node:
        case Scalar():
            line = source.lines[node.position.line - 1]
            start = node.position.column - 1
            return [(node.text, line[start : start + node.length])]
        case Sequence():
            return [place for item in node.items for place in places(item, source)]
        case Mapping():
            return [p for key, value in node.entries for p in (*places(key, source), *places(value, source))]
        case _:
            raise AssertionError(node)


@given(TREES, st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_written(tree: Any, indent: int | str | None) -> None:
    text = json.dumps(tree, indent=indent)
    node = as_json(text)
    assert plainly(node) == expected(tree)
    for scalar, there in places(node, Source("p.json", text)):
        assert there == scalar or json.loads(there) == scalar


@given(TREES, st.sampled_from([None, 2]))
def test_json_is_read_alike_as_yaml(tree: Any, indent: int | None) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    mine, theirs = as_json(text), as_yaml(text)
    assert plainly(mine) == plainly(theirs)
    assert places(mine, Source("p.json", text)) == places(theirs, Source("p.yaml", text))


@given(TREES, st.booleans())
def test_both_yaml_parsers_give_the_same_scalars(tree: Any, flow: bool) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True, default_flow_style=flow)
    source, trees = Source("p.yaml", text), []
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml_reader, "Loader", loader)
            trees.append(as_yaml(text))
    assert plainly(trees[0]) == plainly(trees[1])
    assert places(trees[0], source) == places(trees[1], source)


def test_json_escapes() -> None:
    node = as_json(r'["\u0041\/\"\\", "\ud83d\ude00\t\u00e9\n", "a"]')
    assert plainly(node) == ['A/"\\', "\U0001f600\t\u00e9\n", "a"]
    assert isinstance(node, Sequence)
    first, second, third = node.items
    assert (first.inset, second.inset, third.inset) == (None, None, 1)
    assert third.at(0).column == third.position.column + 1


def without_places(value: Any) -> Any:
    """`value` with every Position and SourceFile replaced by None."""
    if isinstance(value, Position | SourceFile):
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(without_places(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, dict):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(without_places(item) for item in value)
    return value


WORDS = st.sampled_from(
    ["10.0.0.1", "10.0.0.0/8", "10.0.0.7/24", "fd00::/8", "wiki", "22/tcp", "80-90/any", "icmp", "web", "tcp",
     "proto/6", "proto/47", "*", "a", "group:g", "group:h", "nosuch", "0/tcp", "allow", "deny", "1", ""]
)  # fmt: skip
RULES = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), max_size=3)
SUBJECTS = st.sampled_from(["*", "a", "b", "group:g"])
POLICIES = st.dictionaries(
    SUBJECTS, st.dictionaries(st.sampled_from(["allow", "mfa", "deny"]), RULES, max_size=3), max_size=3
)
CLAIM = st.fixed_dictionaries(
    {"as": SUBJECTS, "to": WORDS},
    optional={"service": WORDS, "authed": st.sampled_from([True, False, "true"]), "expect": WORDS},
)
DOCUMENTS = st.fixed_dictionaries(
    {"version": st.just(1)},
    optional={
        "groups": st.just({"group:g": ["a", "b", "a"]}),
        "hosts": st.just({"wiki": ["10.0.0.5", "fd00::5"]}),
        "services": st.just({"web": ["80/tcp", "443/tcp"]}),
        "policies": POLICIES,
        "inbound": POLICIES,
        "tests": st.lists(CLAIM, max_size=2),
        "assertions": st.lists(
            st.dictionaries(st.sampled_from(["never", "always", "only"]), CLAIM, max_size=2), max_size=2
        ),
    },
)


def outcome(text: str, name: str) -> tuple[Any, Any]:
    """The policy without places, or None; and codes and messages."""
    try:
        loaded: LoadedPolicy = parse_policy_text(text, name)
    except PolicyError as error:
        found = [(d.code, d.message.replace(name, "")) for d in error.diagnostics]
        return None, sorted(found)
    return without_places(loaded.policy), sorted((d.code, d.message) for d in loaded.warnings)


@given(DOCUMENTS)
def test_a_policy_means_the_same_in_yaml_and_json(document: dict[str, Any]) -> None:
    in_json = outcome(json.dumps(document), "p.json")
    in_flow = outcome(json.dumps(document), "p.yaml")
    in_blocks = outcome(yaml.safe_dump(document, default_flow_style=False, sort_keys=False), "p.yaml")
    assert in_json[0] == in_flow[0] == in_blocks[0]
    if in_json[0] is not None:
        assert in_json == in_flow == in_blocks


@given(st.binary(max_size=200), st.sampled_from(["p.yaml", "p.json"]))
@example(b"\x00", "p.yaml")
@example(b"\xef\xbb\xbf", "p.yaml")
@example(b"? ? ? -", "p.yaml")
@example(b"%", "p.yaml")
@example(b'"\\', "p.json")
@example(b'{"a', "p.json")
def test_random_bytes_give_a_policy_error(data: bytes, name: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(data, name)
    assert_presentable(caught.value)


SNIPPETS = st.sampled_from(
    ["[", "]", "{", "}", ":", ": ", "- ", "\n", "\n  ", "'", '"', "#", "&a", "*a", "!", "|", ">", "%", "@",
     "`", ",", "\t", "\\", "~", "null", "<<", "?", "---", "...", "0", "-1", "65536", "/", "\u00e9", "\ufeff",
     "\x85", "\u202e", "10.0.0.1", "group:", "*", "policies", "{}", "[]", "99999999999999999999"]
)  # fmt: skip


@given(
    DOCUMENTS,
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 6), SNIPPETS), min_size=1, max_size=4),
)
def test_mutated_policies_give_a_policy_or_a_policy_error(
    document: dict[str, Any], block: bool, edits: list[tuple[int, int, str]]
) -> None:
    text = yaml.safe_dump(document, sort_keys=False) if block else json.dumps(document)
    for at, length, snippet in edits:
        start = at % (len(text) + 1)
        text = text[:start] + snippet + text[start + length :]
    for name in ("p.yaml", "p.json"):
        try:
            loaded = parse_policy_text(text, name)
        except PolicyError as error:
            assert_presentable(error)
        else:
            assert all(rule.destinations and rule.services for rule in loaded.policy.rules)
            assert [rule.id for rule in loaded.policy.rules] == list(range(1, len(loaded.policy.rules) + 1))


def assert_presentable(error: PolicyError) -> None:
    assert error.errors
    str(error).encode("utf-8")
    for diagnostic in error.diagnostics:
        json.dumps(diagnostic.to_json())
        assert diagnostic.message
        assert diagnostic.remedy
        assert diagnostic.position.line >= 1
        assert diagnostic.position.column >= 1
        shown = diagnostic.render().splitlines()
        assert shown[0].startswith(f"{diagnostic.position}: {diagnostic.severity}: ")
        assert diagnostic.source_line == "" or diagnostic.position.column <= len(diagnostic.source_line) + 1


def test_broken_nodes_are_silent() -> None:
    report = Report()
    read_yaml(Source("p.yaml", "a: &x\n  - 1\nb: *x\n"), report)
    assert [str(d.position) for d in report.diagnostics()] == ["p.yaml:1:4", "p.yaml:3:4"]
    assert isinstance(read_json(Source("p.json", "[1"), report), Broken)
