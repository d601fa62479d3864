"""Importing the runtime stays light: what it may not load, it does not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FORBIDDEN = ("wardgate.compiler", "wardgate.cli", "llvmlite", "click", "pyroute2", "yaml")
CORE = (
    "wardgate.runtime",
    "wardgate.runtime.elf",
    "wardgate.runtime.object",
    "wardgate.runtime.probe",
    "wardgate.runtime.testrun",
)


def loaded_by(module: str) -> set[str]:
    program = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", CORE)
def test_import_loads_nothing_of_the_compiler(module: str) -> None:
    loaded = loaded_by(module)
    assert not {name for name in loaded for bad in FORBIDDEN if name == bad or name.startswith(f"{bad}.")}


def test_the_package_alone_needs_no_elf_reader() -> None:
    assert "elftools" not in loaded_by("wardgate.runtime")
