"""The compilers of a backend: clang and llvmlite's LLVM, or clang alone, working beside this process.

With llvmlite, clang's output is LLVM's input by a pipe of their own, so that neither waits for this process,
which has other things to do meanwhile.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self

from wardgate.compiler.backend import llvm_child
from wardgate.compiler.backend.clang import Clang, find_clang
from wardgate.compiler.backend.diagnostics import Diagnostic, parse_diagnostics
from wardgate.compiler.backend.errors import BackendError
from wardgate.compiler.backend.process import Process, environment
from wardgate.compiler.backend.workspace import Workspace, workspace
from wardgate.compiler.codegen.unit import TranslationUnit

Backend = Literal["llvmlite", "clang"]
"""`llvmlite`: clang's front end, then llvmlite's LLVM, so that the code does not depend on which clang is
installed. `clang`: all by clang."""

BACKENDS: Final[tuple[Backend, ...]] = ("llvmlite", "clang")

_FORMS: Final = {"object": ("-c",), "asm": ("-S",), "ir": ("-S", "-emit-llvm")}
_UNOPTIMISED_IR: Final = ("-S", "-emit-llvm", "-Xclang", "-disable-llvm-passes")
_NO_FOLDER: Final = "/nonexistent"


@dataclass(frozen=True, slots=True)
class BuiltObject:
    """`data`: a relocatable ELF object with BTF and DWARF, or a text where that was asked for; `tools`: name
    to version of what made it; `warnings`: clang's."""

    data: bytes
    tools: Mapping[str, str]
    warnings: tuple[Diagnostic, ...]


class Toolchain:
    """The compilers of a backend, made ready for one unit: LLVM comes up while the unit is still being made.

    A context manager, which ends them. `clang` None: the one that find_clang finds. What cannot be found is
    an error once it is needed, since a wrong policy comes first.
    """

    def __init__(self, backend: Backend = "llvmlite", clang: Clang | None = None) -> None:
        if backend not in BACKENDS:
            raise BackendError(
                "use", f"the backend {backend!r}", "there is none", f"Use {' or '.join(BACKENDS)}."
            )
        self._stack = ExitStack()
        self._running: tuple[TranslationUnit, Workspace, Process] | None = None
        self._compilers: _Compilers | BackendError
        try:
            llvm = self._stack.enter_context(closing(_Llvm())) if backend == "llvmlite" else None
            self._compilers = _Compilers(clang or find_clang(), llvm)
        except BackendError as error:
            self._compilers = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def tools(self) -> Mapping[str, str]:
        """Name to version of what makes the object. BackendError where a part was not found, or LLVM does not
        come up."""
        compilers = self._found()
        return {"clang": compilers.clang.version, **(compilers.llvm.tools() if compilers.llvm else {})}

    def start(self, unit: TranslationUnit, mode: str = "object") -> None:
        """Begin to make of the unit what `mode` of llvm_child.MODES says; `result` waits for it.

        BackendError where the compilers were not found, the unit cannot be laid out, or clang cannot be
        started.
        """
        compilers = self._found()
        space = self._stack.enter_context(workspace(unit))
        command = compilers.clang.arguments(unit.name)
        if compilers.llvm is None:
            clang = self._start_clang([*command, *_FORMS[mode]], space, unit)
        else:
            with compilers.llvm.request(mode, unit, space) as pipe:
                clang = self._start_clang([*command, *_UNOPTIMISED_IR], space, unit, pipe.fileno())
        self._running = unit, space, clang

    def result(self) -> BuiltObject:
        """What was made of the unit that was started. BackendError where that failed."""
        if self._running is None:
            raise ValueError("no unit was started")
        unit, space, clang = self._running
        data, status, errors = clang.finish()
        if status:
            # Where LLVM did not come up, clang had nobody to write to.
            self.tools()
            raise clang.failure(status, errors)
        llvm = self._found().llvm
        if llvm is not None:
            data = llvm.result()
        if space.marker in data:
            raise BackendError(
                "build",
                unit.name,
                "the result names the folder that it was built in, so it is not reproducible",
                "Use the clang of `pip install 'wardgate[compiler]'`, or report which clang does this.",
            )
        return BuiltObject(data, self.tools(), parse_diagnostics(errors))

    def _found(self) -> _Compilers:
        if isinstance(self._compilers, BackendError):
            raise self._compilers
        return self._compilers

    def _start_clang(
        self, command: list[str], space: Workspace, unit: TranslationUnit, output: int | None = None
    ) -> Process:
        process = Process(
            command, unit.name, folder=space.folder, environment=environment(str(space.top)), output=output
        )
        return self._stack.enter_context(closing(process))


@dataclass(frozen=True, slots=True)
class _Compilers:
    """`llvm` None: clang does all."""

    clang: Clang
    llvm: _Llvm | None


class _Llvm:
    """llvmlite's LLVM in a process that waits for IR. BackendError where llvmlite is not installed."""

    def __init__(self) -> None:
        folder, self._llvmlite = _find_llvmlite()
        self._version: str | None = None
        reading, writing = os.pipe()
        self._input: IO[bytes] = os.fdopen(writing, "wb", buffering=0)
        try:
            self._process = Process(
                [sys.executable, "-I", "-B", llvm_child.__file__, folder],
                "a program",
                folder="/",
                environment=environment(_NO_FOLDER),
                input=reading,
            )
        except BackendError:
            self._input.close()
            raise
        finally:
            os.close(reading)

    def tools(self) -> Mapping[str, str]:
        """Name to version; waits for LLVM to come up. BackendError where it doesn't."""
        if self._version is None:
            self._version = self._process.first_line()
            if not self._version:
                raise self._process.failure(*self._process.finish()[1:])
        return {"llvmlite": self._llvmlite, "llvm": self._version}

    def request(self, mode: str, unit: TranslationUnit, space: Workspace) -> IO[bytes]:
        """Say what to make, and where; to the file that this gives goes the IR."""
        self._process.subject = unit.name
        try:
            self._input.write(b"\0".join((mode.encode(), os.fsencode(space.folder), b"")))
        except BrokenPipeError:
            self._input.close()
            raise self._process.failure(*self._process.finish()[1:]) from None
        return self._input

    def result(self) -> bytes:
        """What was asked for. BackendError where LLVM failed."""
        self.tools()
        data, status, errors = self._process.finish()
        if status:
            raise self._process.failure(status, errors)
        return data

    def close(self) -> None:
        """End it."""
        self._input.close()
        self._process.close()


def _find_llvmlite() -> tuple[str, str]:
    """The folder that llvmlite is imported from, and its version; not imported here, see llvm_child."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        raise BackendError(
            "use", "the backend 'llvmlite'", "llvmlite is not installed",
            "Install it with `pip install 'wardgate[compiler]'`, or use --backend clang.",
        )  # fmt: skip
    return str(Path(spec.origin).parent.parent), importlib.metadata.version("llvmlite")
