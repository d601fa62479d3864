"""Which boot of the machine this is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""A number that the kernel draws when it starts (Documentation/admin-guide/sysctl/kernel.rst, "random")."""


def boot_id() -> str:
    """Another text for each boot; times of CLOCK_BOOTTIME mean something only together with it."""
    return _BOOT_ID.read_text().strip()
