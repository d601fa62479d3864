"""The manifest of a loaded policy, as it is pinned with its generation.

A policy of ten thousand rules has megabytes of manifest, of which most operations need little: so it is kept
in parts, one for each field of Manifest, compressed, and read part by part. One map holds all of it and is
replaced in one step.

    4 bytes     length of the head, little-endian
    the head    JSON: {"code": digest, "parts": {name: [place, length, digest]}}
    the parts   JSON by zlib, one after the other
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout import json_text, typed_json
from wardgate.runtime.layout.manifest import Manifest, ManifestError, TunnelIndex
from wardgate.runtime.pinned import read_bytes, replace_bytes
from wardgate.runtime.recent import Recent

_HEAD_LENGTH: Final = 4
_LEVEL: Final = 1
"""Of zlib: higher ones take several times as long for a tenth less."""


class StoredManifestError(WardgateError):
    """What is pinned is no manifest of this release."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What changing devices needs of a manifest."""

    tunnel: tuple[str, ...]
    tunnel4: TunnelIndex | None
    tunnel6: TunnelIndex | None
    subjects: Mapping[str, int]
    default_class: int
    parameters: Mapping[str, int]

    @property
    def indexes(self) -> tuple[tuple[str, TunnelIndex], ...]:
        """The indexes that there are, each with the name of its map."""
        both = (("tunnel4", self.tunnel4), ("tunnel6", self.tunnel6))
        return tuple((name, index) for name, index in both if index is not None)

    @property
    def class_bits(self) -> int:
        """Bits of a policy class in `subject_class`, 16 or 32."""
        return self.parameters["class_bits"]

    def class_of(self, user: str) -> int:
        """Policy class of `user`, see Manifest."""
        return self.subjects.get(user, self.default_class)


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a manifest: its JSON, compressed, and the JSON's digest in hex."""

    data: bytes
    digest: str

    @classmethod
    def of(cls, text: bytes) -> Part:
        """From the JSON."""
        return cls(zlib.compress(text, _LEVEL), hashlib.sha256(text).hexdigest())

    def text(self) -> bytes:
        """The JSON."""
        return zlib.decompress(self.data)


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest in its parts, by the names of Manifest's fields; `code` is the digest of what the programs
    are, in hex, see generation.artefact_digest."""

    code: str
    parts: Mapping[str, Part]

    @classmethod
    def of(cls, manifest: Manifest, code: str) -> StoredManifest:
        """From a whole manifest."""
        return cls(code, _parts(manifest, [field.name for field in fields(manifest)]))

    def replaced(self, manifest: Manifest, names: set[str]) -> StoredManifest:
        """These parts from `manifest`, the others as they are."""
        return replace(self, parts={**self.parts, **_parts(manifest, sorted(names))})

    @property
    def digest(self) -> str:
        """SHA-256 in hex of programs and manifest: equal for artefacts that need not be swapped."""
        parts = [f"{name} {part.digest}" for name, part in sorted(self.parts.items())]
        return hashlib.sha256("\n".join([self.code, *parts]).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Pin it at `path`, in the place of what is there."""
        head: dict[str, list[object]] = {}
        body = b""
        for name, part in self.parts.items():
            head[name] = [len(body), len(part.data), part.digest]
            body += part.data
        text = json.dumps({"code": self.code, "parts": head}).encode()
        replace_bytes(path, len(text).to_bytes(_HEAD_LENGTH, "little") + text + body)

    @classmethod
    def read(cls, path: Path) -> StoredManifest:
        """What is pinned at `path`; StoredManifestError."""
        data = read_bytes(path)
        start = _HEAD_LENGTH + int.from_bytes(data[:_HEAD_LENGTH], "little")
        try:
            head = json.loads(data[_HEAD_LENGTH:start])
            parts = {
                name: Part(data[start + place :][:length], digest)
                for name, (place, length, digest) in head["parts"].items()
            }
            return cls(head["code"], parts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _foreign(path, error) from None

    def brief(self, path: Path) -> Brief:
        """The parts that Brief has; `path` is what errors name."""
        try:
            document = {one.name: json.loads(self.parts[one.name].text()) for one in fields(Brief)}
            return typed_json.read(Brief, document)
        except (KeyError, ValueError, zlib.error) as error:
            raise _foreign(path, error) from None

    def whole(self, path: Path) -> Manifest:
        """All of it; `path` is what errors name."""
        try:
            texts = (b'"%s":%s' % (name.encode(), part.text()) for name, part in self.parts.items())
            return Manifest.from_json(b"{" + b",".join(texts) + b"}")
        except (ManifestError, zlib.error) as error:
            raise _foreign(path, error) from None


def read_brief(path: Path) -> Brief:
    """Brief of the manifest at `path`; read anew only when it was replaced."""
    return _BRIEFS.get(path, lambda: StoredManifest.read(path).brief(path))


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`; read anew only when it was replaced."""
    return _MANIFESTS.get(path, lambda: StoredManifest.read(path).whole(path))


def remember_manifest(path: Path, manifest: Manifest) -> None:
    """Save `read_manifest` the reading of what was just written to `path`."""
    _MANIFESTS.set(path, manifest)


def _parts(manifest: Manifest, names: Iterable[str]) -> dict[str, Part]:
    texts = json_text.write_fields(manifest, names)
    return {name: Part.of(text.encode()) for name, text in texts.items()}


_BRIEFS: Final[Recent[Brief]] = Recent(8)
_MANIFESTS: Final[Recent[Manifest]] = Recent(4)


def _foreign(path: Path, error: Exception) -> StoredManifestError:
    return StoredManifestError(
        "read pin", str(path), f"it was written by another release: {error}", "detach the gate"
    )
