"""Where kernels are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "WARDGATE_KERNELS"


def kernel_cache() -> Path:
    """The folder that WARDGATE_KERNELS names, else one in this user's cache."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "wardgate/kernels"
