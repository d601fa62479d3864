"""Documents as dataclasses: exactly what the annotations say, and where a document is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from wardgate.runtime.layout.typed_json import MismatchError, read


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    big: bool


@dataclass(frozen=True, slots=True)
class Tree:
    number: int
    leaves: tuple[Leaf, ...]
    by_name: Mapping[str, tuple[int, ...]]
    spare: Leaf | None


DOCUMENT: dict[str, Any] = {
    "number": 1,
    "leaves": [{"name": "a", "big": True}, {"name": "b", "big": False}],
    "by_name": {"x": [1, 2], "y": []},
    "spare": None,
}


def test_a_document_that_fits() -> None:
    tree = read(Tree, DOCUMENT)
    assert tree == Tree(1, (Leaf("a", True), Leaf("b", False)), {"x": (1, 2), "y": ()}, None)
    assert read(Tree, {**DOCUMENT, "spare": {"name": "c", "big": True}}).spare == Leaf("c", True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": True}, ".number is not a valid int"),
        ({"number": -1}, ".number is not a valid int"),
        ({"number": 1 << 64}, ".number is not a valid int"),
        ({"number": 1.0}, ".number is not a valid int"),
        ({"leaves": {}}, ".leaves is not a list"),
        ({"leaves": [DOCUMENT["leaves"][0], 7]}, ".leaves[1] is not an object"),
        ({"leaves": [{"name": 1, "big": True}]}, ".leaves[0].name is not a valid str"),
        ({"leaves": [{"name": "a", "big": 1}]}, ".leaves[0].big is not a valid bool"),
        ({"leaves": [{"name": "a", "large": True}]}, ".leaves[0]: missing ['big'], unknown ['large']"),
        ({"by_name": []}, ".by_name is not an object"),
        ({"by_name": {"x": [1], "y": [2, "3"]}}, ".by_name.y[1] is not a valid int"),
        ({"spare": []}, ".spare is not an object"),
        ({"more": 1}, ": missing [], unknown ['more']"),
    ],
)
def test_a_document_that_does_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MismatchError) as caught:
        read(Tree, {**DOCUMENT, **change})
    assert str(caught.value) == message


def test_a_document_that_is_no_object() -> None:
    with pytest.raises(MismatchError, match="is not an object"):
        read(Tree, [DOCUMENT])
