"""Compilers as processes beside this one: started, connected by pipes, waited for.

Nothing here needs a thread: what a process writes before it is waited for stays in its pipe, and what it
says of errors in a file without a name.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from wardgate.compiler.backend.diagnostics import parse_diagnostics, relevant_lines
from wardgate.compiler.backend.errors import BackendError, listed

_TIMEOUT_SECONDS: Final = 600
_LONGEST_LINE: Final = 256


def environment(folder: str) -> Mapping[str, str]:
    """What a compiler is told of this machine: nothing but `folder` for its own files.

    What else may be set (CPATH, SOURCE_DATE_EPOCH, CCC_OVERRIDE_OPTIONS, ...) changes what a compiler does.
    PATH stays for a clang that is a wrapper script.
    """
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "LC_ALL": "C", "HOME": folder, "TMPDIR": folder, "XDG_CACHE_HOME": folder}


class Process:
    """A running compiler. Its owner closes it, which ends it where it still runs.

    `subject` names for errors what it builds; `output` None: to be read here. BackendError where it cannot
    be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        subject: str,
        *,
        folder: Path | str,
        environment: Mapping[str, str],
        input: int = subprocess.DEVNULL,  # noqa: A002 - what it is
        output: int | None = None,
    ) -> None:
        self._command = list(command)
        self.subject = subject
        self._deadline = time.monotonic() + _TIMEOUT_SECONDS
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - commands are found by find_clang or our own
                self._command,
                cwd=folder,
                env=environment,
                stdin=input,
                stdout=subprocess.PIPE if output is None else output,
                stderr=self._errors,
                # What is read line by line must not be read ahead of what comes after.
                bufsize=0,
            )
        except OSError as error:
            self._errors.close()
            raise BackendError(
                "run", command[0], error.strerror or str(error), "Check that it is installed and executable."
            ) from error

    def first_line(self) -> str:
        """The first line that it writes, without its end; what it wrote where it ends before."""
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - given to nobody else
        line = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                if not selector.select(self._remaining()):
                    raise self._still_running()
                byte = os.read(stream.fileno(), 1)
                if not byte:
                    break
                line += byte
        return line.decode("utf-8", "replace").removesuffix("\n")

    def finish(self) -> tuple[bytes, int, str]:
        """What it wrote (if it was to be read here), its exit status and its error output, once it has ended.

        BackendError where it takes too long.
        """
        try:
            output, _ = self._process.communicate(timeout=self._remaining())
        except subprocess.TimeoutExpired:
            raise self._still_running() from None
        self._errors.seek(0)
        return output or b"", self._process.returncode, self._errors.read().decode("utf-8", "replace")

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def failure(self, status: int, errors: str) -> BackendError:
        """The error that its end with `status` is."""
        tool = Path(self._command[0]).name
        diagnostics = parse_diagnostics(errors)
        told = [diagnostic for diagnostic in diagnostics if diagnostic.is_error]
        if told:
            cause = listed(told)
        else:
            ended = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
            said = relevant_lines(errors)
            cause = f"{tool}: {ended}" + (f"\n{said}" if said else "")
        return BackendError(
            "build", self.subject, cause,
            "This is a fault of the compiler, not of the policy: please report it with the output of "
            "--emit c.",
            diagnostics,
        )  # fmt: skip

    def _remaining(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _still_running(self) -> BackendError:
        return BackendError(
            "build", self.subject, f"{self._command[0]} was still running after {_TIMEOUT_SECONDS} s",
            "Try the other backend (--backend).",
        )  # fmt: skip
