"""Objects that this run has built, kept for all its processes.

Of one unit the same tools make the same object: that they do is tested where they are.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from wardgate.compiler import compile as compiling
from wardgate.compiler.backend import BACKENDS, Backend, BuiltObject, Clang, Toolchain
from wardgate.compiler.backend.clang import ENVIRONMENT_VARIABLE
from wardgate.compiler.codegen.unit import TranslationUnit

_tools: dict[Backend, Mapping[str, str]] = {}


class KeptToolchain:
    """As backend.Toolchain, but for units that were built before, by any process with the same folder."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self._folder = folder
        self._backend = backend
        self._stack = ExitStack()
        self._toolchain: Toolchain | None = None
        self._place = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def tools(self) -> Mapping[str, str]:
        """Name to version."""
        if self._backend not in _tools:
            _tools[self._backend] = self._real().tools()
        return _tools[self._backend]

    def start(self, unit: TranslationUnit, mode: str = "object") -> None:
        """Begin to make the object, unless it is there."""
        content = (self._backend, mode, unit.name, unit.text, sorted(unit.sources.items()))
        self._place = (
            self._folder / hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()
        )
        if not self._place.exists():
            self._real().start(unit, mode)

    def result(self) -> BuiltObject:
        """The object."""
        if self._place.exists():
            found: BuiltObject = pickle.loads(self._place.read_bytes())  # noqa: S301 - written by this run
            return found
        built = self._real().result()
        new = self._place.with_suffix(f".{os.getpid()}")
        new.write_bytes(pickle.dumps(built))
        new.rename(self._place)
        return built

    def _real(self) -> Toolchain:
        if self._toolchain is None:
            self._toolchain = self._stack.enter_context(Toolchain(self._backend))
        return self._toolchain


def _choose(folder: Path, backend: Backend = "llvmlite", clang: Clang | None = None) -> object:
    # Where a test says which compiler, that one is meant.
    if clang is not None or ENVIRONMENT_VARIABLE in os.environ or backend not in BACKENDS:
        return Toolchain(backend, clang)
    return KeptToolchain(folder, backend)


def install(folder: Path) -> None:
    """Have this process compile policies by way of `folder`."""
    folder.mkdir(exist_ok=True)
    compiling.Toolchain = partial(_choose, folder)  # type: ignore[assignment,misc]
