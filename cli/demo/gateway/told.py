"""How the demo talks: titles, commands, and lines of what is expected beside what is seen."""

from __future__ import annotations

import sys
import textwrap
from typing import Final

WIDTH: Final = 80
_COLUMNS: Final = (6, 26, 12, 12)
"""Widths: who, what, expected, seen. The line of the policy has the rest."""
_GAP: Final = "  "
_DIFFERS: Final = "<-- DIFFERS"


class Telling:
    """Prints as it goes, and counts. No line is longer than 80 columns but where something differs."""

    def __init__(self) -> None:
        self.lines = 0
        """That had an expectation."""
        self.wrong = 0

    def title(self, text: str) -> None:
        """What happens next."""
        _print("", f"-- {text}")

    def note(self, text: str) -> None:
        """Why."""
        _print(*textwrap.wrap(text, WIDTH))

    def command(self, *words: str) -> None:
        """What is run on the gateway; continued on further lines where it is long."""
        shown = textwrap.wrap(" ".join(words), WIDTH - 4, break_long_words=False, break_on_hyphens=False)
        _print(*(("$ " if not number else "    ") + line + (" \\" if number < len(shown) - 1 else "")
                 for number, line in enumerate(shown)))  # fmt: skip

    def text(self, text: str) -> None:
        """Lines as they are, indented."""
        _print(*(f"    {line}" for line in text.splitlines()))

    def header(self) -> None:
        """Names of the columns."""
        self._row("who", "what", "expected", "seen", "policy line")

    def row(self, who: str, what: str, expected: str, seen: str, rule: str = "") -> None:
        """One line; it is wrong where `seen` is not as expected."""
        self.lines += 1
        self.wrong += seen != expected
        self._row(who, what, expected, seen, rule if seen == expected else f"{rule} {_DIFFERS}".strip())

    def _row(self, *cells: str) -> None:
        fixed = [cell.ljust(width) for cell, width in zip(cells, _COLUMNS, strict=False)]
        _print(_GAP.join([*fixed, cells[-1]]).rstrip())


def _print(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)
    sys.stdout.flush()
