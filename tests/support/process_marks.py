"""Processes found by a mark in their environment, which all that they start inherits."""

from __future__ import annotations

from pathlib import Path


def descendants(marker: str) -> list[str]:
    """Processes whose environment has the marker: the demo and all that it started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marker.encode() in environment and state != "Z":
            found.append(folder.name)
    return found
