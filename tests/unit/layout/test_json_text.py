"""Dataclasses as JSON: what json.dumps would write, and typed_json reads back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hypothesis import given
from hypothesis import strategies as st
from sample_gate import MANIFEST
from wardgate.runtime.layout import json_text, typed_json
from wardgate.runtime.layout.manifest import Manifest


@dataclass(frozen=True)
class Leaf:
    """One of each scalar, in no order."""

    text: str
    number: int
    flag: bool
    flags: tuple[bool, ...]


@dataclass(frozen=True)
class Tree:
    """One of each container."""

    leaves: tuple[Leaf, ...]
    nested: tuple[tuple[int, ...], ...]
    named: Mapping[str, Leaf]
    lists: Mapping[str, tuple[str, ...]]
    one: Leaf | None
    many: tuple[Leaf | None, ...]


LEAVES = st.builds(
    Leaf,
    st.text(),
    st.integers(0, (1 << 64) - 1),
    st.booleans(),
    st.lists(st.booleans(), max_size=3).map(tuple),
)
TREES = st.builds(
    Tree,
    st.lists(LEAVES, max_size=4).map(tuple),
    st.lists(st.lists(st.integers(0, 99), max_size=3).map(tuple), max_size=4).map(tuple),
    st.dictionaries(st.text(), LEAVES, max_size=3),
    st.dictionaries(st.text(), st.lists(st.text(), max_size=2).map(tuple), max_size=3),
    st.none() | LEAVES,
    st.lists(st.none() | LEAVES, max_size=4).map(tuple),
)


def by_the_library(value: Tree | Manifest) -> str:
    return json.dumps(asdict(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@given(TREES)
def test_it_is_what_the_library_writes(tree: Tree) -> None:
    text = json_text.write(tree)
    assert text == by_the_library(tree)
    assert typed_json.read(Tree, json.loads(text)) == tree


def test_a_manifest() -> None:
    assert MANIFEST.to_json() == by_the_library(MANIFEST).encode()
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
