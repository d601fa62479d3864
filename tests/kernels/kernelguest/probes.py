"""What the runtime finds out about the kernel."""

from __future__ import annotations

from pathlib import Path

from wardgate.runtime.probe import probe

Facts = dict[str, list[bool | str | None]]


def observe(_folder: Path) -> Facts:
    """Feature to whether it is there, and the evidence."""
    return {feature.name: [feature.present, feature.evidence] for feature in probe()}
