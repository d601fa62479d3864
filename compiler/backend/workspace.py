"""A private folder in which a translation unit's compilers run, and how they are run in it.

LLVM's BTF emitter reads the source lines of instructions from disk, from the file names that the
debug information records, relative to its working folder. So the texts are laid out under exactly
those names, and every child runs in there, with an environment that says nothing of this machine.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardgate.compiler.backend.diagnostics import Diagnostic, parse_diagnostics, relevant_lines
from wardgate.compiler.backend.errors import BackendError
from wardgate.compiler.codegen.unit import TranslationUnit

_TIMEOUT_SECONDS = 600
_PREFIX = "wardgate-build-"
# A backslash or quote would need escapes in `#line`, and a control character has no place in a log.
_UNFIT = re.compile(r'[\x00-\x1f\x7f"\\]')
# What Python makes of file names that are not UTF-8 (PEP 383).
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
_REPORTED_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Workspace:
    """`top` is the private folder; `folder`, where the unit's main file is and children run, is in it
    as deep as the sources' `../` go up."""

    top: Path
    folder: Path

    @property
    def marker(self) -> bytes:
        """The folder's random name, which must be in no output."""
        return self.top.name.encode()

    def run(self, command: Sequence[str], subject: str, text: str | None = None) -> tuple[bytes, str]:
        """Standard output and error output of `command`; BackendError unless it exits with 0.

        `text` is its standard input. `subject` names for errors what is being built.
        """
        try:
            process = subprocess.run(  # noqa: S603 - commands are found by find_clang or our own
                list(command),
                cwd=self.folder,
                env=self._environment(),
                input=text.encode() if text is not None else b"",
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BackendError(
                "build", subject, f"{command[0]} was still running after {_TIMEOUT_SECONDS} s",
                "Try the other backend (--backend).",
            ) from None  # fmt: skip
        except OSError as error:
            raise BackendError(
                "run", command[0], error.strerror or str(error), "Check that it is installed and executable."
            ) from error
        stderr = process.stderr.decode("utf-8", "replace")
        if process.returncode != 0:
            raise _failure(command, subject, process.returncode, stderr)
        return process.stdout, stderr

    def _environment(self) -> Mapping[str, str]:
        # What else may be set (CPATH, SOURCE_DATE_EPOCH, CCC_OVERRIDE_OPTIONS, ...) changes what a
        # compiler does. PATH stays for a clang that is a wrapper script.
        folder = str(self.top)
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "LC_ALL": "C", "HOME": folder, "TMPDIR": folder, "XDG_CACHE_HOME": folder}


@contextmanager
def workspace(unit: TranslationUnit) -> Iterator[Workspace]:
    """A folder with the unit's texts, removed at the end. BackendError for names that cannot be laid out."""
    _check_name(unit.name)
    if "/" in unit.name or unit.name in ("", ".", ".."):
        raise _unfit(unit.name, "the generated file needs a plain name")
    if unit.name in unit.sources:
        raise _unfit(unit.name, "a policy file has the name of the generated file")
    for name in unit.sources:
        _check_name(name)
    rises = max((name.split("/").count("..") for name in unit.sources), default=0)
    used = {part for name in unit.sources for part in name.split("/")}
    level = next(name for name in (f"d{number}" for number in range(len(used) + 1)) if name not in used)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as created:
        top = Path(created)
        folder = top.joinpath(*[level] * (rises + 1))
        try:
            folder.mkdir(parents=True)
            for name, text in ((unit.name, unit.text), *sorted(unit.sources.items())):
                place = Path(os.path.normpath(folder / name))
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("x", encoding="utf-8", newline="") as file:
                    file.write(text)
        except (OSError, UnicodeEncodeError) as error:
            raise BackendError(
                "lay out", "the policy's files for the compiler", str(error).replace(str(top), ""),
                "Check the space in the temporary folder, and the names and encoding of the policy's files.",
            ) from error  # fmt: skip
        yield Workspace(top, folder)


def _check_name(name: str) -> None:
    if not name or name.startswith("/"):
        raise _unfit(name, "the name is absolute or empty")
    if _UNENCODABLE.search(name):
        raise _unfit(name, "the name is not UTF-8")
    if _UNFIT.search(name):
        raise _unfit(name, "the name has a quote, a backslash or a control character")
    if posixpath.normpath(name) != name:
        raise _unfit(name, "the name is not in its shortest form")
    if name in (".", "..") or name.endswith("/.."):
        raise _unfit(name, "the name is a folder's")


def _unfit(name: str, cause: str) -> BackendError:
    return BackendError(
        "use",
        f"the source name {name!r}",
        cause,
        "Rename the file; names are relative to the main policy file.",
    )


def _failure(command: Sequence[str], subject: str, status: int, stderr: str) -> BackendError:
    tool = Path(command[0]).name
    diagnostics = parse_diagnostics(stderr)
    errors = [diagnostic for diagnostic in diagnostics if diagnostic.is_error]
    if errors:
        cause = _listed(errors)
    else:
        ended = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
        said = relevant_lines(stderr)
        cause = f"{tool}: {ended}" + (f"\n{said}" if said else "")
    return BackendError(
        "build", subject, cause,
        "This is a fault of the compiler, not of the policy: please report it with the output of --emit c.",
        diagnostics,
    )  # fmt: skip


def _listed(errors: Sequence[Diagnostic]) -> str:
    shown = "".join(f"\n{error}" for error in errors[:_REPORTED_ERRORS])
    more = len(errors) - _REPORTED_ERRORS
    return shown + (f"\nand {more} more errors" if more > 0 else "")
