"""Where kernels are kept between runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "WARDGATE_KERNELS"


def kernel_cache() -> Path:
    """The folder that WARDGATE_KERNELS names, else one of this user's in the temporary folder."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(tempfile.gettempdir(), f"wardgate-kernels-{os.getuid()}")
