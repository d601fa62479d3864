"""Where policy files come from: the disk, or a mapping of texts. Names are relative, with `/`."""

from __future__ import annotations

import fnmatch
import glob
import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from wardgate.compiler.language.source import MAX_BYTES

_MAGIC = re.compile(r"[*?\[]")


class Files(Protocol):
    """A reader of policy files. A name is a relative path with `/`, from the main file's folder."""

    def read(self, name: str) -> bytes:
        """The file's bytes, at most MAX_BYTES + 1 of them. OSError or ValueError where that fails."""

    def matching(self, pattern: str) -> list[str]:
        """Names that match `pattern`, sorted. Hidden files match only a pattern that says the dot."""

    def identity(self, name: str) -> str:
        """The same text for two names of one file, as where a link points to it."""


def is_pattern(name: str) -> bool:
    """Whether `name` has characters of a glob: `*`, `?` or `[`."""
    return _MAGIC.search(name) is not None


class DiskFiles:
    """Files in and around `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes:
        """See Files."""
        # One byte more than allowed tells a file that is too large from one that just fits, also
        # where a size can't be asked for.
        with (self._folder / name).open("rb") as file:
            return file.read(MAX_BYTES + 1)

    def matching(self, pattern: str) -> list[str]:
        """See Files."""
        found = glob.glob(pattern, root_dir=self._folder)  # noqa: PTH207 - pathlib matches hidden files
        return sorted({posixpath.normpath(name) for name in found})

    def identity(self, name: str) -> str:
        """See Files."""
        path = self._folder / name
        try:
            return os.path.realpath(path)
        except ValueError:  # a NUL in it; reading says so
            return str(path)


class MemoryFiles:
    """Files given as texts or bytes, by name."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self._files = {posixpath.normpath(name): content for name, content in files.items()}

    def read(self, name: str) -> bytes:
        """See Files."""
        content = self._files.get(name)
        if content is None:
            raise FileNotFoundError(2, "No such file or directory")
        # A text may hold what UTF-8 cannot; the bytes then aren't UTF-8, and are refused as such.
        return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content

    def matching(self, pattern: str) -> list[str]:
        """See Files."""
        parts = posixpath.normpath(pattern).split("/")
        return sorted(name for name in self._files if _matches(name.split("/"), parts))

    def identity(self, name: str) -> str:
        """See Files."""
        return name


def _matches(name: list[str], pattern: list[str]) -> bool:
    return len(name) == len(pattern) and all(
        fnmatch.fnmatchcase(part, wanted) and (not part.startswith(".") or wanted.startswith("."))
        for part, wanted in zip(name, pattern, strict=True)
    )
