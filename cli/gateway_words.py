"""How commands show what a gateway says: times, states, and texts that somebody else chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wardgate.cli import columns
from wardgate.runtime.layout import durations

_NS = 1_000_000_000


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Rows in columns, the last one cut to the terminal's width."""
    return columns.align([[plain(cell) for cell in row] for row in rows], header)


def plain(value: object) -> str:
    """On one line, and with what a terminal would obey written out: users choose the names of devices."""
    text = str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lines(text: str) -> str:
    """The same of a text that may have several lines."""
    return "\n".join(map(plain, text.split("\n")))


def moment(seconds: int) -> str:
    """Unix time as a date and time of day, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def lasting(seconds: float | None) -> str:
    """A duration; `-` where there is none."""
    return "-" if seconds is None else durations.show(int(seconds * _NS))


def listed(items: Sequence[str]) -> str:
    """Items with blanks between them; `-` where there are none."""
    return " ".join(items) or "-"


def state(record: Mapping[str, Any]) -> str:
    """Of a user or a device."""
    return "locked" if record["locked"] else "ok"


def device_name(device: Mapping[str, Any]) -> str:
    """As people name a device."""
    return f"{device['user']}/{device['name']}"
