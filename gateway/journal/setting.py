"""Where logs go."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

from wardgate.gateway.journal.formats import JsonFormatter, TextFormatter
from wardgate.gateway.journal.masking import MaskingFilter


def set_up(
    form: Literal["json", "text"] = "text", level: str = "info", stream: TextIO | None = None
) -> logging.Handler:
    """Have the process log to `stream` (stderr) from `level` on; the handler that does. Libraries' loggers
    are heard from `warning` on. Called again, it replaces what it set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(MaskingFilter())
    root = logging.getLogger()
    for before in [one for one in root.handlers if any(isinstance(f, MaskingFilter) for f in one.filters)]:
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("wardgate").setLevel(level.upper())
    logging.captureWarnings(True)
    return handler
