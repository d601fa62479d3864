"""Control-flow graphs: as DOT, and as SVG by Graphviz's `dot`.

A node is a basic block with the lines of C and policy that it stems from; its instructions are the tooltip.
Blocks that many others lead to, such as the one that gives a packet up, would drown the picture in lines:
such an edge ends in a stub that names the block, and is a link to it.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from html import escape
from shutil import which
from tempfile import TemporaryFile
from typing import Final, Self

from wardgate.compiler.inspect.blocks import calls_function
from wardgate.compiler.inspect.errors import InspectionError
from wardgate.compiler.inspect.model import (
    Block,
    EdgeKind,
    Function,
    ListedInstruction,
    Origin,
    ReferenceKind,
)
from wardgate.compiler.vm import isa

ENGINE: Final = "dot"
REMEDY: Final = "install Graphviz (Debian: apt install graphviz)"

_HEAD: Final = "<?xml "
"""What each graph's SVG begins with."""

_CROWDED: Final = 5
"""Edges to one block from which on they end in stubs."""
_MOST_LINES: Final = 12
_LONGEST_LINE: Final = 76
_LONGEST_TOOLTIP: Final = 40


def cfg_dot(functions: Sequence[Function]) -> str:
    """The graphs of `functions`, in DOT."""
    return "\n".join(_dot(functions)) + "\n"


def cfg_svg(functions: Sequence[Function]) -> str:
    """The graphs of `functions`, laid out. InspectionError where there is no `dot`, or it fails."""
    return layout(cfg_dot(functions))


def has_engine() -> bool:
    """Whether Graphviz is there."""
    return which(ENGINE) is not None


def layout(dot: str) -> str:
    """SVG of a graph in DOT. InspectionError where there is no `dot`, or it fails."""
    with Layout([dot]) as running:
        return running.results()[0]


class Layout:
    """Graphs that are being laid out, by a process of its own, while this one does something else.

    The constructor raises InspectionError where there is no `dot`.
    """

    def __init__(self, graphs: Sequence[str]) -> None:
        program = which(ENGINE)
        if program is None:
            raise InspectionError("the control flow", "Graphviz's dot is not installed", REMEDY)
        self._count = len(graphs)
        with ExitStack() as files:
            # Files, since a pipe would have to be read while it is written to.
            self._output, self._errors = (files.enter_context(TemporaryFile()) for _ in range(2))
            with TemporaryFile() as given:
                given.write("".join(graphs).encode())
                given.seek(0)
                self._process = subprocess.Popen(  # noqa: S603 - what it reads is ours
                    [program, "-Tsvg"], stdin=given, stdout=self._output, stderr=self._errors
                )
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._files.close()

    def results(self) -> list[str]:
        """SVG of each graph, when all are done. InspectionError where `dot` failed."""
        status = self._process.wait()
        self._output.seek(0)
        self._errors.seek(0)
        found = [_HEAD + part for part in self._output.read().decode().split(_HEAD)[1:]]
        if status or len(found) != self._count:
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            complaint = f"dot says: {said[0] if said else status}"
            raise InspectionError("the control flow", complaint, "try another version of Graphviz")
        return found


def _dot(functions: Sequence[Function]) -> Iterator[str]:
    yield "digraph cfg {"
    yield '  graph [rankdir=TB, nodesep=0.25, ranksep=0.35, fontname="monospace", bgcolor="white"];'
    yield (
        '  node [shape=box, style="filled", fillcolor="#f7f7f5", color="#8a8a85", fontname="monospace", '
        'fontsize=10, margin="0.08,0.05"];'
    )
    yield '  edge [fontname="monospace", fontsize=9, arrowsize=0.6];'
    for number, function in enumerate(functions):
        yield f"  subgraph cluster_{number} {{"
        title = f"{function.name}: {function.size} instructions in {len(function.blocks)} blocks"
        yield f'    label={_quoted(title)}; fontsize=16; color="#d0d0cc";'
        yield from _function(function, f"f{number}")
        yield "  }"
    yield "}"


