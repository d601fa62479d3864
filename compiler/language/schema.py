"""Takes node trees apart: what has to be a mapping, a list or a text, and which keys it may have.

Each function reports what is wrong and returns something that the caller can go on with, so that one
run finds every error. Wherever a list is wanted, a single value may stand for a list of one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from typing import TypeVar

from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.names import did_you_mean, quoted
from wardgate.compiler.language.nodes import Broken, Mapping, Node, Scalar, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value should be, for messages: `what` it is, and an `example` of it."""

    what: str
    example: str


def kind_of(node: Node) -> str:
    """What `node` is, in words."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Scalar() if node.absent:
            return "nothing"
        case _:
            return "a single value"


def length_of(node: Node) -> int:
    """How many characters to underline."""
    return node.length if isinstance(node, Scalar) else 1


def wrong_type(report: Report, node: Node, shape: Shape, wanted: str) -> None:
    """Reports that `node` should be `wanted`."""
    if isinstance(node, Broken):
        return
    remedy = f"write {shape.what} as in: {shape.example}"
    if isinstance(node, Scalar) and node.absent:
        remedy += "; or leave the key out"
    elif isinstance(node, Mapping) and wanted == "a text":
        remedy += "; text with a colon and a space in it needs quotes"
    message = f"{shape.what} should be {wanted}, this is {kind_of(node)}"
    if wanted == "a list":
        message = f"{kind_of(node)} where a list should be"
    report.error(Code.TYPE, node.position, message, remedy, length=length_of(node))


def entries(report: Report, node: Node, shape: Shape) -> tuple[tuple[Scalar, Node], ...]:
    """Entries of a mapping; none where `node` is something else, which is reported."""
    if isinstance(node, Mapping):
        return node.entries
    wrong_type(report, node, shape, "a mapping")
    return ()


def keyed(
    report: Report, node: Node, shape: Shape, known: Collection[str], required: Iterable[str] = ()
) -> dict[str, tuple[Scalar, Node]] | None:
    """Entries of a mapping by key, with keys of `known` only and all of `required`.

    None where `node` is no mapping, or where a required key is missing.
    """
    if not isinstance(node, Mapping):
        wrong_type(report, node, shape, "a mapping")
        return None
    found = {}
    for key, value in node.entries:
        if key.text in known:
            found[key.text] = (key, value)
        else:
            unknown_key(report, key, shape, known)
    missing = [name for name in required if name not in found]
    for name in missing:
        report.error(
            Code.MISSING_KEY,
            node.position,
            f"{shape.what} lacks {quoted(name)}",
            f"write {shape.what} as in: {shape.example}",
        )
    return None if missing else found


def unknown_key(report: Report, key: Scalar, shape: Shape, known: Collection[str]) -> None:
    """Reports a key that `shape` doesn't have."""
    remedy = did_you_mean(key.text, known) or f"known here: {', '.join(known)}"
    message = f"{shape.what} has no key {quoted(key.text)}"
    report.error(Code.UNKNOWN_KEY, key.position, message, remedy, length=key.length)


def items(report: Report, node: Node, shape: Shape) -> Iterator[Node]:
    """Entries of a list, or the one value that stands for it. Nothing at all is an error."""
    if isinstance(node, Sequence):
        yield from node.items
    elif isinstance(node, Mapping) or (isinstance(node, Scalar) and node.absent):
        wrong_type(report, node, shape, "a list")
    else:
        yield node


def text(report: Report, node: Node, shape: Shape) -> Scalar | None:
    """The scalar that `node` is; None where it is something else, nothing, or empty."""
    if not isinstance(node, Scalar) or node.absent:
        wrong_type(report, node, shape, "a text")
        return None
    if not node.text.strip(" \t\r\n"):
        report.error(
            Code.EMPTY,
            node.position,
            f"{shape.what} is an empty text",
            f"write {shape.what} as in: {shape.example}",
            length=node.length,
        )
        return None
    return node


def choice(report: Report, node: Node, shape: Shape, choices: AnyMapping[str, T]) -> T | None:
    """What the text of `node` chooses; None where it is none of `choices`."""
    scalar = text(report, node, shape)
    if scalar is None:
        return None
    if scalar.text not in choices:
        known = ", ".join(choices)
        report.error(
            Code.TYPE,
            scalar.position,
            f"{quoted(scalar.text)} is none of: {known}",
            did_you_mean(scalar.text, choices) or f"write one of: {known}",
            length=scalar.length,
        )
        return None
    return choices[scalar.text]


def texts(report: Report, node: Node, shape: Shape) -> Iterator[Scalar]:
    """The texts of a list of them, or the one that stands for a list."""
    for item in items(report, node, shape):
        # What nearly all are, without more ado.
        if type(item) is Scalar and item.text[:1] > " " and not item.plain:
            yield item
            continue
        scalar = text(report, item, shape)
        if scalar is not None:
            yield scalar
