"""A reader that keeps what did not change: never another answer than that of reading everything."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.compiler.language import PolicyError, PolicyReader, Resolver, load_policy, static_resolver
from wardgate.compiler.language.diagnostics import Report
from wardgate.compiler.language.json_reader import read_json
from wardgate.compiler.language.nodes import Broken, Mapping, Node, Scalar, Sequence
from wardgate.compiler.language.source import Source
from wardgate.compiler.language.top_level import KEYS, read_entries
from wardgate.compiler.language.yaml_reader import read_yaml

MAIN = """\
# The main file.
version: 1
include: [other.yaml]
tunnel: [10.9.0.0/16, "fd09::/64"]

groups: {group:a: [al, bo], "group:b": [cy]}   # who
hosts:
  h1: 10.0.0.7
  h2: [10.1.0.0/16, "fd00:1::/48"]
services: {web: [80/tcp, 443/tcp], all: [web, icmp]}
policies:
  "*": {allow: ["h1 web", 10.5.0.0/16, "  10.5.1.0/24   tcp udp  "]}
  group:a:
    mfa: h2
    deny:
    - "10.0.0.1 22/tcp"
    - 'h3 all'
    - >
      10.4.4.4
      53/any
inbound:
  al: {allow: ["h3 9100/tcp", "fd00::5 icmp proto/47"]}
tests:
- {as: al, to: 10.0.0.7, service: 80/tcp, expect: allow}
- {as: al, from: h3, service: 9100/tcp, expect: allow}
assertions:
  - never: {as: group:b, to: h2, service: 22/tcp}
"""
OTHER = """\
groups:
  group:c: [zed]
hosts: {h3: 10.3.3.3}
policies:
  group:c:
    allow: [h1 22/tcp, h3]
