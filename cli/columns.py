"""Tables of text for people."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

_GAP = "  "


def width() -> int:
    """Columns of the terminal; 80 where the output is none."""
    return shutil.get_terminal_size((80, 24)).columns


def align(rows: Sequence[Sequence[str]], header: Sequence[str] = (), limit: int | None = None) -> str:
    """Lay `rows` out in columns under `header`; the last column is cut to fit in `limit` columns."""
    lines = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    room = (width() if limit is None else limit) - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
    shown = []
    for line in lines:
        cells = [cell.ljust(size) for cell, size in zip(line[:-1], widths, strict=False)]
        shown.append(_GAP.join([*cells, cut(line[-1], max(room, 12))]).rstrip())
    return "\n".join(shown)


def cut(text: str, length: int) -> str:
    """`text`, or its beginning and an ellipsis where it is longer than `length`."""
    return text if len(text) <= length else text[: length - 1] + "…"
