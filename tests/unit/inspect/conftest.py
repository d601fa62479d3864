"""Artefacts to look into, each compiled once, and the tools that the inspector is compared with."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from wardgate.compiler import compile_policy
from wardgate.compiler.compile import compile_parsed
from wardgate.compiler.inspect import Inspection, inspect_artefact
from wardgate.compiler.language import parse_policy_text

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
POLICIES = sorted(path for path in EXAMPLES.glob("*.yaml") if "policies:" in path.read_text())
OLDEST_OBJDUMP = 15
"""Before that, loads of less than 64 bits were written with r registers."""


@cache
def _example(path: Path) -> bytes:
    return compile_policy(path).data


@cache
def _compiled(text: str) -> bytes:
    return compile_parsed(parse_policy_text(text, "policy.yaml").policy).data


@pytest.fixture(scope="session")
def office() -> Inspection:
    """examples/office.yaml."""
    return inspect_artefact(_example(EXAMPLES / "office.yaml"))


@pytest.fixture(params=POLICIES, ids=lambda path: path.name)
def example(request: pytest.FixtureRequest) -> Inspection:
    """Each policy in examples/."""
    return inspect_artefact(_example(request.param))


@pytest.fixture(scope="session")
def inspected() -> Callable[[str], Inspection]:
    """From a policy's text to its artefact, looked into."""
    return lambda text: inspect_artefact(_compiled(text))


@pytest.fixture(scope="session")
def objdump() -> Callable[[bytes, Path], dict[str, list[tuple[int, str, str]]]]:
    """llvm-objdump: from an object to (slot, bytes, text) of each instruction, by section."""
    program = _find_objdump()
    if program is None:
        pytest.skip(f"needs llvm-objdump {OLDEST_OBJDUMP} or newer (Debian: apt install llvm-19)")

    def run(data: bytes, folder: Path) -> dict[str, list[tuple[int, str, str]]]:
        path = folder / "object.o"
        path.write_bytes(data)
        done = subprocess.run(
            [program, "-d", "--mcpu=v4", "--print-imm-hex", path], capture_output=True, text=True, check=True
        )
        found: dict[str, list[tuple[int, str, str]]] = {}
        section = ""
        for line in done.stdout.splitlines():
            if match := re.fullmatch(r"Disassembly of section (.+):", line):
                section = match[1]
            elif match := re.fullmatch(r"\s*(\d+):\t((?:[0-9a-f]{2} ){7,15}[0-9a-f]{2})\t(.*)", line):
                # Behind a target it writes the nearest symbol; ours are blocks and functions.
                text = re.sub(r" <[^<>]+\+?[^<>]*>$", "", match[3])
                found.setdefault(section, []).append((int(match[1]), match[2], text))
        return found

    return run


def _find_objdump() -> str | None:
    for name in ("llvm-objdump", *(f"llvm-objdump-{number}" for number in range(30, OLDEST_OBJDUMP - 1, -1))):
        path = shutil.which(name)
        if path is None:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"LLVM version (\d+)", said)
        if version and int(version[1]) >= OLDEST_OBJDUMP:
            return path
    return None
