"""Keys: paths of names, as `devices/alice/laptop`.

A prefix is a path that ends with a slash, or nothing, which is a prefix of all keys: so `users/al` is never
one of `users/alice`. Names are what file names could be, and more: anything but a slash and characters that
do not print. Other texts can be made names with `segment`.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from wardgate.gateway.store.errors import InvalidKeyError

MOST_KEY_BYTES: Final = 512


def check_key(key: str) -> str:
    """`key`; InvalidKeyError where it is none."""
    _check_path(key)
    if key.endswith("/"):
        raise InvalidKeyError(key, "is a prefix, not a key: it ends with a slash")
    return key


def check_prefix(prefix: str) -> str:
    """`prefix`; InvalidKeyError where it is none."""
    if prefix != "":
        _check_path(prefix)
        if not prefix.endswith("/"):
            raise InvalidKeyError(prefix, "is no prefix: it does not end with a slash")
    return prefix


def segment(name: str) -> str:
    """A name for a part of a key, of any text that is not empty; `name_of` is its inverse."""
    if not name:
        raise InvalidKeyError(name, "is empty, and no part of a key is")
    return quote(name, safe="")


def name_of(part: str) -> str:
    """The text that `segment` made `part` of."""
    return unquote(part, errors="strict")


def successor(prefix: str) -> str | None:
    """The least text behind all keys with this prefix, in the order of their UTF-8 bytes; None: there is
    none."""
    return prefix[:-1] + "0" if prefix else None


def _check_path(path: object) -> None:
    if not isinstance(path, str):
        raise InvalidKeyError(path, "is no text")
    if not path:
        raise InvalidKeyError(path, "is no key: it is empty")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise InvalidKeyError(path, "has half of a surrogate pair") from None
    if size > MOST_KEY_BYTES:
        raise InvalidKeyError(path[:40] + "…", f"has {size} bytes, and keys have {MOST_KEY_BYTES} at most")
    if any(not part for part in path.removesuffix("/").split("/")):
        raise InvalidKeyError(path, "has a part without a name")
    if not path.isprintable():
        raise InvalidKeyError(path, "has a character that does not print")
