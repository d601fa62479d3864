"""Sizes of memory as people write them: `64MiB`, `512KiB`, `1GiB`, `65536`."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "": 1}
_FORM: Final = re.compile(r"([0-9]{1,15})(KiB|MiB|GiB|)", re.ASCII)
LARGEST: Final = 1 << 40


def parse(text: str) -> int:
    """Bytes in `text`; ValueError where it is not a size of one byte to 1 TiB."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write it like 64MiB, 512KiB, 1GiB, or in bytes")
    size = int(match[1]) * _UNITS[match[2]]
    if not 1 <= size <= LARGEST:
        raise ValueError(f"{text!r} is not between 1 byte and 1 TiB")
    return size