"""
TREE = yaml.safe_load(MAIN)
FORMS = {
    "policy.yaml": (MAIN, MAIN.replace("\n", "\r\n"), yaml.safe_dump(TREE), json.dumps(TREE, indent=1)),
    "policy.json": (
        json.dumps(TREE),
        json.dumps(TREE, indent=1),
        json.dumps(TREE, indent=2).replace("\n", "\r\n"),
    ),
}
PIECES = (
    '"', "'", "[", "]", "{", "}", ",", ":", "\n", "\r", "\r\n", " ", "\t", "#", "&x ", "*x", "!t ", "\\",
    "\\u202e", "\\n", "\u00e9", "\u202e", "\u00a0", "0", "256", "/33", "10.0.0.1/8", "group:", "- ", "|",
    "? ", "\ufeff", "null", "~", "...\n", "---\n", "\ngroups: {}\n", "\nhosts: {}", "%TAG x\n", "# c\n",
    "\n\n", "al, ", "group:z: [al]\n", '"policies": {}, ', "dy", "*", ">\n", "|+\n", "h1",
)  # fmt: skip


def mutated(text: str, random: Random) -> str:
    """The text with something put in, left out, repeated or cut off."""
    at = random.randrange(len(text) + 1)
    kind = random.choice(("in", "in", "in", "out", "out", "line out", "repeat", "cut"))
    if kind == "in":
        return text[:at] + random.choice(PIECES) + text[at:]
    if kind == "out":
        return text[:at] + text[at + random.choice((1, 1, 2, 5, 40)) :]
    if kind == "line out":
        lines = text.splitlines(keepends=True)
        del lines[random.randrange(len(lines)) if lines else 0 :][:1]
        return "".join(lines)
    if kind == "repeat":
        start = random.randrange(len(text) + 1)
        return text[:at] + text[start : start + 60] + text[at:]
    return text[:at]


def flat(node: Node | None) -> list[object]:
    """All there is to know of a tree."""
    return list(_flat(node))


def _flat(node: Node | None) -> Iterator[object]:
    match node:
        case Scalar():
            yield node.text, node.plain, node.position, node.length, node.inset
        case Sequence():
            yield "list", node.position
            for item in node.items:
                yield from _flat(item)
        case Mapping():
            yield "mapping", node.position
            for key, value in node.entries:
                yield from _flat(key)
                yield from _flat(value)
        case _:
            yield node


def whole(source: Source) -> list[object] | None:
    """What the reader of whole files makes of it; None where it has something to report."""
    report = Report()
    root = (read_json if source.name.endswith(".json") else read_yaml)(source, report)
    return None if len(report) else flat(root)


@settings(max_examples=400)
@given(st.sampled_from(sorted(FORMS)), st.randoms(use_true_random=False), st.integers(0, 4))
def test_entries_make_the_tree_of_the_whole_file(name: str, random: Random, changes: int) -> None:
    text, known = random.choice(FORMS[name]), {}
    for _ in range(changes + 1):
        source = Source(name, text)
        found = read_entries(source, known)
        if found is not None:
            root, known = found
            assert flat(root) == whole(source)
        text = mutated(text, random)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_ordinary_files_are_read_by_entries(name: str) -> None:
    for number, text in enumerate(FORMS[name]):
        found = read_entries(Source(name, text), {})
        # JSON that is read as YAML has no key at the beginning of a line.
        assert (found is None) is (name == "policy.yaml" and number == 3)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_entries_whose_text_is_the_same_are_not_read_again(name: str) -> None:
    for text in FORMS[name][:3]:
        found = read_entries(Source(name, text), {})
        assert found is not None
        moved = text.replace("[al, bo]", "[al, bo, dy]").replace("- bo\n", "- bo\n  - dy\n")
        moved = moved.replace('"bo"', '"bo", "dy"').replace("# The", "# A line more\n# The")
        assert moved != text
        again = read_entries(Source(name, moved), found[1])
        assert again is not None
        for key, entry in again[1].items():
            assert (entry.value is found[1][key].value) is (key != "groups" and entry.text[:1] != "1"), key
        assert flat(again[0]) == whole(Source(name, moved))


def test_keys_are_those_of_the_language() -> None:
    assert all(
        text.startswith("version: ") or key in KEYS for text in FORMS["policy.yaml"][:1] for key in TREE
    )


def outcome(load) -> object:
    """A policy with its warnings, or all errors."""
    try:
        loaded = load()
    except PolicyError as error:
        return error.diagnostics
    return loaded


def check_same(reader: PolicyReader, path: Path, resolver: Resolver | None = None) -> bool:
    """Reading again gives what reading everything gives; whether that is a policy."""
    again, anew = outcome(reader.load), outcome(lambda: load_policy(path, resolver=resolver))
    assert again == anew
    return not isinstance(anew, tuple)


@settings(max_examples=150)
@given(st.sampled_from(sorted(FORMS)), st.randoms(use_true_random=False), st.integers(1, 6))
def test_reading_again_is_reading_everything(name: str, random: Random, edits: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, other = Path(folder, name), Path(folder, "other.yaml")
        text = random.choice(FORMS[name])
        path.write_bytes(text.encode())
        other.write_text(OTHER)
        reader = PolicyReader(path)
        assert check_same(reader, path)
        for _ in range(edits):
            changed, whole = (path, text) if random.random() < 0.7 else (other, OTHER)
            changed.write_bytes(mutated(whole, random).encode())
            if check_same(reader, path) and changed is path and random.random() < 0.5:
                text = path.read_bytes().decode()
                continue
            if random.random() < 0.7:
                path.write_bytes(text.encode())
                other.write_text(OTHER)
                assert check_same(reader, path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The main file, with the other one beside it."""
    (tmp_path / "other.yaml").write_text(OTHER)
    (tmp_path / "policy.yaml").write_text(MAIN)
    return tmp_path / "policy.yaml"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