def _function(function: Function, prefix: str) -> Iterator[str]:
    incoming = Counter(edge.to for block in function.blocks for edge in block.edges)
    crowded = {number for number, count in incoming.items() if count > _CROWDED}
    for block in function.blocks:
        name = f"{prefix}_{block.label}"
        rows = "".join(f'<tr><td align="left">{row}</td></tr>' for row in _rows(block))
        label = f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{rows}</table>>'
        attributes = f"id={_quoted(name)}, label={label}, tooltip={_quoted(_tooltip(block))}{_style(block)}"
        yield f"    {name} [{attributes}];"
    for block in function.blocks:
        for edge in block.edges:
            source, target = f"{prefix}_{block.label}", f"{prefix}_B{edge.to}"
            attributes = _edge_style(block, edge.kind, edge.back)
            if edge.to in crowded and edge.kind is EdgeKind.TAKEN:
                stub = f"{source}_to_B{edge.to}"
                yield (
                    f'    {stub} [shape=plaintext, style="", margin=0, height=0.2, label="→ B{edge.to}", '
                    f'fontcolor="#6b5e00", URL={_quoted("#" + target)}, tooltip="goes to B{edge.to}"];'
                )
                target = stub
            yield f"    {source} -> {target} [{attributes}];"


def _rows(block: Block) -> Iterator[str]:
    first, last = block.instructions[0], block.instructions[-1]
    slots = f"{first.slot}" if first is last else f"{first.slot}-{last.slot}"
    count = len(block.instructions)
    size = f"{slots}, {count} instruction{'s' * (count != 1)}"
    yield f'<b>{block.label}</b>&#160;&#160;<font color="#777770">{size}</font>'
    shown = block.origins[:_MOST_LINES]
    for origin in shown:
        yield f'<font color="#1f4e8c">{_text(_short(origin))}</font>&#160;&#160;{_text(_cut(origin.text))}'
    if len(block.origins) > len(shown):
        yield f"and {len(block.origins) - len(shown)} lines more"
    for reference in dict.fromkeys(filter(None, (_named(one) for one in block.instructions))):
        yield f'<font color="#7a3b00">{_text(reference)}</font>'


def _named(instruction: ListedInstruction) -> str:
    reference = instruction.reference
    if reference is None:
        return ""
    if calls_function(instruction) or reference.kind is ReferenceKind.HELPER:
        return f"{reference.name}()"
    return str(reference)


def _short(origin: Origin) -> str:
    return f"{origin.file.rpartition('/')[2]}:{origin.line}" if origin.known else "unknown"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"


def _text(text: str) -> str:
    """Text in an HTML-like label, which knows no control characters."""
    return escape("".join(c if c.isprintable() else "." for c in text))


def _quoted(text: str) -> str:
    """A string of DOT. It ends with no backslash of its own, and starts no escape of DOT's."""
    plain = "".join(c if c.isprintable() or c == "\n" else "." for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _tooltip(block: Block) -> str:
    lines = [f"{one.slot}: {one.text}" for one in block.instructions[:_LONGEST_TOOLTIP]]
    if len(block.instructions) > len(lines):
        lines.append(f"and {len(block.instructions) - len(lines)} more")
    return "\n".join(lines)


def _style(block: Block) -> str:
    if not block.edges:
        return ', fillcolor="#e4ecf7"'
    if block.number == 0:
        return ', fillcolor="#e3f2e1"'
    return ""


def _edge_style(block: Block, kind: EdgeKind, back: bool) -> str:
    last = block.instructions[-1]
    if kind is EdgeKind.ALWAYS:
        style = 'color="#55554f"'
    elif kind is EdgeKind.TAKEN:
        style = f'color="#2c7a2c", fontcolor="#2c7a2c", label={_quoted(_condition(last))}'
    else:
        style = 'color="#a33a2a", style="dashed"'
    return style + (", constraint=false, penwidth=2" if back else "")


def _condition(last: ListedInstruction) -> str:
    """Of a conditional jump: `w1 == 0x0`."""
    assert last.code.kind in (isa.JMP, isa.JMP32)  # noqa: S101 - no other instruction has two ways on
    return last.text.removeprefix("if ").rpartition(" goto ")[0]
