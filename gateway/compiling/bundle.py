"""A policy with all that it includes, in one piece: what is applied, stored, and gone back to."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.compiler.language import load_policy, parse_policy_text
from wardgate.compiler.language.resolver import Resolver
from wardgate.gateway.errors import CorruptError, InvalidError

MOST_BYTES: Final = 64 << 20
"""Of a bundle's texts together."""
_PART: Final = 700_000
"""Characters of a stored part, below what a store's value may have."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """`main` is the name of the file that includes the others; names are relative to its folder."""

    main: str
    files: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.main not in self.files:
            raise InvalidError("read policy", self.main, "the bundle lacks its main file", "send all files")
        for name in self.files:
            inside = not name.startswith("/") and ".." not in name.split("/") and name
            if not inside or posixpath.normpath(name) != name or not name.isprintable():
                raise InvalidError(
                    "read policy",
                    repr(name),
                    "it lies outside of the folder of the main file",
                    "move what the policy includes into that folder",
                )
        if sum(len(text) for text in self.files.values()) > MOST_BYTES:
            cause = f"its texts have more than {MOST_BYTES >> 20} MiB"
            raise InvalidError("read policy", self.main, cause, "write prefixes and groups instead of hosts")

    @property
    def digest(self) -> str:
        """SHA-256 in hex of names and texts."""
        digest = hashlib.sha256(f"{self.main}\0".encode())
        for name in sorted(self.files):
            text = hashlib.sha256(self.files[name].encode("utf-8", "surrogatepass")).hexdigest()
            digest.update(f"{name}\0{text}\0".encode())
        return digest.hexdigest()

    def parts(self) -> list[str]:
        """The bundle as texts for a store, see PolicyPart."""
        document = json.dumps({"main": self.main, "files": self.files}, sort_keys=True)
        text = base64.b64encode(zlib.compress(document.encode(), 6)).decode()
        return [text[start : start + _PART] for start in range(0, len(text), _PART)]

    @classmethod
    def of_parts(cls, parts: Sequence[str], digest: str) -> Bundle:
        """What `parts` was made of; CorruptError where that is not what `digest` says."""
        try:
            unpacker = zlib.decompressobj()
            document = json.loads(unpacker.decompress(base64.b64decode("".join(parts)), 4 * MOST_BYTES))
            bundle = cls(document["main"], document["files"])
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error, InvalidError):
            bundle = None
        if bundle is None or bundle.digest != digest:
            raise CorruptError("read store", "a policy", "its text is damaged", "apply the policy again")
        return bundle


def read_bundle(path: Path, *, resolver: Resolver | None = None) -> Bundle:
    """The policy at `path` with what it includes. PolicyError where it has errors; InvalidError where it
    includes what lies outside of its folder."""
    loaded = load_policy(path, resolver=resolver)
    return Bundle(path.name, {file.name: file.text for file in loaded.policy.files})


def check_bundle(bundle: Bundle, resolver: Resolver | None) -> None:
    """PolicyError where the policy has errors."""
    parse_policy_text(bundle.files[bundle.main], bundle.main, bundle.files, resolver=resolver)
