"""Loading artefacts: what the verifier says of each program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wardgate.runtime.elf import read_artefact
from wardgate.runtime.errors import VerifierError
from wardgate.runtime.object import load_object

Facts = dict[str, dict[str, dict[str, int] | str]]
_INSTRUCTION_BYTES = 8
_LOG_CHARACTERS = 1500


def observe(folder: Path) -> Facts:
    """Artefact to program to what it cost to verify, or to why it was rejected."""
    return {path.stem: _programs(path) for path in sorted(folder.glob("*.o"))}


def _programs(path: Path) -> dict[str, dict[str, int] | str]:
    spec = read_artefact(path.read_bytes())
    found: dict[str, dict[str, int] | str] = {}
    for name, program in spec.programs.items():
        # One at a time, so that each has a verdict of its own.
        alone = replace(spec, programs={name: program})
        try:
            with load_object(alone) as loaded:
                info = loaded.programs[name].info
        except VerifierError as error:
            found[name] = f"{error}\n{error.log[-_LOG_CHARACTERS:]}"
            continue
        found[name] = {
            "verified": info.verified_instructions,
            "instructions": info.xlated_length // _INSTRUCTION_BYTES,
            "jited": info.jited_length,
        }
    return found
