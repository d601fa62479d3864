"""A policy as it travels: its main file and what it includes, names and texts, as one piece."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wardgate.gateway.errors import InvalidError

MOST_FILES: Final = 1_000
MOST_BYTES: Final = 16 << 20
"""Of names and texts together, in UTF-8."""
_MOST_NAME_BYTES: Final = 1_024


@dataclass(frozen=True, slots=True)
class Bundle:
    """`main` is the name of the main file; `files` has its text and those of all that it includes. Names are
    relative to its folder, with `/`. InvalidError where a name is none, or leads out of the folder."""

    main: str
    files: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.main not in self.files:
            raise _invalid(self.main, "the main file is not among the files", "send its text too")
        if len(self.files) > MOST_FILES:
            raise _invalid(
                self.main, f"it has {len(self.files):,} files, and {MOST_FILES:,} fit", "join some of them"
            )
        for name in self.files:
            flaw = _flaw(name)
            if flaw:
                raise _invalid(
                    repr(name[:60]), flaw, "keep what a policy includes in its main file's folder, or below"
                )
        if self.bytes > MOST_BYTES:
            raise _invalid(
                self.main,
                f"it has {self.bytes:,} bytes, and {MOST_BYTES:,} fit",
                "leave out comments, or use prefixes instead of single addresses",
            )

    @property
    def bytes(self) -> int:
        """Names and texts together, in UTF-8."""
        return sum(
            len(name.encode(errors="surrogatepass")) + len(text.encode(errors="surrogatepass"))
            for name, text in self.files.items()
        )

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the main file's name and all names and texts, whatever their order."""
        document = json.dumps([self.main, dict(sorted(self.files.items()))], separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()


def _flaw(name: str) -> str:
    """Why a file cannot be called so."""
    if not name or len(name.encode(errors="surrogatepass")) > _MOST_NAME_BYTES:
        return f"a file's name has 1 to {_MOST_NAME_BYTES:,} bytes"
    if not name.isprintable() or "\\" in name:
        return "a file's name has printable characters, and no backslash"
    # The same as normpath would make of it, so that no two names are one file.
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "it leads out of the folder, or there is a shorter name for it"
    return ""


def _invalid(target: str, cause: str, remedy: str) -> InvalidError:
    return InvalidError("read policy", target, cause, remedy)
