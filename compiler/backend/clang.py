"""Which clang translates the generated C, and how it is asked to."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from wardgate.compiler.backend.errors import ClangNotFoundError
from wardgate.compiler.backend.llvm_child import CPU, OPTIMISATION

ENVIRONMENT_VARIABLE: Final = "WARDGATE_CLANG"

MINIMUM_VERSION: Final = 14
"""Oldest clang that is tried. LLVM 13 renumbered BPF's relocations (kernel documentation,
bpf/llvm_reloc.rst), on which readers of the object rely; 14 is the oldest one still in a supported
distribution (Debian 12), and its IR is read by llvmlite's LLVM."""

_DEFAULT_CONFIG_VERSION = 16
_VERSION = re.compile(r"\bclang version (\d+)\.(\d+)\.(\d+)")
_VERSIONED_NAME = re.compile(r"clang-(\d+)")
_PROBE_SECONDS = 60

# A compilation folder that the prefix map turns into nothing: file names are then recorded as `#line`
# has them, and not under the folder of this build.
_NO_FOLDER = "/wardgate"


@dataclass(frozen=True, slots=True)
class Clang:
    """A clang that compiles for BPF; `version` such as `22.1.8`."""

    command: tuple[str, ...]
    version: str

    def arguments(self, unit_name: str) -> list[str]:
        """Command line for the C file `unit_name` in the working folder, result to standard output;
        the caller adds what kind of result."""
        # A machine's configuration file must not change the output. Older ones read none by default.
        configured = int(self.version.split(".")[0]) >= _DEFAULT_CONFIG_VERSION
        return [
            *self.command,
            *(["--no-default-config"] if configured else []),
            "--target=bpfel",
            f"-mcpu={CPU}",
            f"-O{OPTIMISATION}",
            "-g",
            f"-fdebug-compilation-dir={_NO_FOLDER}",
            f"-fdebug-prefix-map={_NO_FOLDER}=",
            "-std=gnu11",
            "-nostdinc",
            # No call to a library function may come out, and packets are read through casts.
            "-ffreestanding",
            "-fno-strict-aliasing",
            "-fno-jump-tables",
            "-fno-unwind-tables",
            "-fno-asynchronous-unwind-tables",
            "-fno-ident",
            "-fno-color-diagnostics",
            "-Wall",
            "-Wextra",
            # The kernel fixes what a program takes, not what it uses.
            "-Wno-unused-parameter",
            unit_name,
            "-o",
            "-",
        ]


def find_clang(explicit: str | None = None, environ: Mapping[str, str] | None = None) -> Clang:
    """The clang to use: `explicit`, WARDGATE_CLANG, the wheel of the compiler extra, the system's.

    One that a person named is taken or refused, never replaced by another. `environ` defaults to this
    process's. ClangNotFoundError says of each candidate why it does not fit.
    """
    environ = os.environ if environ is None else environ
    refused: list[tuple[str, str]] = []
    for label, command in _candidates(explicit, environ):
        if not command:
            refused.append((label, "not found"))
            continue
        try:
            return _probe(command)
        except _UnfitError as error:
            refused.append((label, str(error)))
    raise ClangNotFoundError(refused)


def _candidates(explicit: str | None, environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    search = environ.get("PATH", os.defpath)
    named = explicit or environ.get(ENVIRONMENT_VARIABLE)
    if named:
        origin = "--clang" if explicit else ENVIRONMENT_VARIABLE
        path = shutil.which(named, path=search)
        yield f"{origin} {named}", (str(Path(path).absolute()),) if path else ()
        return
    yield "the wheel (ziglang)", _wheel()
    system = [
        path for name in ("clang", *_versioned_names(search)) if (path := shutil.which(name, path=search))
    ]
    for path in system:
        yield path, (path,)
    if not system:
        yield "clang or clang-NN in PATH", ()


def _wheel() -> tuple[str, ...]:
    """The clang inside the zig of the ziglang wheel, run directly: a Python start is dearer than clang."""
    spec = importlib.util.find_spec("ziglang")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("zig", "zig.exe"):
            program = Path(folder) / name
            if program.is_file():
                return str(program), "clang"
    return ()


def _versioned_names(search: str) -> list[str]:
    """Names like `clang-19` in the search path, newest first."""
    names: set[str] = set()
    for folder in search.split(os.pathsep):
        try:
            names.update(entry.name for entry in Path(folder or ".").iterdir())
        except OSError:
            continue
    numbers = [int(match[1]) for name in names if (match := _VERSIONED_NAME.fullmatch(name))]
    return [f"clang-{number}" for number in sorted(numbers, reverse=True)]


class _UnfitError(Exception):
    """Why a candidate does not fit."""


def _probe(command: tuple[str, ...]) -> Clang:
    """The clang behind `command`; _UnfitError where there is none that compiles for BPF."""
    # Both questions at once: half of what an answer takes is starting the program.
    with _Asked(command, "--version") as version, _Asked(command, "--print-targets") as targets:
        match = _VERSION.search(version.answer())
        if match is None:
            raise _UnfitError("is not a clang")
        if int(match[1]) < MINIMUM_VERSION:
            raise _UnfitError(f"is clang {match[1]}; needs {MINIMUM_VERSION} or newer")
        if not re.search(r"^\s+bpfel\s", targets.answer(), re.MULTILINE):
            raise _UnfitError("has no BPF target")
    return Clang(command, ".".join(match.groups()))


class _Asked:
    """A candidate that was asked a question; leaving the context ends it."""

    def __init__(self, command: tuple[str, ...], question: str) -> None:
        self._question = question
        environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the candidate that a person or PATH names
                [*command, question],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise _UnfitError(f"cannot be run: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def answer(self) -> str:
        """What it says; _UnfitError where it doesn't."""
        try:
            output, _ = self._process.communicate(timeout=_PROBE_SECONDS)
        except subprocess.TimeoutExpired as error:
            message = f"gives no answer to {self._question} within {_PROBE_SECONDS} s"
            raise _UnfitError(message) from error
        if self._process.returncode != 0:
            raise _UnfitError(f"fails on {self._question} with exit status {self._process.returncode}")
        return output.decode("utf-8", "replace")
