"""Programs that every verifier rejects: what this kernel's says of them, and what is made of it."""

from __future__ import annotations

from pathlib import Path

from wardgate.runtime.elf import read_object
from wardgate.runtime.errors import VerifierError
from wardgate.runtime.object import load_object


def observe(folder: Path) -> dict[str, dict[str, object]]:
    """Case to cause, location and excerpt; nothing of those that are accepted."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted((folder / "rejected").glob("*.o")):
        found[path.stem] = {}
        try:
            load_object(read_object(path.read_bytes())).close()
        except VerifierError as error:
            found[path.stem] = {
                "cause": error.cause,
                "location": error.location,
                "excerpt": list(error.excerpt),
                "shown": str(error),
            }
    return found