EDITS = [
    pytest.param("policy.yaml", "[al, bo]", "[al, bo, dy]", id="a member"),
    pytest.param("policy.yaml", "hosts:\n", "# more\nhosts:\n", id="a line before the rules"),
    pytest.param("policy.yaml", "h1: 10.0.0.7", "h1: 10.0.0.8", id="a host that rules name"),
    pytest.param("other.yaml", "h3: 10.3.3.3", "h3: 10.3.3.4", id="a host that rules of another file name"),
    pytest.param("policy.yaml", "web: [80/tcp", "web: [81/tcp", id="a service that rules name"),
    pytest.param("policy.yaml", "group:a: [al", "group:x: [al", id="a group that rules need"),
    pytest.param("other.yaml", "group:c: [", "group:al: [", id="a group called like a user"),
    pytest.param("policy.yaml", "10.5.0.0/16", "10.5.0.1/16", id="a warning"),
    pytest.param("policy.yaml", "include: [other.yaml]", "include: []", id="a file less"),
    pytest.param("other.yaml", "hosts: {h3", "hosts: {h4", id="a name less"),
    pytest.param("policy.yaml", '["h1 web"', '["h1 web", h3', id="a rule more"),
]


@pytest.mark.parametrize(("name", "old", "new"), EDITS)
@pytest.mark.parametrize(("name2", "old2", "new2"), EDITS)
def test_two_edits_after_each_other(
    files: Path, name: str, old: str, new: str, name2: str, old2: str, new2: str
) -> None:
    reader = PolicyReader(files)
    assert check_same(reader, files)
    edit(files.parent / name, old, new)
    check_same(reader, files)
    if old2 in (files.parent / name2).read_text():
        edit(files.parent / name2, old2, new2)
    check_same(reader, files)
    (files.parent / name).write_text({"policy.yaml": MAIN, "other.yaml": OTHER}[name])
    check_same(reader, files)


def test_warnings_are_given_each_time_where_they_now_are(files: Path) -> None:
    edit(files, "10.5.0.0/16", "10.5.0.1/16")
    reader = PolicyReader(files)
    (first,) = reader.load().warnings
    edit(files, "hosts:\n", "# more\n\nhosts:\n")
    (second,) = reader.load().warnings
    assert (second.position.line, second.source_line) == (first.position.line + 2, first.source_line)
    assert check_same(reader, files)


def test_rules_that_did_not_move_are_the_same_objects(files: Path) -> None:
    reader = PolicyReader(files)
    rules = reader.load().policy.rules
    edit(files, "[al, bo]", "[al, bo, dy]")
    assert all(a is b for a, b in zip(reader.load().policy.rules, rules, strict=True))


def test_a_file_that_cannot_be_read_hides_no_error(files: Path) -> None:
    # While the other file is broken, a name that nobody defines is most likely defined there, and goes
    # unreported; it must be reported afterwards.
    edit(files, '["h1 web"', '["h9 web"')
    (files.parent / "other.yaml").write_text("groups: [")
    reader = PolicyReader(files)
    check_same(reader, files)
    (files.parent / "other.yaml").write_text(OTHER)
    assert "h9" in str(outcome(reader.load))
    check_same(reader, files)


def test_names_are_asked_for_each_time(files: Path) -> None:
    edit(files, "h1: 10.0.0.7", "h1: wiki.example.org")
    answers = {"wiki.example.org": ["10.0.0.7"]}
    resolver = lambda name: static_resolver(answers)(name)  # noqa: E731
    reader = PolicyReader(files, resolver=resolver)
    assert check_same(reader, files, resolver)
    answers["wiki.example.org"] = ["10.0.0.8", "fd00::8"]
    assert check_same(reader, files, resolver)
    del answers["wiki.example.org"]
    assert not check_same(reader, files, resolver)


def test_a_broken_node_is_not_the_root() -> None:
    assert isinstance(read_yaml(Source("p.yaml", "[1"), Report()), Broken)
    assert read_entries(Source("p.yaml", "groups: [1\n"), {}) is None
