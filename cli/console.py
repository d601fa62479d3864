"""Where a command's words go: its result to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = Mapping[str, Any] | Sequence[Any] | str | int | float | bool | None

_MOST_WARNINGS = 20


class Rendered(Protocol):
    """What says itself for people."""

    def render(self) -> str:
        """The text."""


def dumps(document: Json) -> str:
    """One line of JSON, as every command prints it; non-ASCII characters as themselves."""
    return json.dumps(document, ensure_ascii=False)


@dataclass(slots=True)
class Console:
    """The streams of one command. `json` and `verbose` are set by its options."""

    json: bool = False
    verbose: bool = False
    stream: bool = False
    """With `json`: the command prints one document a line, also when it fails."""
    finished: bool = field(default=False, init=False)
    """With `json`: the one document was printed."""

    def document(self, document: Json) -> None:
        """Print the command's one JSON document."""
        self.finished = True
        self._out(json.dumps(document, ensure_ascii=False, indent=None if self.stream else 2))

    def line(self, document: Json) -> None:
        """Print one document of a command whose output is a stream, one a line, and flush it."""
        self.finished = True
        self._out(dumps(document))
        sys.stdout.flush()

    def text(self, text: str) -> None:
        """Print a result for people: on stdout, or on stderr where a JSON document has stdout."""
        if self.json:
            self.note(text)
        else:
            self._out(text)

    def note(self, text: str) -> None:
        """Say something about the work: progress, a hint."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Say what the user should look at."""
        self.note(f"warning: {text}")

    def warnings(self, texts: Sequence[str]) -> None:
        """Show warnings, unless asked to be verbose only the first of very many."""
        shown = len(texts) if self.verbose else _MOST_WARNINGS
        for text in texts[:shown]:
            self.note(text)
        if len(texts) > shown:
            self.warn(f"{len(texts) - shown:,} more like these; --verbose shows them all")

    def diagnostics(self, found: Sequence[Rendered]) -> None:
        """Show what may be thousands of warnings, as `warnings` does; what isn't shown isn't rendered."""
        shown = len(found) if self.verbose else _MOST_WARNINGS
        for one in found[:shown]:
            self.note(one.render())
        if len(found) > shown:
            self.warn(f"{len(found) - shown:,} more like these; --verbose shows them all")

    def _out(self, text: str) -> None:
        sys.stdout.write(text + "\n")
