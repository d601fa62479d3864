"""Bytes that outlive the process: each the one value of a frozen array, pinned."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from wardgate.runtime.layout.maps import MapType
from wardgate.runtime.maps import Map

_FRESH: Final = "-next"


def pin_bytes(path: Path, data: bytes) -> None:
    """Keep `data`, of one byte at least, at `path`; BpfError (EEXIST where something is there)."""
    with Map.create(path.name, MapType.ARRAY, 4, len(data), 1) as holder:
        holder.update(bytes(4), data)
        holder.freeze()
        holder.pin(path)


def replace_bytes(path: Path, data: bytes) -> None:
    """Keep `data` at `path`, in the place of what is there if anything is, in one step."""
    fresh = path.with_name(path.name + _FRESH)
    # Left by a process that was killed in between.
    fresh.unlink(missing_ok=True)
    pin_bytes(fresh, data)
    fresh.rename(path)


def read_bytes(path: Path) -> bytes:
    """What is kept at `path`; BpfError where nothing is."""
    with Map.open_pin(path) as holder:
        return holder.lookup(bytes(4)) or b""
