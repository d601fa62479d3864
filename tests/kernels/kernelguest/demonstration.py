"""The project's demo, as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any


def observe(folder: Path) -> dict[str, Any]:
    """Its exit status and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "wardgate.cli.demo", "--artefact", str(folder / "office-llvmlite.o")],
        capture_output=True,
        text=True,
        check=False,
    )
    return {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
