"""Policies as pieces of a store, and as files: what is applied, kept, and gone back to."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardgate.compiler.language import load_policy
from wardgate.compiler.language.resolver import Resolver
from wardgate.gateway.compiling.bundles import MOST_BYTES, Bundle
from wardgate.gateway.errors import CorruptError, InvalidError

_PART: Final = 700_000
"""Characters of a stored part, below what a store's value may have."""
_ESCAPED: Final = 6
"""Bytes that JSON makes of one at most."""


def stored_parts(bundle: Bundle) -> list[str]:
    """A bundle as texts for a store, see PolicyPart."""
    document = json.dumps({"main": bundle.main, "files": dict(bundle.files)}, sort_keys=True)
    text = base64.b64encode(zlib.compress(document.encode())).decode()
    return [text[start : start + _PART] for start in range(0, len(text), _PART)]


def bundle_of_parts(parts: Sequence[str], digest: str) -> Bundle:
    """What `parts` was made of; CorruptError where that is not what `digest` says."""
    bundle = None
    try:
        unpacker = zlib.decompressobj()
        packed = base64.b64decode("".join(parts), validate=True)
        document = json.loads(unpacker.decompress(packed, _ESCAPED * MOST_BYTES))
        bundle = Bundle(document["main"], document["files"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error, InvalidError):
        # Whatever it is instead, it is told below.
        bundle = None
    if bundle is None or bundle.digest != digest:
        raise CorruptError("read store", "a policy", "its text is damaged", "apply the policy again")
    return bundle


def read_bundle(path: Path, *, resolver: Resolver | None = None) -> Bundle:
    """The policy at `path` with what it includes. PolicyError where it has errors; InvalidError where it
    includes what lies outside of its folder."""
    loaded = load_policy(path, resolver=resolver)
    return Bundle(path.name, {file.name: file.text for file in loaded.policy.files})
