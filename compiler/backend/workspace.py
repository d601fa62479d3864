"""A private folder in which a translation unit's compilers run.

LLVM's BTF emitter reads the source lines of instructions from disk, from the file names that the
debug information records, relative to its working folder. So the texts are laid out under exactly
those names, and every compiler works in there.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardgate.compiler.backend.errors import BackendError
from wardgate.compiler.codegen.unit import TranslationUnit

_PREFIX = "wardgate-build-"
# A backslash or quote would need escapes in `#line`, and a control character has no place in a log.
_UNFIT = re.compile(r'[\x00-\x1f\x7f"\\]')
# What Python makes of file names that are not UTF-8 (PEP 383).
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Workspace:
    """`top` is the private folder; `folder`, where the unit's main file is and compilers work, is in it
    as deep as the sources' `../` go up."""

    top: Path
    folder: Path

    @property
    def marker(self) -> bytes:
        """The folder's random name, which must be in no output."""
        return self.top.name.encode()


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
