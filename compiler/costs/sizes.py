"""Sizes of memory as people read them."""

from __future__ import annotations

from typing import Final

_UNITS: Final = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def size(count: int) -> str:
    """A number of bytes, with three digits or so: `512 B`, `12.3 MiB`."""
    for unit, factor in _UNITS:
        if count >= factor:
            value = count / factor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{count} B"


def enough(count: int) -> str:
    """The least number of KiB, MiB or GiB that `count` bytes fit in, as `--budget` takes it."""
    unit, factor = next((known for known in _UNITS if count >= 10 * known[1]), _UNITS[-1])
    return f"{-(-count // factor)}{unit}"
